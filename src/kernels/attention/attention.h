// Causal sliding-window softmax attention with rotary positions. Position t reads s with
// 0 <= t - s < window. Work and memory grow with T * window, never with T * T.
#pragma once

#include <cstdint>

#include "base/rng.h"
#include "kernels/matrix.h"
#include "kernels/rope/rope.h"

namespace flashlm::kernels {

struct AttentionShape {
  int batch = 0, length = 0;    // B, T
  int heads = 0, head_dim = 0;  // H, D
  int window = 0;               // W
  Rope rope = Rope::kHalf;      // rotate q and k by their absolute position
  float dropout = 0;            // on the probabilities; 0 outside training
  PhiloxKey dropout_key{};      // of this call: what is dropped depends on it and the element's indices alone
  uint64_t dropout_step = 0;
  int value_heads = 0;  // head h reads the values of head h mod value_heads; 0: as many as heads
  double rope_base = kRopeBase;
};

// Three matrices [B*T, H*D] of one element type, often columns of one: queries, keys, values (v and its gradient: see
// value_heads).
struct Qkv {
  Matrix q, k, v;

  // The columns q|k|v of one matrix.
  static Qkv Of(const Matrix& m, int64_t width) {
    return {m.Columns(0, width), m.Columns(width, width), m.Columns(2 * width, width)};
  }
};

// What a stream of tokens remembers: the last `window` keys (rotated) and values, as rings indexed by t mod window, of
// the element type of what is read: what decoding many streams waits for is that this comes from memory.
struct AttentionState {
  float* rings = nullptr;             // row b begins at rings + b * row_stride: keys [H,W,D], then values [H,W,D]
  int64_t row_stride = 0;             // floats
  const int64_t* position = nullptr;  // [B]: absolute position of the first new token
};
int64_t AttentionStateSize(const AttentionShape& shape, DType dtype);  // floats per row, for 2*W*H*D elements

// in: f32 or bf16; v [B*T, value_heads*D]. out: [B*T, H*D], same type.
// log_sums: [B,H,T], log of the softmax denominators, kept for the gradient (may be null).
// state: null in training (every row starts at position 0 with nothing behind it); else read, then advanced
// by T tokens (the caller advances the positions).
void Attention(const AttentionShape& shape, const Qkv& in, const AttentionState* state, const Matrix& out,
               float* log_sums);

// din (the element type of `in`) is overwritten; din.v is [B*T, H*D] even where heads share values: their sum is the
// caller's business. Only without state.
void AttentionGrad(const AttentionShape& shape, const Qkv& in, const Matrix& out, const float* log_sums,
                   const Matrix& dout, const Qkv& din);

}  // namespace flashlm::kernels
