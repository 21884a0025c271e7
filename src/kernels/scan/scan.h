// Linear recurrences with one state per channel, a chain over time that is independent of all other
// channels. No position costs more than another, and nothing but the state passes between calls.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct ScanShape {
  int64_t batch = 0, length = 0, width = 0;  // B, T, C
};

// Three matrices [B*T, C] of one element type, often columns of one: what forgets, what is written, what opens.
struct Gated {
  Matrix forget, value, open;

  // The columns forget|value|open of one matrix.
  static Gated Of(const Matrix& m) {
    const int64_t width = m.cols / 3;
    return {m.Columns(0, width), m.Columns(width, width), m.Columns(2 * width, width)};
  }
};

// Gated average: s_t = f_t s_{t-1} + (1 - f_t) v_t, y_t = sigmoid(o_t) s_t, with
// f_t = floor + (1 - floor) sigmoid(a_t + bias), of in.forget = a, in.value = v, in.open = o.
// bias [C]; y [B*T, C] of their element type. state [B, C]: s before the first position, replaced by s after the last;
// null: starts at zero. states [B*T, C]: every s_t, for the gradient (may be null).
void GatedScan(const ScanShape& shape, const Gated& in, const float* bias, float floor, float* state, const Matrix& y,
               float* states);
// For sequences that started at zero. din is overwritten; dbias[C] += its gradient. scratch: B * C floats.
void GatedScanGrad(const ScanShape& shape, const Gated& in, const float* bias, float floor, const float* states,
                   const Matrix& dy, const Gated& din, float* dbias, float* scratch);

// Decaying sum: y_t = s_t = a s_{t-1} + sigmoid(g_t) v_t, a = sigmoid(decay). proj [B*T, 2C], columns g|v; decay [C].
// The rest as above.
void DecayScan(const ScanShape& shape, const Matrix& proj, const float* decay, float* state, const Matrix& y,
               float* states);
void DecayScanGrad(const ScanShape& shape, const Matrix& proj, const float* decay, const float* states,
                   const Matrix& dy, const Matrix& dproj, float* ddecay, float* scratch);

// y_t = mean of x up to and including t, over the whole stream. x f32 [B*T, C], y f32 or bf16. positions [B]: tokens
// before the first position; null: none. state [B, C]: the mean before, replaced by the mean after.
void RunningMean(const ScanShape& shape, const Matrix& x, const int64_t* positions, float* state, const Matrix& y);
// For sequences that started empty. dx (f32) = or += by `accumulate`.
void RunningMeanGrad(const ScanShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate);

}  // namespace flashlm::kernels
