// Attention in microseconds per token of one layer, and in GFLOP/s of useful work: the products inside the
// band (2 per element forward, 5 backward), not those of its ragged edges that tiles compute and discard.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/attention/attention.h"

namespace flashlm::kernels {
namespace {

template <class T>
struct Problem {
  AttentionShape shape;
  std::vector<T> qkv, out, dout, dqkv;
  std::vector<float> log_sums;

  explicit Problem(const benchmark::State& state) {
    shape = {.batch = static_cast<int>(state.range(0)),
             .length = static_cast<int>(state.range(1)),
             .heads = 4,
             .head_dim = static_cast<int>(state.range(3)),
             .window = static_cast<int>(state.range(2)),
             .dropout = static_cast<float>(state.range(4)) / 100};
    shape.dropout_key = MakePhiloxKey(1, Purpose::kDropout);
    SetThreadCount(static_cast<int>(state.range(5)));
    Rng rng(1, Purpose::kTest);
    const auto fill = [&](std::vector<T>& v, size_t n) {
      v.resize(n);
      for (T& x : v) x = FromFloat<T>(rng.Normal());
    };
    fill(qkv, Tokens() * 3 * Width());
    fill(dqkv, qkv.size());
    fill(out, Tokens() * Width());
    fill(dout, out.size());
    log_sums.resize(Tokens() * shape.heads);
  }

  int64_t Width() const { return int64_t{shape.heads} * shape.head_dim; }
  int64_t Tokens() const { return int64_t{shape.batch} * shape.length; }
  Matrix View(std::vector<T>& v, int64_t cols) const {
    return {v.data(), sizeof(T) == 2 ? DType::kBF16 : DType::kF32, Tokens(), cols, cols};
  }
  void Forward() {
    Attention(shape, Qkv::Of(View(qkv, 3 * Width()), Width()), nullptr, View(out, Width()), log_sums.data());
  }
  void Backward() {
    AttentionGrad(shape, Qkv::Of(View(qkv, 3 * Width()), Width()), View(out, Width()), log_sums.data(),
                  View(dout, Width()), Qkv::Of(View(dqkv, 3 * Width()), Width()));
  }
  // Pairs of a query and a key of one head of one row.
  double Pairs() const {
    double pairs = 0;
    for (int t = 0; t < shape.length; ++t) pairs += std::min(t + 1, shape.window);
    return pairs;
  }
  void Report(benchmark::State& state, int products, double pairs) const {
    const double flops = 2.0 * products * pairs * shape.batch * static_cast<double>(Width());
    using benchmark::Counter;
    state.counters["us/token"] =
        Counter(1e-6 * static_cast<double>(Tokens()), Counter::kIsIterationInvariantRate | Counter::kInvert);
    state.counters["GFLOP/s"] = Counter(flops * 1e-9, Counter::kIsIterationInvariantRate);
  }
};

template <class T>
void Forward(benchmark::State& state) {
  Problem<T> problem(state);
  for (auto _ : state) problem.Forward();
  problem.Report(state, 2, problem.Pairs());
}

template <class T>
void Backward(benchmark::State& state) {
  Problem<T> problem(state);
  problem.Forward();
  for (auto _ : state) problem.Backward();
  problem.Report(state, 5, problem.Pairs());
}

// Arguments: B, T, W, D, dropout in percent, threads.
void Shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"B", "T", "W", "D", "drop%", "threads"})->UseRealTime();
  for (int threads : {1, 2}) {
    for (int window : {32, 64, 256}) b->Args({8, 256, window, 64, 0, threads});
    b->Args({8, 256, 32, 64, 10, threads})->Args({8, 256, 256, 32, 0, threads});
  }
}
BENCHMARK(Forward<BFloat16>)->Apply(Shapes);
BENCHMARK(Backward<BFloat16>)->Apply(Shapes);
BENCHMARK(Forward<float>)->Apply(Shapes);
BENCHMARK(Backward<float>)->Apply(Shapes);

// One token after `W` and more: B streams, H = 4. Arguments as above.
template <class T>
void Decode(benchmark::State& state) {
  Problem<T> problem(state);
  const int64_t size = AttentionStateSize(problem.shape, sizeof(T) == 2 ? DType::kBF16 : DType::kF32);
  std::vector<float> rings(problem.shape.batch * size);
  const std::vector<int64_t> position(problem.shape.batch, problem.shape.window + 5);
  const AttentionState memory{rings.data(), size, position.data()};
  const int64_t width = problem.Width();
  for (auto _ : state) {
    Attention(problem.shape, Qkv::Of(problem.View(problem.qkv, 3 * width), width), &memory,
              problem.View(problem.out, width), nullptr);
  }
  problem.Report(state, 2, problem.shape.window);
}
void Streams(benchmark::internal::Benchmark* b) {
  b->ArgNames({"B", "T", "W", "D", "drop%", "threads"})->UseRealTime();
  b->Args({1, 1, 32, 64, 0, 1})->Args({1, 1, 256, 64, 0, 1})->Args({16, 1, 256, 64, 0, 2});
}
BENCHMARK(Decode<BFloat16>)->Apply(Streams);
BENCHMARK(Decode<float>)->Apply(Streams);

}  // namespace
}  // namespace flashlm::kernels
