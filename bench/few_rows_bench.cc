// Products of a few rows as decoding makes them: bytes of weights per second, the cost of a small call, and up to how
// many rows our kernel (few_rows.h) is faster than oneDNN.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "kernels/gemm/few_rows.h"
#include "kernels/gemm/gemm.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kInputs = 256;

// A model's worth of bf16 layers of 256 inputs, read in turn as a decoding step does: 13 MB do not stay in L2.
// Arguments: rows of x, outputs per layer, megabytes of weights, threads. make(values, outputs) packs a layer,
// multiply(layer, x, y) multiplies by it.
template <class Make, class Multiply>
void Measure(benchmark::State& state, const Make& make, const Multiply& multiply) {
  const int64_t rows = state.range(0), outputs = state.range(1);
  const int64_t layers = std::max<int64_t>(1, (state.range(2) << 20) / (2 * outputs * kInputs));
  SetThreadCount(static_cast<int>(state.range(3)));
  const std::vector<float> values(static_cast<size_t>(outputs * kInputs), 0.5f);
  std::vector<decltype(make(values, outputs))> weights;
  for (int64_t i = 0; i < layers; ++i) weights.push_back(make(values, outputs));
  std::vector<BFloat16> x(static_cast<size_t>(rows * kInputs), ToBFloat16(1.0f));
  std::vector<float> y(static_cast<size_t>(rows * outputs));
  for (auto _ : state) {
    for (auto& weight : weights) {
      multiply(weight, {x.data(), DType::kBF16, rows, kInputs, kInputs},
               {y.data(), DType::kF32, rows, outputs, outputs});
    }
  }
  const int64_t calls = state.iterations() * layers;
  state.SetBytesProcessed(calls * outputs * kInputs * 2);
  state.counters["s/call"] =
      benchmark::Counter(static_cast<double>(calls), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["flop/s"] =
      benchmark::Counter(2.0 * static_cast<double>(calls * rows * outputs * kInputs), benchmark::Counter::kIsRate);
}

void BM_FewRows(benchmark::State& state) {
  Measure(
      state,
      [](const std::vector<float>& values, int64_t outputs) {
        Panels panels;
        panels.SetValues({const_cast<float*>(values.data()), DType::kF32, outputs, kInputs, kInputs}, DType::kBF16,
                         PanelOutputs());
        return panels;
      },
      [](const Panels& w, const Matrix& x, const Matrix& y) { FewRowsProduct(x, w, y, false); });
}

// Beyond kFewRows a packed weight is oneDNN's business.
void BM_OneDnn(benchmark::State& state) {
  Measure(
      state,
      [](const std::vector<float>& values, int64_t outputs) {
        PackedWeight packed;
        packed.SetValues(values.data(), outputs, kInputs, DType::kBF16);
        return packed;
      },
      [](PackedWeight& w, const Matrix& x, const Matrix& y) { w.Forward(x, y, false); });
}

BENCHMARK(BM_FewRows)
    ->ArgNames({"rows", "outputs", "MB", "threads"})
    ->Args({1, 16, 0, 1})
    ->Args({1, 256, 0, 1})
    ->Args({1, 256, 0, 2})
    ->Args({1, 1024, 13, 1})
    ->ArgsProduct({{1, 2, 4, 8, 16, 32, 48, 64, 128, 512}, {1024}, {13}, {2}})
    ->UseRealTime();
BENCHMARK(BM_OneDnn)
    ->ArgNames({"rows", "outputs", "MB", "threads"})
    ->ArgsProduct({{48, 64, 128, 512}, {1024}, {13}, {2}})
    ->UseRealTime();

}  // namespace
}  // namespace flashlm::kernels
