// Ternary weights (docs/spec/ternary.md): a float master weight W is trained, products see scale * {-1, 0, +1}; and the
// int8 activations that such products may read.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// The published quantisers; they differ in the scale and in the straight-through gradient.
enum class Ternary : uint8_t {
  kNone,
  kMean,           // v4: mean |W| of the whole matrix
  kMatrix,         // v5: max(mean |W|, 1e-5) of the whole matrix
  kRow,            // v5.2a, P-RCSM: the same, one per output row
  kScaleGradient,  // v6: as kMatrix, but the scale stays differentiable
};

// Rounds w [out,in] (contiguous) half to even. trits: [out,in] in {-1, 0, +1} as floats; scales: [out], the
// factor of each output row (all equal but for kRow). The effective weight is trits * scales.
void Ternarize(Ternary kind, const float* w, int64_t out, int64_t in, float* trits, float* scales);

// dw[out,in] += the straight-through gradient of w, given g = dL/d(effective weight): g itself, for
// kScaleGradient s g + sum(g * trits) sign(w) / (out * in).
void TernaryGradient(Ternary kind, const float* w, const float* g, int64_t out, int64_t in, float* dw);

// Per row r: scales[r] = max |x[r]| / 127 and q[r] = round(x[r] / scales[r]), integers in [-127, 127] (a row of zeros:
// scale 0). x: f32 or bf16 [N,C]; q: int8, f32 or bf16, each of which holds them exactly.
void QuantizeRows(const Matrix& x, const Matrix& q, float* scales);
// y = q: int8 as f32 or bf16, both of which hold it exactly.
void WidenIntegers(const Matrix& q, const Matrix& y);

}  // namespace flashlm::kernels
