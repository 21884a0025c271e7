// The SwiGLU sublayer of a block (Shazeer, 2020), with its norm and the residual connection around it.
#pragma once

#include <vector>

#include "nn/linear.h"

namespace flashlm {

struct SwiGluLayer {
  Param norm;     // [C]
  Param gate_up;  // [2F,C], gate over up
  Param down;     // [C,F]
};

// Declares the maps, after the gain `norm`: gate and up as two parts of F rows or as one of 2F, and down of C rows.
inline SwiGluLayer AddSwiGlu(ParamBank& bank, const Param& norm, const std::vector<LinearPart>& gate_up,
                             const LinearPart& down, Quantization quantization = {}) {
  SwiGluLayer layer{norm, AddLinear(bank, gate_up, norm.cols, quantization), {}};
  layer.down = AddLinear(bank, {down}, layer.gate_up.rows / 2, quantization);
  return layer;
}

// h + dropout(down(silu(gate y) * up y)), y = RmsNorm(h): h f32 [N,C] -> f32 [N,C].
inline Tensor SwiGlu(Tape& tape, const Tensor& h, const SwiGluLayer& layer, double dropout = 0) {
  const Tensor gate_up = Linear(tape, RmsNorm(tape, h, layer.norm), layer.gate_up);  // [N,2F]
  return AddDropout(tape, h, Linear(tape, SwiGlu(tape, gate_up), layer.down), dropout);
}

}  // namespace flashlm
