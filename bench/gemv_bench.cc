// Decoding's matrix-vector products: bytes of weights per second, the cost of a small call.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "kernels/gemm/gemv.h"

namespace flashlm::kernels {
namespace {

// A model's worth of bf16 layers of 256 inputs, read in turn as a decoding step does: 13 MB does not stay in
// L2. Arguments: rows of x, outputs per layer, megabytes of weights, threads.
void BM_MatVecBf16(benchmark::State& state) {
  const int64_t rows = state.range(0), outputs = state.range(1), inputs = 256;
  const int64_t layers = std::max<int64_t>(1, (state.range(2) << 20) / (2 * outputs * inputs));
  SetThreadCount(static_cast<int>(state.range(3)));
  const std::vector<float> values(static_cast<size_t>(outputs * inputs), 0.5f);
  std::vector<MatVecWeight> weights(static_cast<size_t>(layers));
  for (MatVecWeight& weight : weights) weight.SetValues(values.data(), outputs, inputs, DType::kBF16);
  std::vector<BFloat16> x(static_cast<size_t>(rows * inputs), ToBFloat16(1.0f));
  std::vector<float> y(static_cast<size_t>(rows * outputs));
  for (auto _ : state) {
    for (const MatVecWeight& weight : weights) {
      MatVec({x.data(), DType::kBF16, rows, inputs, inputs}, weight, {y.data(), DType::kF32, rows, outputs, outputs},
             false);
    }
  }
  state.SetBytesProcessed(state.iterations() * layers * outputs * inputs * 2);
  state.counters["s/call"] = benchmark::Counter(static_cast<double>(state.iterations() * layers),
                                                benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_MatVecBf16)
    ->ArgNames({"rows", "outputs", "MB", "threads"})
    ->Args({1, 16, 0, 1})
    ->Args({1, 256, 0, 1})
    ->Args({1, 256, 0, 2})
    ->Args({1, 1024, 13, 1})
    ->Args({1, 1024, 13, 2})
    ->Args({1, 4096, 13, 2})
    ->Args({2, 1024, 13, 2})
    ->Args({4, 1024, 13, 2})
    ->Args({8, 1024, 13, 2})
    ->Args({16, 1024, 13, 2})
    ->UseRealTime();

}  // namespace
}  // namespace flashlm::kernels
