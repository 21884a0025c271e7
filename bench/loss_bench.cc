// Softmax cross-entropy: time per row of logits.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/loss/loss.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kRows = 256, kVocab = 4096;  // 4 MB of logits: out of L2, as after the product with E

std::vector<float> Logits() {
  Rng rng(1, Purpose::kTest);
  std::vector<float> z(kRows * kVocab);
  for (float& v : z) v = 2 * static_cast<float>(rng.Normal());
  return z;
}

void Finish(benchmark::State& state) {
  state.counters["s_per_row"] =
      benchmark::Counter(kRows, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// Arguments: gradient (0 none, 2 bf16, 4 f32 bytes), softcap, threads.
void CrossEntropy(benchmark::State& state) {
  SetThreadCount(static_cast<int>(state.range(2)));
  std::vector<float> z = Logits(), gradient(z.size()), ce(kRows), entropy(kRows);
  std::vector<int32_t> targets(kRows, 17), argmax(kRows);
  const DType type = state.range(0) == 2 ? DType::kBF16 : DType::kF32;
  const Matrix dlogits{state.range(0) ? gradient.data() : nullptr, type, kRows, kVocab, kVocab};
  for (auto _ : state) {
    SoftmaxCrossEntropy({static_cast<float>(state.range(1)), 0.01f, 1.0f / kRows},
                        {z.data(), DType::kF32, kRows, kVocab, kVocab}, targets.data(), ce.data(), entropy.data(),
                        argmax.data(), dlogits);
  }
  Finish(state);
}
BENCHMARK(CrossEntropy)
    ->ArgNames({"gradient", "softcap", "threads"})
    ->UseRealTime()
    ->ArgsProduct({{0, 2, 4}, {0}, {1, 2}})
    ->Args({2, 50, 1});

void LogProbabilities(benchmark::State& state) {
  SetThreadCount(1);
  std::vector<float> z = Logits();
  for (auto _ : state) LogSoftmax(0, {z.data(), DType::kF32, kRows, kVocab, kVocab});
  Finish(state);
}
BENCHMARK(LogProbabilities);

}  // namespace
}  // namespace flashlm::kernels
