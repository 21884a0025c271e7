#include "kernels/gemm/peak.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/progress.h"
#include "kernels/gemm/gemm.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {

double MeasureGemm(int64_t m, int64_t k, int64_t n, DType dtype, int repetitions) {
  std::vector<float> weights(static_cast<size_t>(n * k), 0.01f), x32(static_cast<size_t>(m * k), 0.5f);
  std::vector<BFloat16> x16(x32.size());
  std::vector<int8_t> x8(x32.size(), 64);
  const Matrix f32{x32.data(), DType::kF32, m, k, k}, bf16{x16.data(), DType::kBF16, m, k, k};
  Copy(f32, bf16, false);
  std::vector<float> y_memory(static_cast<size_t>(m * n));
  PackedWeight packed;
  PackedInt8 packed_int8;
  if (dtype == DType::kI8) {
    packed_int8.SetValues(weights.data(), n, k);
  } else {
    packed.SetValues(weights.data(), n, k, dtype);
  }
  const auto multiply = [&] {
    if (dtype == DType::kI8) {
      packed_int8.Forward({x8.data(), DType::kI8, m, k, k}, {y_memory.data(), DType::kF32, m, n, n});
    } else {
      packed.Forward(dtype == DType::kBF16 ? bf16 : f32, {y_memory.data(), dtype, m, n, n}, false);
    }
  };
  multiply();

  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  const int inner = static_cast<int>(std::max(1.0, 5e-3 * 300e9 / flops));
  std::vector<double> rates;
  for (int r = 0; r < repetitions; ++r) {
    const Stopwatch watch;
    for (int i = 0; i < inner; ++i) multiply();
    rates.push_back(flops * inner / watch.Seconds() / 1e9);
  }
  std::nth_element(rates.begin(), rates.begin() + repetitions / 2, rates.end());
  return rates[static_cast<size_t>(repetitions) / 2];
}

GemmPeak MeasureGemmPeak(DType dtype) {
  GemmPeak best{0, 0, 0, 0};
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1024, 256, 1024}, {1024, 512, 256}, {2048, 256, 4096}}) {
    const double rate = MeasureGemm(m, k, n, dtype, 15);
    if (rate > best.gflops) best = {rate, m, k, n};
  }
  return best;
}

}  // namespace flashlm::kernels
