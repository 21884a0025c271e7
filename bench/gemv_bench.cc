// Decoding's matrix-vector products: bytes of weights per second, the cost of a small call.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "hwy/aligned_allocator.h"
#include "kernels/gemm/gemv.h"

namespace flashlm::kernels {
namespace {

// A model's worth of bf16 layers of 256 inputs, read in turn as a decoding step does: 13 MB does not stay in
// L2. Arguments: rows of x, outputs per layer, megabytes of weights, threads.
void BM_MatVecBf16(benchmark::State& state) {
  const int64_t rows = state.range(0), outputs = state.range(1), inputs = 256;
  const int64_t layers = std::max<int64_t>(1, (state.range(2) << 20) / (2 * outputs * inputs));
  SetThreadCount(static_cast<int>(state.range(3)));
  const auto weights = hwy::AllocateAligned<BFloat16>(static_cast<size_t>(layers * outputs * inputs));
  std::fill(weights.get(), weights.get() + layers * outputs * inputs, ToBFloat16(0.5f));
  std::vector<float> x(static_cast<size_t>(rows * inputs), 1.0f), y(static_cast<size_t>(rows * outputs));
  for (auto _ : state) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      MatVec({x.data(), DType::kF32, rows, inputs, inputs},
             {weights.get() + layer * outputs * inputs, DType::kBF16, outputs, inputs, inputs},
             {y.data(), DType::kF32, rows, outputs, outputs}, false);
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
