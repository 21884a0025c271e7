// Causal sliding-window softmax attention with rotary positions (SPEC 6, 1.4, 16.4). Position t reads s with
// 0 <= t - s < window. Work and memory grow with T * window, never with T * T.
#pragma once

#include <cstdint>

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

struct AttentionShape {
  int batch = 0, length = 0;    // B, T
  int heads = 0, head_dim = 0;  // H, D
  int window = 0;               // W
  bool rope = true;             // rotate q and k (pairs (i, i + D/2), base 10,000) by their absolute position
  float dropout = 0;            // on the probabilities; 0 outside training
  PhiloxKey dropout_key{};      // of this call: what is dropped depends on it and the element's indices alone
  uint64_t dropout_step = 0;
};

// What a stream of tokens remembers: the last `window` keys (rotated) and values, as rings indexed
// by t mod window.
struct AttentionState {
  float* rings = nullptr;             // row b at rings + b * row_stride: keys [W,H*D], then values [W,H*D]
  int64_t row_stride = 0;             // floats
  const int64_t* position = nullptr;  // [B]: absolute position of the first new token
};
int64_t AttentionStateSize(const AttentionShape& shape);  // floats per row: 2*W*H*D

// qkv: [B*T, >=3*H*D], columns q|k|v, f32 or bf16. out: [B*T, H*D], same type.
// log_sums: [B,H,T], log of the softmax denominators, kept for the gradient (may be null).
// state: null in training (every row starts at position 0 with nothing behind it); else read, then advanced
// by T tokens (the caller advances the positions).
void Attention(const AttentionShape& shape, const Matrix& qkv, const AttentionState* state, const Matrix& out,
               float* log_sums);

// dqkv (same columns and element type as qkv) is overwritten. Only without state.
void AttentionGrad(const AttentionShape& shape, const Matrix& qkv, const Matrix& out, const float* log_sums,
                   const Matrix& dout, const Matrix& dqkv);

}  // namespace flashlm::kernels
