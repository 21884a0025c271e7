// The operations that architectures are built from. Each lives in one file, ops/NAME.cc: shape rule, forward, backward,
// scalar reference and test cases. N = batch * length rows of the tape; "compute type" is tape.dtype() (bf16 or f32),
// the type that matrix products read.
//
// Sequence-mixing operations take a slot of the stream's state (tensor/state.h) when the tape has one: the same call
// trains (no state), reads a prompt (length n) and decodes (length 1).
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/tape.h"
#include "kernels/reasoning/reasoning.h"
#include "kernels/rope/rope.h"

namespace flashlm {

// scale * table [V,C] -> f32 [N,C]; tokens: [N], each in [0,V), must live until Backward. Throws Error on an id out of
// range.
Tensor Embedding(Tape& tape, const int32_t* tokens, const Param& table, float scale = 1);

struct HashedEmbeddingConfig {
  int order = 2;         // tokens of an n-gram, the position's own included; at least 2
  int32_t end = 3;       // the token that ends a document (<eos>)
  uint64_t variant = 0;  // another variant hashes otherwise, for tables of one order whose collisions should differ
};
// The table's row of the n-gram that ends at each position (kernels/embed/ngram.h) -> f32 [N,W]. An n-gram never
// reaches back beyond the last `end` at or before its position, or the stream's start. tokens: [N].
Tensor HashedEmbedding(Tape& tape, const int32_t* tokens, SparseTable& table, const HashedEmbeddingConfig& config);

// x f32 [N,C], gain [C] -> compute type [N,C]: x / sqrt(mean(x^2) + eps) * gain.
Tensor RmsNorm(Tape& tape, const Tensor& x, const Param& gain, float eps = 1e-6f);
// The same with an f32 result, for norms that the residual stream itself passes through.
Tensor RmsNormF32(Tape& tape, const Tensor& x, const Param& gain, float eps = 1e-6f);

// x [N,C], gain and bias [C] -> compute type [N,C]; moments over each of `groups` equal runs of columns, at one
// position only (eps 1e-5). x of any type.
Tensor LayerNorm(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups = 1);
// The same with an f32 result.
Tensor LayerNormF32(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups = 1);

// x [N,I] W^T -> [N,O], compute type in and out. A weight declared ternary is rounded on the way
// (docs/spec/ternary.md), and so is x where the weight asks for int8 input; gradients pass straight through.
Tensor Linear(Tape& tape, const Tensor& x, const Param& weight);

// x rounded to the compute type, for products that read the residual stream itself; x if it is of that type.
Tensor ToComputeType(Tape& tape, const Tensor& x);
// x as f32, for streams that start from a product; x if it is of that type.
Tensor ToF32(Tape& tape, const Tensor& x);

// gate_up [N,2F] -> silu(gate) * up [N,F].
Tensor SwiGlu(Tape& tape, const Tensor& gate_up);

// max(x, 0)^2, of x's type.
Tensor ReluSquared(Tape& tape, const Tensor& x);

// sigmoid(gate) * x, both [N,C], of x's type.
Tensor SigmoidGate(Tape& tape, const Tensor& gate, const Tensor& x);

// gate_up [N,2F] -> gelu(gate) * up [N,F], gelu(x) = x (1 + erf(x / sqrt 2)) / 2.
Tensor GeGlu(Tape& tape, const Tensor& gate_up);

// sigmoid(gate) * a + (1 - sigmoid(gate)) * b, all [N,C].
Tensor GateMix(Tape& tape, const Tensor& gate, const Tensor& a, const Tensor& b);

// x sigmoid(x), [N,F].
Tensor Silu(Tape& tape, const Tensor& x);

// RMS norm of every run of D columns, as of queries and keys per head (QK-norm): x [N, P*H*D] of the compute type,
// gains [P,D], of which gain p serves the columns of part p.
Tensor HeadNorm(Tape& tape, const Tensor& x, const Param& gains, float eps = 1e-6f);

// Identity outside training or for p = 0.
Tensor Dropout(Tape& tape, const Tensor& x, double p);
// x + dropout(branch): the residual connection. x f32 [N,C], branch of the compute type -> f32 [N,C].
Tensor AddDropout(Tape& tape, const Tensor& x, const Tensor& branch, double p);

// x + sigmoid(gate) * branch: x f32 [N,C], branch of the compute type, gate [1] -> f32 [N,C].
Tensor AddScalarGated(Tape& tape, const Tensor& x, const Tensor& branch, const Param& gate);

// weights[0] a + weights[1] b, both [N,C], of a's type; weights [2], learned numbers: residual streams that remember
// their start, skips, values of tokens beside those of attention.
Tensor WeightedSum(Tape& tape, const Tensor& a, const Tensor& b, const Param& weights);

// 2 sigmoid(gate[n,h]) on all columns of head h: gate [N,H], x [N, H*D], of x's type.
Tensor HeadGate(Tape& tape, const Tensor& gate, const Tensor& x);

// A learned row [C] at every position -> f32 [N,C].
Tensor Broadcast(Tape& tape, const Param& row);

// x + w_0 a + w_1 b, w = softmax(logits): x f32 [N,C]; logits [N,2], a, b [N,C] of the compute type -> f32 [N,C].
Tensor AddMixture(Tape& tape, const Tensor& x, const Tensor& logits, const Tensor& a, const Tensor& b);

// x | what a query reads from learned slots [S,C] by softmax(query . slot / sqrt(C)): x f32 [N,C], query [N,C] of the
// compute type -> compute type [N,2C].
Tensor SlotRead(Tape& tape, const Tensor& x, const Tensor& query, const Param& slots);

// x + sigmoid(gate) * branch: a residual connection with a gate per token. x f32 [N,C], branch of the compute type,
// gate f32 [N,1] -> f32 [N,C].
Tensor AddTokenGated(Tape& tape, const Tensor& x, const Tensor& branch, const Tensor& gate);

struct AttentionConfig {
  int heads = 0, head_dim = 0, window = 0;
  kernels::Rope rope = kernels::Rope::kHalf;
  double dropout = 0;
  int value_heads = 0;  // head h reads values h mod value_heads; 0: each its own
  double rope_base = kernels::kRopeBase;
};
// q, k [N, H*D], v [N, value_heads*D] -> [N, H*D]: causal sliding-window attention (kernels/attention/attention.h). A
// window of the whole context is full attention.
Tensor WindowAttention(Tape& tape, const Tensor& q, const Tensor& k, const Tensor& v, const AttentionConfig& config);
// The same of the columns q|k|v of one tensor.
Tensor WindowAttention(Tape& tape, const Tensor& qkv, const AttentionConfig& config);

// Every head of x [N, K*D] `times` times, one after another -> [N, K*times*D], of x's type: keys or values that groups
// of neighbouring query heads share (grouped-query attention, Ainslie et al., 2023).
Tensor RepeatHeads(Tape& tape, const Tensor& x, int head_dim, int times);

// Differential attention's end: x [N, 2*H*D], the heads of a first and a second softmax -> [N, H*D],
// rms_norm(first - lambda * second) per head, lambda = 0.8 exp(mean(lambda_q) - mean(lambda_k)) held in [0.1, 2].
Tensor DifferentialHeads(Tape& tape, const Tensor& x, const Param& lambda_q, const Param& lambda_k, int heads);

// An expert of a mixture: up [F,C], down [C,F].
struct Expert {
  Param up, down;
};
constexpr int kMaxExperts = 64;
// x [N,C] and logits [N,K], compute type -> [N,C]: of each token p * down silu(up x) of the expert with the largest
// logit, p its softmax probability; only that expert is computed. experts: [K], of equal shapes and quantisation.
Tensor RoutedExperts(Tape& tape, const Tensor& x, const Tensor& logits, const Expert* experts);

struct DeltaConfig {
  int heads = 0, mem_dim = 0;
  bool delta_rule = true;
};
// proj [N, 3*H*M + H (+ H)], columns k|v|q|beta|alpha -> [N, H*M] (kernels/delta/delta.h). alpha_bias [H] for the delta
// rule only.
Tensor DeltaMemory(Tape& tape, const Tensor& proj, const Param& alpha_bias, const DeltaConfig& config);

// Token shift: m x_t + (1 - m) x_{t-1}, m = sigmoid(mix), mix [C]; x [N,C] of any type, zeros before the start.
Tensor TokenShift(Tape& tape, const Tensor& x, const Param& mix);

// x_t | x_{t-lag}: x [N,C] of any type -> [N,2C], zeros before the start.
Tensor PairWithPast(Tape& tape, const Tensor& x, int lag);

// gate_value [N,2C], columns gate|value; kernel [C,K] -> sigmoid(gate) * c [N,C], c the causal depthwise convolution of
// the values, the kernel's last column for the position itself.
Tensor GatedConv(Tape& tape, const Tensor& gate_value, const Param& kernel);

// Gated average, a state per channel (kernels/scan/scan.h): forget, value, open [N,C], often columns of one tensor;
// forget_bias [C] -> sigmoid(open) * s [N,C], s_t = f_t s_{t-1} + (1 - f_t) value_t with f_t in (floor, 1).
Tensor GatedScan(Tape& tape, const Tensor& forget, const Tensor& value, const Tensor& open, const Param& forget_bias,
                 float floor);
// The same of the columns forget|value|open of one tensor.
Tensor GatedScan(Tape& tape, const Tensor& proj, const Param& forget_bias, float floor);

// Decaying sum: proj [N,2C], columns gate|value; decay [C], a logit -> s [N,C],
// s_t = sigmoid(decay) s_{t-1} + sigmoid(gate_t) v_t.
Tensor DecayScan(Tape& tape, const Tensor& proj, const Param& decay);

// The mean of x up to each position, over the whole stream: x f32 [N,C] -> compute type [N,C].
Tensor RunningMean(Tape& tape, const Tensor& x);

// The engine of v6 (kernels/reasoning/reasoning.h): operations and router, depth classifier, memory of slots.
struct ReasoningParams {
  Param router;                  // [K,R], float like the rest or, as the next two, ternary with a scale a matrix
  Param operations;              // K matrices [R,R]
  Param classifier;              // [3,R]
  Param read_key;                // [R,R]
  Param mix;                     // [R,2R]
  Param gain, bias;              // [R]
  Param write_gate;              // [1,R]
  Param write_value, write_key;  // [R,R]
  Param write_scale;             // [1]
  Param slots;                   // [S,R], a buffer
};
struct ReasoningConfig {
  int operations = 0, slots = 0;
  int depth = 0;      // passes of every token: 1, 3 or 8; 0: each token its own
  double noise = 1;   // factor on the depths' Gumbel noise, in training
  bool blend = true;  // of the states at depths up to the drawn one, in training
};
struct ReasoningResult {
  Tensor state;  // [N,R], r's type
  Tensor usage;  // f32 [1,K]: mean router probabilities over all passes; in training, as the rest but `passes`
  const float* shares = nullptr;        // [K]: part of the choices that fell on an operation
  const float* mean_address = nullptr;  // [S] of the memory write
  const float* mean_write = nullptr;    // [R]
  int64_t passes = 0;                   // that all tokens took together
  const int32_t* depths = nullptr;      // [N], and each of them
};
// `pack` belongs to the model, whose passes share it, and is renewed when the parameters changed.
ReasoningResult Reasoning(Tape& tape, const Tensor& r, const ReasoningParams& params, const ReasoningConfig& config,
                          kernels::ReasoningPack& pack);

// usage f32 [1,K] (mean router probabilities), shares [K] (of choices made, constants) -> f32 [1,1]:
// weight * K * sum_k shares_k usage_k; `weight` when both are even. Not seeded: goes to Prediction::auxiliary.
Tensor BalanceLoss(Tape& tape, const Tensor& usage, const float* shares, double weight);

// choices [N,D], logits of which the differences to the first are to be `gains` [N,D] (constants, 0 in column 0) ->
// f32 [1,1], seeded: scale * mean over rows of sum_d (choice_d - choice_0 - gain_d)^2.
struct GainLossResult {
  Tensor objective;
  double squared_error;  // what scale multiplies
};
GainLossResult GainLoss(Tape& tape, const Tensor& choices, const float* gains, double scale);

// x f32 [N,C] . w [C] -> f32 [N,1].
Tensor RowDot(Tape& tape, const Tensor& x, const Param& w);

struct CrossEntropyConfig {
  double softcap = 0;         // c tanh(z / c); 0: none
  double entropy_weight = 0;  // objective: ce - entropy_weight * H
  double scale = 1;           // of the objective's sum over rows: 1 / (tokens of the whole step)
  // Tokens that should not come next, [N], -1: none in this row; null: none (kernels/loss/loss.h). Read at once.
  const int32_t* unlikely = nullptr;
  double unlikely_weight = 0;
  // A second opinion on each target (kernels/loss/loss.h): gates f32 [N,1], empty: none; log-probabilities [N].
  Tensor gates = {};
  const float* opinion = nullptr;
  double opinion_joint = 1;  // Opinion::joint
};
struct CrossEntropyResult {
  Tensor objective;            // f32 [1,1], seeded: scale * sum(ce - entropy_weight * H)
  const float* nats;           // [N] cross-entropy of each target, of the mixture where there is a second opinion
  const float* entropies;      // [N]
  const float* unlikelihoods;  // [N] of the unlikely tokens; null without them
};
// hidden: compute type [N,C]; head [V,C]; targets [N] in [0,V), -1: none, the row counts nothing. Logits exist for a
// few rows at a time only.
CrossEntropyResult CrossEntropy(Tape& tape, const Tensor& hidden, const Param& head, const int32_t* targets,
                                const CrossEntropyConfig& config);

// Tokens ahead that a value head is about, if a run does not say another number.
constexpr int kValueHorizon = 8;

struct ValueLossResult {
  Tensor objective;  // f32 [1,1], seeded: scale * mean squared error
  double mean_squared_error;
  double correlation;
};
// values f32 [N,1] against the mean of the next `horizon` entries of nats (docs/spec/training.md#value-loss); no
// gradient flows into nats.
ValueLossResult ValueLoss(Tape& tape, const Tensor& values, const float* nats, int horizon, double scale);

// hidden [N,C] -> f32 log-probabilities [N,V], soft cap included. Inference only: training never keeps logits.
Tensor LogProbabilities(Tape& tape, const Tensor& hidden, const Param& head, double softcap);
// In place, log p <- log((1 - g) p + g q), g = sigmoid(gates): log_probs, others (q) f32 [N,V], gates [N].
void MixLogProbabilities(const Tensor& log_probs, const Tensor& others, const float* gates);

// All operations, for tests and benchmarks.
const std::vector<const OpDef*>& AllOps();

}  // namespace flashlm
