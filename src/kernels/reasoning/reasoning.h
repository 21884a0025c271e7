// The recursive reasoning engine of v6 (docs/spec/supernova.md). All of it works on one token at a time, so tokens
// need not agree on how often they pass through it:
//
//   pass:  p = softmax(router r); w = softmax of the two largest logits i, j; o = w_i O_i r + w_j O_j r
//          m = softmax(slots W_read r / sqrt(R))^T slots;  r <- LN(r + W_mix [o; m])
//   after the last: z = sigmoid(w_gate r) W_value r + 0.1 softmax(slots W_write r / sqrt(R))^T slots;  y = r + kappa z
//
// The number of passes is forced, or the most probable of 1, 3 and 8 by softmax(classifier r_0). In training Gumbel
// noise is added to these logits, and a token whose sampled depth is D ends as the blend of its states after 1, 3, ...,
// D passes, weighted by the softmax restricted to them: the classifier learns from what the token has computed, and
// nobody pays for passes that he does not take. Without `blend` it ends as the last of these states, which is what it
// will be in inference, and the classifier has no gradient from here (objective/depth.cc has another one for it). Only
// the two chosen operations are computed.
//
// Router, operations and classifier may be ternary. With `int8` they read r rounded to int8 per token.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

constexpr std::array<int, 3> kReasoningDepths = {1, 3, 8};
constexpr int kDepthChoices = 3;
constexpr int kMaxReasoningDepth = 8;

struct ReasoningShape {
  int64_t rows = 0;                          // N tokens
  int width = 0, operations = 0, slots = 0;  // R, K >= 2, S
  int depth = 0;                             // passes of every token; 0: each token's own choice
  bool training = false;                     // blends the depths, keeps what the gradient needs
  bool blend = true;                         // in training, of tokens that choose
  bool int8 = false;
  float noise = 0;  // factor on the Gumbel noise of the depth logits, in training
  PhiloxKey key{};  // of that noise
  uint64_t step = 0;

  bool Blends() const { return training && blend && depth == 0; }
};

// Standard Gumbel noise of a token's depth choice: a function of its arguments alone.
float GumbelNoise(PhiloxKey key, uint64_t step, int64_t token, int choice);

// The maps, dense and row-major [out, in]; T is what they hold: values (const float), gradients (float), or the numbers
// of the reference.
template <class T>
struct ReasoningMaps {
  T* router = nullptr;                 // [K,R]
  T* operations = nullptr;             // [K,R,R]
  T* classifier = nullptr;             // [3,R]
  T* read_key = nullptr;               // [R,R]
  T* mix = nullptr;                    // [R,2R], columns of o then of m
  T *gain = nullptr, *bias = nullptr;  // [R]
  T* write_gate = nullptr;             // [R]
  T* write_value = nullptr;            // [R,R]
  T* write_key = nullptr;              // [R,R]
  T* write_scale = nullptr;            // [1]: kappa
  T* slots = nullptr;                  // [S,R]; a constant, without gradient
};

// The maps as the kernels read them: transposed and padded, and keys multiplied with the slots once for all tokens.
// Renewed when the parameters change.
struct ReasoningPack {
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  // The owner's business: of the values it was made from; held while it is renewed, for passes that share it.
  int64_t version = -1;
  std::mutex renewing;
  int width = 0, operations = 0, slots = 0;
  int64_t r = 0, k = 0, s = 0;  // width, operations, slots rounded up to 16: row strides
  std::unique_ptr<float[], Free> memory;
  // NAME is [out, in], NAME_t [in, out].
  float *router = nullptr, *router_t = nullptr, *operation = nullptr, *operation_t = nullptr;
  float *classifier = nullptr, *read = nullptr, *read_t = nullptr;
  float *mix_o = nullptr, *mix_o_t = nullptr, *mix_m = nullptr, *mix_m_t = nullptr;
  float *gain = nullptr, *bias = nullptr, *gate = nullptr, *value = nullptr, *value_t = nullptr;
  float *write = nullptr, *write_t = nullptr, *slot = nullptr, *slot_t = nullptr;
  float* operation_scales = nullptr;  // [K]
  float router_scale = 0, classifier_scale = 0, kappa = 0;
};

// router, operations and classifier of `maps` hold trits, whose scales stand apart (one per operation), or values and
// the scales are 1.
void PackReasoning(const ReasoningShape& shape, const ReasoningMaps<const float>& maps, float router_scale,
                   const float* operation_scales, float classifier_scale, ReasoningPack& pack);

// What the forward pass reports besides its result. Sums are over tokens or over passes, in a fixed order.
struct ReasoningSums {
  int64_t passes = 0;             // of all tokens together
  float* usage = nullptr;         // [K] mean of p over passes
  float* shares = nullptr;        // [K] part of the choices that fell on an operation
  float* mean_address = nullptr;  // [S] mean of the write's address weights over tokens
  float* mean_write = nullptr;    // [R] mean of z over tokens
  int32_t* depths = nullptr;      // [N] passes of each token; null: not wanted
};

// y [N,R] from r [N,R], f32 or bf16, both alike. memory: ReasoningMemory(shape) bytes, 64-byte aligned, kept for the
// gradient in training. Every token's result is bit for bit independent of the others and of threads.
// `sums` is filled in training; else only its `passes` and `depths`.
int64_t ReasoningMemory(const ReasoningShape& shape);
void Reasoning(const ReasoningShape& shape, const ReasoningPack& pack, const Matrix& r, void* memory, const Matrix& y,
               ReasoningSums& sums);

// dr = or += by `accumulate`; all of `gradients` +=, those of the ternary maps being dL/d(effective weight); the slots
// get none. dusage [K] is dL/d(sums.usage), or null. scratch: ReasoningGradScratch(shape) bytes, 64-byte aligned.
int64_t ReasoningGradScratch(const ReasoningShape& shape);
void ReasoningGrad(const ReasoningShape& shape, const ReasoningPack& pack, const void* memory, int64_t passes,
                   const Matrix& dy, const float* dusage, const Matrix& dr, bool accumulate, void* scratch,
                   const ReasoningMaps<float>& gradients);

}  // namespace flashlm::kernels
