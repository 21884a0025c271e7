// AdamW over a model's parameters: 32 bytes move per parameter (four arrays, read and written).
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/optimizer/optimizer.h"

namespace flashlm::kernels {
namespace {

void BM_AdamW(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  std::vector<float> theta(n), gradient(n), m(n), v(n);
  for (auto _ : state) {
    AdamW({.lr = 1e-3, .weight_decay = 0.1}, state.range(0), theta.data(), gradient.data(), m.data(),
          v.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * state.range(0) * 32);
}
BENCHMARK(BM_AdamW)->ArgName("parameters")->Arg(100'000)->Arg(6'600'000)->UseRealTime();

void BM_SumOfSquares(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 0.5f);
  for (auto _ : state) benchmark::DoNotOptimize(SumOfSquares(x.data(), state.range(0)));
  state.SetBytesProcessed(state.iterations() * state.range(0) * 4);
}
BENCHMARK(BM_SumOfSquares)->ArgName("elements")->Arg(100'000)->Arg(6'600'000)->UseRealTime();

}  // namespace
}  // namespace flashlm::kernels
