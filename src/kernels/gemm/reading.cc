#include "kernels/gemm/reading.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm/buffer.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/reading.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Bitwise or of `bytes` (a multiple of 512), so that nothing can be left out.
uint32_t Read(const uint8_t* data, int64_t bytes) {
  const hn::ScalableTag<uint32_t> d;
  const auto step = static_cast<int64_t>(4 * hn::Lanes(d));
  const auto load = [&](int64_t at) { return hn::LoadU(d, reinterpret_cast<const uint32_t*>(data + at)); };
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t i = 0; i + 4 * step <= bytes; i += 4 * step) {
    a = hn::Or(a, load(i));
    b = hn::Or(b, load(i + step));
    c = hn::Or(c, load(i + 2 * step));
    e = hn::Or(e, load(i + 3 * step));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Or(hn::Or(a, b), hn::Or(c, e))));
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {
HWY_EXPORT(Read);
}  // namespace

double MeasureReading(int64_t bytes) {
  constexpr int64_t kUnit = 512;
  constexpr double kSeconds = 0.05;
  const int64_t units = std::max<int64_t>(ThreadCount(), bytes / kUnit);
  Buffer buffer;
  auto* data = static_cast<uint8_t*>(buffer.AtLeast(static_cast<size_t>(units * kUnit)));
  std::memset(data, 1, static_cast<size_t>(units * kUnit));
  std::vector<uint32_t> results(static_cast<size_t>(ThreadCount()) * 16);
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto start = now();
  double best = 0;
  Team::Run([&] {
    while (std::chrono::duration<double>(now() - start).count() < kSeconds) {
      const auto begin = now();
      ParallelShares(units, true, [&](int64_t first, int64_t last) {
        const int64_t share = first / std::max<int64_t>(1, last - first);
        results[static_cast<size_t>(std::min<int64_t>(share, ThreadCount() - 1)) * 16] +=
            FLASHLM_DISPATCH(Read)(data + first * kUnit, (last - first) * kUnit);
      });
      best = std::max(best, static_cast<double>(units * kUnit) / std::chrono::duration<double>(now() - begin).count());
    }
  });
  return best;
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
