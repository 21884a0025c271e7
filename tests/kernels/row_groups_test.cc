// Grouped as inference groups them, a row of a product has the same bits wherever it stands and whatever stands
// beside it.
#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "kernels/gemm/gemm.h"
#include "kernels/isa.h"

namespace flashlm::kernels {
namespace {

class RowGroupsTest : public testing::TestWithParam<std::tuple<DType, RowGroups>> {};

TEST_P(RowGroupsTest, ARowIsTheSameAnywhere) {
  const auto [dtype, groups] = GetParam();
  if (dtype == DType::kBF16 && !HasNativeBf16()) GTEST_SKIP() << "no bf16 products in this instruction set";
  constexpr int64_t kAll = 300, kSpare = 3;
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{70, 37}, {96, 64}, {33, 256}, {520, 130}}) {
    Rng rng(1, Purpose::kTest);
    const int64_t stride = in + kSpare;
    std::vector<float> w(static_cast<size_t>(out * in)), wide(static_cast<size_t>(kAll * stride));
    for (auto* values : {&w, &wide}) {
      for (float& v : *values) v = rng.Normal();
    }
    std::vector<BFloat16> narrow;
    for (const float v : wide) narrow.push_back(ToBFloat16(v));
    void* data = dtype == DType::kF32 ? static_cast<void*>(wide.data()) : narrow.data();
    const Matrix x{data, dtype, kAll, in, stride};
    PackedWeight packed;
    packed.SetValues(w.data(), out, in, dtype);
    const auto product = [&](int64_t begin, int64_t count) {
      std::vector<float> y(static_cast<size_t>(count * out));
      packed.Forward(x.Rows(begin, count), {y.data(), DType::kF32, count, out, out}, false, groups);
      return y;
    };
    const std::vector<float> all = product(0, kAll);
    for (const int64_t count : {1, 2, 7, 31, 32, 33, 63, 64, 65, 127, 128, 200}) {
      for (const int64_t begin : {0, 1, 5, 63, 64, 99}) {
        const std::vector<float> some = product(begin, count);
        ASSERT_EQ(std::memcmp(some.data(), all.data() + begin * out, some.size() * sizeof(float)), 0)
            << count << " rows from " << begin << " of a map [" << out << "," << in << "]";
      }
    }
  }
}

TEST_P(RowGroupsTest, AddsToWhatIsThere) {
  const auto [dtype, groups] = GetParam();
  if (dtype == DType::kBF16) GTEST_SKIP() << "shown in f32";
  constexpr int64_t kRows = 70, kOut = 5, kIn = 3;
  std::vector<float> w(kOut * kIn, 2.0f), x(kRows * kIn, 1.0f), y(kRows * kOut, 10.0f);
  PackedWeight packed;
  packed.SetValues(w.data(), kOut, kIn, dtype);
  packed.Forward({x.data(), dtype, kRows, kIn, kIn}, {y.data(), DType::kF32, kRows, kOut, kOut}, true, groups);
  EXPECT_EQ(y, std::vector<float>(kRows * kOut, 16.0f));
}

INSTANTIATE_TEST_SUITE_P(Groups, RowGroupsTest,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16),
                                          testing::Values(RowGroups::kFew, RowGroups::kBlocks)));

}  // namespace
}  // namespace flashlm::kernels
