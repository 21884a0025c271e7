// Element-wise kernels on a micro-batch of 1,024 tokens: bytes per second over all operands.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/activation/activation.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kRows = 1024, kHidden = 768, kWidth = 256;

// Memory for one matrix of either element type.
struct Buffer {
  Buffer(DType dtype, int64_t rows, int64_t cols)
      : bytes(static_cast<size_t>(rows * cols) * SizeOf(dtype)),
        view{bytes.data(), dtype, rows, cols, cols} {}
  std::vector<unsigned char> bytes;
  Matrix view;
};

DType TypeOf(const benchmark::State& state) { return state.range(0) == 16 ? DType::kBF16 : DType::kF32; }

void BM_SwiGlu(benchmark::State& state) {
  Buffer x(TypeOf(state), kRows, 2 * kHidden), y(TypeOf(state), kRows, kHidden);
  for (auto _ : state) SwiGlu(x.view, y.view);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(x.bytes.size() + y.bytes.size()));
}
BENCHMARK(BM_SwiGlu)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void BM_SwiGluGrad(benchmark::State& state) {
  Buffer x(TypeOf(state), kRows, 2 * kHidden), dy(TypeOf(state), kRows, kHidden),
      dx(TypeOf(state), kRows, 2 * kHidden);
  for (auto _ : state) SwiGluGrad(x.view, dy.view, dx.view);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(2 * x.bytes.size() + dy.bytes.size()));
}
BENCHMARK(BM_SwiGluGrad)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void BM_GateMix(benchmark::State& state) {
  const DType type = TypeOf(state);
  Buffer gate(type, kRows, kWidth), a(type, kRows, kWidth), b(type, kRows, kWidth), y(type, kRows, kWidth);
  for (auto _ : state) GateMix(gate.view, a.view, b.view, y.view);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(4 * y.bytes.size()));
}
BENCHMARK(BM_GateMix)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

// Second argument: percent dropped.
void BM_AddDropout(benchmark::State& state) {
  Buffer x(DType::kF32, kRows, kWidth), branch(TypeOf(state), kRows, kWidth);
  const Dropout dropout{.p = static_cast<float>(state.range(1)) / 100, .key = {1, 2}, .step = 3};
  for (auto _ : state) AddDropout(x.view, branch.view, dropout, x.view);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(2 * x.bytes.size() + branch.bytes.size()));
}
BENCHMARK(BM_AddDropout)
    ->ArgNames({"bits", "percent"})
    ->Args({32, 0})
    ->Args({32, 10})
    ->Args({16, 0})
    ->Args({16, 10})
    ->UseRealTime();

}  // namespace
}  // namespace flashlm::kernels
