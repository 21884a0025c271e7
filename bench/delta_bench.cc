// Delta memory: time per token and layer, forward and backward, decode.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/delta/delta.h"

namespace flashlm::kernels {
namespace {

struct Case {
  DeltaShape shape;
  int64_t rows, columns, width;
  std::vector<BFloat16> proj, out, dproj, dout;
  std::vector<float> bias, dbias, saved, state;

  explicit Case(const DeltaShape& s)
      : shape(s),
        rows(int64_t{s.batch} * s.length),
        columns(3 * s.heads * s.mem_dim + s.heads * (s.delta_rule ? 2 : 1)),
        width(s.heads * s.mem_dim),
        proj(Normals(rows * columns)),
        out(static_cast<size_t>(rows * width)),
        dproj(proj.size()),
        dout(Normals(rows * width)),
        bias(static_cast<size_t>(s.heads), 4.0f),
        dbias(bias.size()),
        saved(static_cast<size_t>(DeltaSavedSize(s))),
        state(static_cast<size_t>(s.batch * DeltaStateSize(s))) {}

  static std::vector<BFloat16> Normals(int64_t n) {
    Rng rng(1, Purpose::kTest);
    std::vector<BFloat16> x(static_cast<size_t>(n));
    for (BFloat16& v : x) v = ToBFloat16(static_cast<float>(rng.Normal()));
    return x;
  }
  Matrix View(std::vector<BFloat16>& x, int64_t cols) { return {x.data(), DType::kBF16, rows, cols, cols}; }

  void Forward() { DeltaMemory(shape, View(proj, columns), bias.data(), nullptr, 0, View(out, width), saved.data()); }
  void Decode() {
    DeltaMemory(shape, View(proj, columns), bias.data(), state.data(), DeltaStateSize(shape), View(out, width),
                nullptr);
  }
  void Backward() {
    DeltaMemoryGrad(shape, View(proj, columns), bias.data(), saved.data(), View(dout, width), View(dproj, columns),
                    dbias.data());
  }
};

// Arguments: delta rule, M, T, threads.
Case Start(const benchmark::State& state, int batch) {
  SetThreadCount(static_cast<int>(state.range(3)));
  return Case({batch, static_cast<int>(state.range(2)), 4, static_cast<int>(state.range(1)), state.range(0) != 0});
}

void Finish(benchmark::State& state, const Case& c) {
  state.counters["s_per_token"] = benchmark::Counter(
      static_cast<double>(c.rows), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void DeltaForward(benchmark::State& state) {
  Case c = Start(state, 8);
  for (auto _ : state) c.Forward();
  Finish(state, c);
}

void DeltaBackward(benchmark::State& state) {
  Case c = Start(state, 8);
  c.Forward();
  for (auto _ : state) c.Backward();
  Finish(state, c);
}

void DeltaDecode(benchmark::State& state) {
  Case c = Start(state, 1);
  for (auto _ : state) c.Decode();
  Finish(state, c);
}

void TrainingShapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"delta", "M", "T", "threads"})->UseRealTime();
  b->ArgsProduct({{0, 1}, {32, 64}, {256}, {1, 2}});
  b->Args({1, 32, 2048, 1});  // the cost per token does not grow with T
}
BENCHMARK(DeltaForward)->Apply(TrainingShapes);
BENCHMARK(DeltaBackward)->Apply(TrainingShapes);
BENCHMARK(DeltaDecode)
    ->ArgNames({"delta", "M", "T", "threads"})
    ->UseRealTime()
    ->ArgsProduct({{0, 1}, {32, 64}, {1, 4, 8, 16}, {1}});

}  // namespace
}  // namespace flashlm::kernels
