// Muon's orthogonalisation: microseconds for one matrix on one thread, as the optimiser gives it.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "optim/orthogonal.h"

namespace flashlm {
namespace {

// Arguments: rows, cols, steps, AOL, Gram, bf16.
void Orthogonal(benchmark::State& state) {
  SetThreadCount(1);
  const auto rows = static_cast<int>(state.range(0)), cols = static_cast<int>(state.range(1));
  const Orthogonalization how = {.steps = static_cast<int>(state.range(2)),
                                 .form = state.range(3) != 0 ? MuonForm::kAol : MuonForm::kQuintic,
                                 .gram = state.range(4) != 0,
                                 .operands = state.range(5) != 0 ? DType::kBF16 : DType::kF32};
  Rng rng(1, Purpose::kTest);
  std::vector<float> x(static_cast<size_t>(rows) * cols);
  for (float& v : x) v = static_cast<float>(rng.Normal());
  for (auto _ : state) Orthogonalize(x.data(), rows, cols, how);  // of its own result: the time does not depend on it
}

void Shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "cols", "steps", "aol", "gram", "bf16"})->Unit(benchmark::kMicrosecond);
  constexpr int kShapes[][2] = {{128, 128}, {384, 128}, {128, 512}, {192, 192}, {512, 192}, {256, 256}, {768, 256}};
  for (const auto& shape : kShapes) {
    for (int bf16 : {0, 1}) {
      bench->Args({shape[0], shape[1], 5, 0, 0, bf16});
      bench->Args({shape[0], shape[1], 4, 1, 0, bf16});
      bench->Args({shape[0], shape[1], 4, 1, 1, bf16});
    }
  }
}
BENCHMARK(Orthogonal)->Apply(Shapes);

}  // namespace
}  // namespace flashlm
