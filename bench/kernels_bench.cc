// Every kernel at the sizes of a training step of CORTEX-VIII (1,024 tokens of 256 columns; the other architectures'
// kernels at the same), each beside plain code and beside what the machine could do:
//
//   x_scalar  times faster than with FLASHLM_ISA=scalar, measured in the same run by a child process
//   of_roof   part of its roofline: the longer of its bytes over the rate at which this machine copies as many bytes,
//   and
//             its useful multiplications and additions over the GEMM peak of its type (int8: that of bf16, so up to 2)
//
//   build/release/bench/kernels_bench [--benchmark_filter=...]
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/rng.h"
#include "kernels/activation/activation.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/differential.h"
#include "kernels/conv/conv.h"
#include "kernels/delta/delta.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embed/embed.h"
#include "kernels/gate/gate.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/peak.h"
#include "kernels/isa.h"
#include "kernels/loss/loss.h"
#include "kernels/mixture/mixture.h"
#include "kernels/norm/head_norm.h"
#include "kernels/norm/layer_norm.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/reasoning/reasoning.h"
#include "kernels/route/route.h"
#include "kernels/scan/scan.h"
#include "kernels/shift/shift.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kTokens = 1024, kWidth = 256, kHidden = 512, kVocab = 4096;
constexpr int kBatch = 4, kLength = 256, kHeads = 4;

struct Case {
  std::string name;
  double bytes, flops;  // that a call cannot avoid
  DType dtype;          // of the products
  std::function<void()> call;
};

// The cases and the memory they work on, which lives as long as the program.
class Cases {
 public:
  Cases() {
    AddProducts();
    AddAttention();
    AddMemory();
    AddNorms();
    AddActivations();
    AddRecurrences();
    AddRouting();
    AddTernary();
    AddLoss();
    AddOptimizer();
    AddReasoning();
  }
  const std::deque<Case>& all() const { return cases_; }

 private:
  float* Floats(int64_t n, float scale = 1) {
    std::vector<float>& memory = floats_.emplace_back(static_cast<size_t>(n));
    for (float& x : memory) x = scale * static_cast<float>(rng_.Normal());
    return memory.data();
  }
  int32_t* Integers(int64_t n, int32_t below) {
    std::vector<int32_t>& memory = integers_.emplace_back(static_cast<size_t>(n));
    for (int32_t& x : memory) x = static_cast<int32_t>(rng_.Below(static_cast<uint64_t>(below)));
    return memory.data();
  }
  Matrix F32(int64_t rows, int64_t cols) { return {Floats(rows * cols), DType::kF32, rows, cols, cols}; }
  Matrix Bf16(int64_t rows, int64_t cols) {
    const Matrix to{Floats((rows * cols + 1) / 2), DType::kBF16, rows, cols, cols};
    Copy(F32(rows, cols), to, false);
    floats_.pop_back();
    return to;
  }
  Matrix Int8(int64_t rows, int64_t cols) {
    const Matrix to{Floats((rows * cols + 3) / 4), DType::kI8, rows, cols, cols};
    QuantizeRows(F32(rows, cols), to, Floats(rows));
    return to;
  }

  static double Bytes(const Matrix& m) {
    return static_cast<double>(m.rows * m.cols) * static_cast<double>(SizeOf(m.dtype));
  }
  // A kernel bound by the memory it reads and writes.
  void Add(const std::string& name, const std::vector<Matrix>& operands, std::function<void()> call, double flops = 0) {
    double bytes = 0;
    for (const Matrix& m : operands) bytes += Bytes(m);
    cases_.push_back({name, bytes, flops, DType::kF32, std::move(call)});
  }
  void AddProduct(const std::string& name, DType dtype, double bytes, double flops, std::function<void()> call) {
    cases_.push_back({name, bytes, flops, dtype, std::move(call)});
  }

  void AddProducts() {
    constexpr int64_t kOut = 1024;
    const float* w = Floats(kOut * kWidth, 0.05f);
    const double weights = kOut * kWidth;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      PackedWeight& packed = weights_.emplace_back();
      packed.SetValues(w, kOut, kWidth, dtype);
      const auto matrix = [&](int64_t rows, int64_t cols) {
        return dtype == DType::kF32 ? F32(rows, cols) : Bf16(rows, cols);
      };
      const char* type = dtype == DType::kF32 ? "f32" : "bf16";
      const double size = static_cast<double>(SizeOf(dtype));
      for (const int64_t rows : {int64_t{1}, kTokens}) {
        const Matrix x = matrix(rows, kWidth), y = matrix(rows, kOut), dw = F32(kOut, kWidth);
        const double bytes = Bytes(x) + Bytes(y) + weights * size, flops = 2.0 * static_cast<double>(rows) * weights;
        AddProduct(fmt::format("gemm/forward_{}_rows:{}", type, rows), dtype, bytes, flops,
                   [&packed, x, y] { packed.Forward(x, y, false); });
        if (rows == 1) continue;
        AddProduct(fmt::format("gemm/input_gradient_{}", type), dtype, bytes, flops,
                   [&packed, x, y] { packed.InputGradient(y, x, false); });
        AddProduct(fmt::format("gemm/weight_gradient_{}", type), dtype, Bytes(x) + Bytes(y) + 2 * Bytes(dw), flops,
                   [x, y, dw] { WeightGradient(y, x, dw); });
      }
    }
    float *trits = Floats(kOut * kWidth), *scales = Floats(kOut);
    Ternarize(Ternary::kMatrix, w, kOut, kWidth, trits, scales);
    ternary_.SetValues(trits, kOut, kWidth);
    int8_.SetValues(w, kOut, kWidth);
    for (const int64_t rows : {int64_t{1}, kTokens}) {
      const Matrix q = Int8(rows, kWidth), y = F32(rows, kOut);
      const double flops = 2.0 * static_cast<double>(rows) * weights;
      AddProduct(fmt::format("gemm/ternary_rows:{}", rows), DType::kBF16,
                 Bytes(q) + Bytes(y) + weights * (rows == 1 ? 0.25 : 1), flops,
                 [this, q, y] { ternary_.Forward(q, y); });
      if (!HasVnni()) continue;
      AddProduct(fmt::format("gemm/int8_rows:{}", rows), DType::kBF16, Bytes(q) + Bytes(y) + weights, flops,
                 [this, q, y] { int8_.Forward(q, y); });
    }
  }

  void AddAttention() {
    for (const int window : {32, 256}) {
      const AttentionShape shape{.batch = kBatch, .length = kLength, .heads = kHeads, .head_dim = 64, .window = window};
      const Matrix qkv = Bf16(kTokens, 3 * kWidth), out = Bf16(kTokens, kWidth), dout = Bf16(kTokens, kWidth),
                   dqkv = Bf16(kTokens, 3 * kWidth);
      float* log_sums = Floats(kTokens * kHeads);
      double pairs = 0;
      for (int t = 0; t < kLength; ++t) pairs += std::min(t + 1, window);
      const double product = 2.0 * pairs * kBatch * kWidth;
      Add(
          fmt::format("attention/forward_window:{}", window), {qkv, out},
          [=] { Attention(shape, Qkv::Of(qkv, kWidth), nullptr, out, log_sums); }, 2 * product);
      Attention(shape, Qkv::Of(qkv, kWidth), nullptr, out, log_sums);
      Add(
          fmt::format("attention/backward_window:{}", window), {qkv, out, dout, dqkv},
          [=] { AttentionGrad(shape, Qkv::Of(qkv, kWidth), out, log_sums, dout, Qkv::Of(dqkv, kWidth)); }, 5 * product);
    }
    const Matrix x = Bf16(kTokens, 2 * kWidth), y = Bf16(kTokens, kWidth), dy = Bf16(kTokens, kWidth),
                 dx = Bf16(kTokens, 2 * kWidth);
    float *inv_rms = Floats(kTokens * kHeads), *scratch = Floats(DifferentialGradScratch(kTokens));
    Add("attention/differential", {x, y}, [=] { Differential(x, 0.3f, 64, y, inv_rms); });
    Add("attention/differential_backward", {x, y, dy, dx},
        [=] { DifferentialGrad(x, 0.3f, 64, y, inv_rms, dy, dx, scratch); });
  }

  // Flops are those of the recurrence; the chunked form does more of them to do them side by side.
  void AddMemory() {
    constexpr int kMem = 32;
    for (const bool delta : {false, true}) {
      const DeltaShape shape{kBatch, kLength, kHeads, kMem, delta};
      const int64_t cols = 3 * kHeads * kMem + kHeads * (delta ? 2 : 1);
      const Matrix proj = Bf16(kTokens, cols), out = Bf16(kTokens, kHeads * kMem), dout = Bf16(kTokens, kHeads * kMem),
                   dproj = Bf16(kTokens, cols);
      float *bias = Floats(kHeads), *dbias = Floats(kHeads), *saved = Floats(DeltaSavedSize(shape));
      if (!delta) bias = dbias = nullptr;
      const double token = 2.0 * kMem * kMem * kHeads * (delta ? 3 : 2);
      const char* mode = delta ? "delta" : "linear";
      Add(
          fmt::format("memory/{}_forward", mode), {proj, out},
          [=] { DeltaMemory(shape, proj, bias, nullptr, 0, out, saved); }, token * kTokens);
      DeltaMemory(shape, proj, bias, nullptr, 0, out, saved);
      Add(
          fmt::format("memory/{}_backward", mode), {proj, dout, dproj},
          [=] { DeltaMemoryGrad(shape, proj, bias, saved, dout, dproj, dbias); }, 2 * token * kTokens);
    }
  }

  void AddNorms() {
    const Matrix x = F32(kTokens, kWidth), y = Bf16(kTokens, kWidth), dx = F32(kTokens, kWidth),
                 dy = Bf16(kTokens, kWidth);
    float *gain = Floats(kWidth), *bias = Floats(kWidth), *dgain = Floats(kWidth), *dbias = Floats(kWidth);
    float *inv = Floats(kTokens), *moments = Floats(2 * kTokens);
    float *rms_scratch = Floats(RmsNormGradScratch(kTokens, kWidth)),
          *layer_scratch = Floats(LayerNormGradScratch(kTokens, kWidth));
    Add("norm/rms", {x, y}, [=] { RmsNorm(x, gain, 1e-6f, y, inv); });
    Add("norm/rms_backward", {x, dy, dx}, [=] { RmsNormGrad(x, gain, inv, dy, dx, false, dgain, rms_scratch); });
    Add("norm/layer", {x, y}, [=] { LayerNorm(x, gain, bias, 1, 1e-5f, y, moments); });
    Add("norm/layer_backward", {x, dy, dx},
        [=] { LayerNormGrad(x, gain, 1, moments, dy, dx, false, dgain, dbias, layer_scratch); });
    const Matrix qk = Bf16(kTokens, 2 * kWidth), qk_out = Bf16(kTokens, 2 * kWidth), dqk = Bf16(kTokens, 2 * kWidth);
    float *gains = Floats(2 * 64), *dgains = Floats(2 * 64), *head_inv = Floats(kTokens * 2 * kHeads);
    float* head_scratch = Floats(HeadNormGradScratch(kTokens, 2, 64));
    Add("norm/head", {qk, qk_out}, [=] { HeadNorm(qk, gains, 2, 64, 1e-6f, qk_out, head_inv); });
    Add("norm/head_backward", {qk, qk_out, dqk},
        [=] { HeadNormGrad(qk, gains, 2, 64, head_inv, qk_out, dqk, dgains, head_scratch); });
  }

  void AddActivations() {
    const Matrix wide = Bf16(kTokens, 2 * kHidden), dwide = Bf16(kTokens, 2 * kHidden), f = Bf16(kTokens, kHidden),
                 df = Bf16(kTokens, kHidden), df2 = Bf16(kTokens, kHidden);
    Add("activation/swiglu", {wide, f}, [=] { SwiGlu(wide, f); });
    Add("activation/swiglu_backward", {wide, df, dwide}, [=] { SwiGluGrad(wide, df, dwide); });
    Add("activation/geglu", {wide, f}, [=] { GeGlu(wide, f); });
    Add("activation/geglu_backward", {wide, df, dwide}, [=] { GeGluGrad(wide, df, dwide); });
    Add("activation/silu", {f, df2}, [=] { Silu(f, df2); });
    Add("activation/silu_backward", {f, df, df2}, [=] { SiluGrad(f, df, df2, false); });
    Add("activation/relu2", {f, df2}, [=] { ReluSquared(f, df2); });
    Add("activation/relu2_backward", {f, df, df2}, [=] { ReluSquaredGrad(f, df, df2); });

    std::array<Matrix, 7> m;
    for (Matrix& matrix : m) matrix = Bf16(kTokens, kWidth);
    const Matrix x = F32(kTokens, kWidth), y = F32(kTokens, kWidth), dx = F32(kTokens, kWidth);
    Add("gate/mix", {m[0], m[1], m[2], m[3]}, [=] { GateMix(m[0], m[1], m[2], m[3]); });
    Add("gate/mix_backward", {m[0], m[1], m[2], m[3], m[4], m[5], m[6]},
        [=] { GateMixGrad(m[0], m[1], m[2], m[3], m[4], m[5], m[6]); });
    Add("gate/sigmoid", {m[0], x, y}, [=] { SigmoidGate(m[0], x, y); });
    Add("gate/sigmoid_backward", {m[0], x, y, m[1], dx}, [=] { SigmoidGateGrad(m[0], x, y, m[1], dx, false); });
    float *gate = Floats(1), *dgate = Floats(1), *gate_scratch = Floats(AddGatedGradScratch(kTokens));
    Add("gate/residual", {x, m[0], y}, [=] { AddGated(x, m[0], gate, y); });
    Add("gate/residual_backward", {m[0], y, m[1]}, [=] { AddGatedGrad(m[0], gate, y, m[1], dgate, gate_scratch); });
    for (const int percent : {0, 10}) {
      const Dropout dropout{.p = static_cast<float>(percent) / 100, .key = {1, 2}, .step = 3};
      Add(fmt::format("residual/dropout:{}%", percent), {x, m[0], y}, [=] { AddDropout(x, m[0], dropout, y); });
      Add(fmt::format("residual/dropout:{}%_backward", percent), {y, m[0]},
          [=] { ApplyDropout(y, dropout, m[0], false); });
    }
    const Matrix logits = Bf16(kTokens, 2), dlogits = Bf16(kTokens, 2);
    Add("mixture/two_branches", {x, m[0], m[1], y}, [=] { AddMixture(x, logits, m[0], m[1], y); });
    Add("mixture/two_branches_backward", {m[0], m[1], y, m[2], m[3]},
        [=] { AddMixtureGrad(logits, m[0], m[1], y, dlogits, m[2], m[3]); });
    constexpr int64_t kSlots = 8;
    float *slots = Floats(kSlots * kWidth), *dslots = Floats(kSlots * kWidth), *weights = Floats(kTokens * kSlots);
    float* slot_scratch = Floats(SlotReadGradScratch(kTokens, kWidth, kSlots));
    const Matrix read = Bf16(kTokens, 2 * kWidth);
    const double slot_flops = 4.0 * kTokens * kSlots * kWidth;
    Add(
        "mixture/slots", {x, m[0], read}, [=] { SlotRead(x, m[0], slots, kSlots, read, weights); }, slot_flops);
    Add(
        "mixture/slots_backward", {m[0], read, dx, m[1]},
        [=] { SlotReadGrad(m[0], slots, kSlots, weights, read, dx, false, m[1], dslots, slot_scratch); },
        2 * slot_flops);
  }

  void AddRecurrences() {
    const Matrix proj = Bf16(kTokens, 3 * kWidth), dproj = Bf16(kTokens, 3 * kWidth), y = Bf16(kTokens, kWidth),
                 dy = Bf16(kTokens, kWidth), dx = Bf16(kTokens, kWidth), states = F32(kTokens, kWidth),
                 x = F32(kTokens, kWidth);
    const Matrix two = {proj.data, proj.dtype, kTokens, 2 * kWidth, 3 * kWidth},
                 dtwo = {dproj.data, dproj.dtype, kTokens, 2 * kWidth, 3 * kWidth};
    float *c = Floats(kWidth), *dc = Floats(kWidth), *scratch = Floats(kBatch * kWidth);
    const ScanShape scan{kBatch, kLength, kWidth};
    auto* kept = static_cast<float*>(states.data);
    const Gated in = Gated::Of(proj), din = Gated::Of(dproj);
    Add("scan/gated", {proj, y, states}, [=] { GatedScan(scan, in, c, 0.5f, nullptr, y, kept); });
    Add("scan/gated_backward", {proj, states, dy, dproj},
        [=] { GatedScanGrad(scan, in, c, 0.5f, kept, dy, din, dc, scratch); });
    Add("scan/decay", {two, y, states}, [=] { DecayScan(scan, two, c, nullptr, y, kept); });
    Add("scan/decay_backward", {two, states, dy, dtwo},
        [=] { DecayScanGrad(scan, two, c, kept, dy, dtwo, dc, scratch); });
    Add("scan/mean", {x, y}, [=] { RunningMean(scan, x, nullptr, nullptr, y); });
    Add("scan/mean_backward", {dy, x}, [=] { RunningMeanGrad(scan, dy, x, false); });

    const ConvShape conv{kBatch, kLength, kWidth, 8};
    float *kernel = Floats(8 * kWidth), *dkernel = Floats(8 * kWidth),
          *conv_scratch = Floats(GatedConvGradScratch(conv) + 8 * kWidth);
    const double taps = 2.0 * 8 * kTokens * kWidth;
    Add(
        "conv/gated", {two, y}, [=] { GatedConv(conv, two, kernel, nullptr, y, conv_scratch); }, taps);
    Add(
        "conv/gated_backward", {two, dy, dtwo},
        [=] { GatedConvGrad(conv, two, kernel, dy, dtwo, dkernel, conv_scratch); }, 2 * taps);

    const ShiftShape shift{kBatch, kLength, 1};
    float* shift_scratch = Floats(TokenShiftGradScratch(kTokens, kWidth));
    Add("shift/token", {y, dy}, [=] { TokenShift(shift, y, c, nullptr, dy); });
    Add("shift/token_backward", {y, dy, dx}, [=] { TokenShiftGrad(shift, y, c, dy, dx, false, dc, shift_scratch); });
    Add("shift/pair", {y, two}, [=] { PairWithPast(shift, y, nullptr, two); });
  }

  void AddRouting() {
    constexpr int64_t kExperts = 6;
    const Matrix x = Bf16(kTokens, kWidth), y = Bf16(kTokens, kWidth), logits = Bf16(kTokens, kExperts),
                 probabilities = F32(kTokens, kExperts), table = F32(kVocab, kWidth), f = F32(kTokens, kWidth);
    int32_t *choice = Integers(kTokens, kExperts), *index = Integers(kTokens, 1), *tokens = Integers(kTokens, kVocab);
    for (int32_t n = 0; n < kTokens; ++n) index[n] = static_cast<int32_t>((n * 7) % kTokens);
    float *scale = Floats(kTokens), *dscale = Floats(kTokens);
    Add("route/softmax", {logits, probabilities},
        [=] { Route(logits, static_cast<float*>(probabilities.data), choice); });
    Add("route/move", {x, y}, [=] { MoveRows(x, index, y); });
    Add("route/fetch", {x, y}, [=] { FetchRows(x, index, y, false); });
    Add("route/scale", {x, y}, [=] { ScaleRows(x, index, scale, nullptr, y); });
    Add("route/scale_backward", {x, x, y}, [=] { ScaleRowsGrad(x, index, scale, y, x, dscale); });
    Add("embed/gather", {f, f}, [=] { Embed(table, tokens, f); });
    Add("embed/scatter", {f, f, f}, [=] { EmbedGrad(tokens, f, table); });
  }

  void AddTernary() {
    const Matrix w = F32(kHidden, kWidth), trits = F32(kHidden, kWidth), x = Bf16(kTokens, kWidth),
                 y = Bf16(kTokens, kWidth), q = Int8(kTokens, kWidth);
    float *scales = Floats(kTokens), *values = w.Row<float>(0), *out = trits.Row<float>(0);
    Add("ternary/quantise", {w, trits}, [=] { Ternarize(Ternary::kMatrix, values, kHidden, kWidth, out, scales); });
    Add("ternary/gradient", {w, trits, trits},
        [=] { TernaryGradient(Ternary::kScaleGradient, values, values, kHidden, kWidth, out); });
    Add("ternary/quantise_inputs", {x, q}, [=] { QuantizeRows(x, q, scales); });
    Add("vector/scale", {x, y}, [=] { Scale(x, scales, nullptr, y); });
    Add("ternary/widen", {q, y}, [=] { WidenIntegers(q, y); });
  }

  void AddLoss() {
    constexpr int64_t kRows = 256;
    const Matrix logits = F32(kRows, kVocab), dlogits = Bf16(kRows, kVocab);
    const int32_t* targets = Integers(kRows, kVocab);
    float *ce = Floats(kRows), *entropy = Floats(kRows);
    Add("loss/softmax_cross_entropy", {logits, dlogits}, [=] {
      SoftmaxCrossEntropy({0, 0.01f, 1.0f / kRows}, logits, targets, ce, entropy, nullptr, dlogits);
    });
    const Matrix values = F32(kRows, kVocab);
    Add("loss/log_softmax", {values, values}, [=] { LogSoftmax(0, values); });
  }

  void AddOptimizer() {
    constexpr int64_t kParameters = 6'566'400;
    const Matrix theta = F32(1, kParameters), gradient = F32(1, kParameters), m = F32(1, kParameters),
                 v = F32(1, kParameters);
    std::fill_n(v.Row<float>(0), kParameters, 1.0f);
    Add("optimizer/adamw", {theta, theta, gradient, gradient, m, m, v, v}, [=] {
      AdamW({.lr = 1e-3, .weight_decay = 0.1}, kParameters, theta.Row<float>(0), gradient.Row<float>(0),
            m.Row<float>(0), v.Row<float>(0));
    });
    Add("vector/sum_of_squares", {m}, [=] { benchmark::DoNotOptimize(SumOfSquares(m.Row<float>(0), kParameters)); });
    Add("vector/axpby", {theta, m, m}, [=] { Axpby(0.1f, theta.Row<float>(0), 0.9f, m.Row<float>(0), kParameters); });
  }

  void AddReasoning() {
    constexpr int kR = 96, kOperations = 16, kSlots = 16;
    const auto trits = [&](int64_t n) {
      float* w = Floats(n);
      for (int64_t i = 0; i < n; ++i) w[i] = w[i] > 0.5f ? 1.0f : w[i] < -0.5f ? -1.0f : 0.0f;
      return w;
    };
    const ReasoningMaps<const float> maps{trits(kOperations * kR),
                                          trits(kOperations * kR * kR),
                                          trits(kDepthChoices * kR),
                                          Floats(kR * kR, 0.1f),
                                          Floats(2 * kR * kR, 0.1f),
                                          Floats(kR),
                                          Floats(kR),
                                          Floats(kR),
                                          Floats(kR * kR, 0.1f),
                                          Floats(kR * kR, 0.1f),
                                          Floats(1),
                                          Floats(kSlots * kR)};
    float* scales = Floats(kOperations);
    std::fill_n(scales, kOperations, 0.1f);
    const Matrix r = Bf16(kTokens, kR), y = Bf16(kTokens, kR);
    for (const int depth : {1, 8}) {
      const ReasoningShape shape{
          .rows = kTokens, .width = kR, .operations = kOperations, .slots = kSlots, .depth = depth};
      PackReasoning(shape, maps, 0.1f, scales, 0.1f, reasoning_);
      void* memory = Floats(ReasoningMemory(shape) / 4 + 16);
      const double pass = 2.0 * (kOperations * kR + 2 * kR * kR + kR * kSlots * 2 + 2 * kR * kR);
      Add(
          fmt::format("reasoning/depth:{}", depth), {r, y},
          [=, this] {
            ReasoningSums sums;
            Reasoning(shape, reasoning_, r,
                      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64), y, sums);
          },
          pass * depth * kTokens);
    }
  }

  Rng rng_{1, Purpose::kTest};
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<int32_t>> integers_;
  std::deque<PackedWeight> weights_;
  PackedTrits ternary_;
  PackedInt8 int8_;
  ReasoningPack reasoning_;
  std::deque<Case> cases_;
};

// Bytes per second, read and written, of copying so that as many are touched. Kept per power of two.
double CopyRate(double bytes) {
  static std::map<int, double> rates;
  const int power = std::clamp(static_cast<int>(std::log2(bytes)), 12, 28);
  const auto found = rates.find(power);
  if (found != rates.end()) return found->second;
  const int64_t half = int64_t{1} << (power - 1), block = std::max<int64_t>(4096, half / ThreadCount());
  std::vector<char> from(static_cast<size_t>(half), 1), to(static_cast<size_t>(half));
  double best = 1e9;
  for (int repetition = 0; repetition < 200; ++repetition) {
    const Stopwatch watch;
    ParallelBlocks(half, block, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
    });
    benchmark::ClobberMemory();
    best = std::min(best, watch.Seconds());
  }
  return rates[power] = static_cast<double>(2 * half) / best;
}

double PeakFlops(DType dtype) {
  static std::map<DType, double> peaks;
  if (!peaks.contains(dtype)) peaks[dtype] = MeasureGemmPeak(dtype).gflops * 1e9;
  return peaks[dtype];
}

// Seconds per call with FLASHLM_ISA=scalar, of the cases whose name matches. The instruction set is chosen once per
// process, hence the child; call before anything else starts threads or asks for the instruction set.
std::map<std::string, double> ScalarTimes(const std::string& filter) {
  const ChildResult child = RunInChild([&] {
    setenv("FLASHLM_ISA", "scalar", 1);
    const std::regex wanted(filter);
    const Cases cases;
    std::string lines;
    for (const Case& c : cases.all()) {
      if (!std::regex_search(c.name, wanted)) continue;
      double best = 1e9;
      for (int repetition = 0; repetition < 3; ++repetition) {
        const Stopwatch watch;
        c.call();
        best = std::min(best, watch.Seconds());
      }
      lines += fmt::format("{} {}\n", c.name, best);
    }
    return lines;
  });
  std::map<std::string, double> times;
  std::istringstream lines(child.text);
  std::string name;
  for (double seconds; lines >> name >> seconds;) times[name] = seconds;
  return times;
}

void Measure(benchmark::State& state, const Case& c, double scalar_seconds) {
  c.call();
  const Stopwatch watch;
  for (auto _ : state) c.call();
  const double seconds = watch.Seconds() / static_cast<double>(state.iterations());
  const double roof = std::max(c.bytes / CopyRate(c.bytes), c.flops / PeakFlops(c.dtype));
  state.counters["of_roof"] = roof / seconds;
  if (scalar_seconds > 0) state.counters["x_scalar"] = scalar_seconds / seconds;
  state.SetBytesProcessed(static_cast<int64_t>(c.bytes) * state.iterations());
}

int Main(int argc, char** argv) {
  std::string filter = ".";
  for (int i = 1; i < argc; ++i) {
    constexpr std::string_view kFilter = "--benchmark_filter=";
    if (std::string_view(argv[i]).starts_with(kFilter)) filter = argv[i] + kFilter.size();
  }
  const std::map<std::string, double> scalar = ScalarTimes(filter);
  const Cases cases;
  for (const Case& c : cases.all()) {
    const auto found = scalar.find(c.name);
    const double seconds = found == scalar.end() ? 0 : found->second;
    benchmark::RegisterBenchmark(c.name.c_str(), [&c, seconds](benchmark::State& state) { Measure(state, c, seconds); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::AddCustomContext("cpu", CpuName() + ", " + NameOf(ActiveIsa()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace flashlm::kernels

int main(int argc, char** argv) { return flashlm::kernels::Main(argc, argv); }
