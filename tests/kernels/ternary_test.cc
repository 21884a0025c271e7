#include "kernels/ternary/ternary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/gemm/gemm.h"
#include "kernels/isa.h"
#include "kernels/ternary/ref.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {
namespace {

std::vector<float> RandomFloats(size_t n, uint64_t stream) {
  Rng rng(3, Purpose::kTest, stream);
  std::vector<float> values(n);
  for (float& value : values) value = rng.Normal();
  return values;
}

TEST(Ternary, EqualsTheReference) {
  for (const Ternary kind : {Ternary::kMean, Ternary::kMatrix, Ternary::kRow, Ternary::kScaleGradient}) {
    for (const auto& [out, in] : {std::pair{1, 1}, std::pair{5, 33}, std::pair{64, 48}}) {
      const std::vector<float> w = RandomFloats(static_cast<size_t>(out * in), static_cast<uint64_t>(in));
      std::vector<float> trits(w.size()), scales(static_cast<size_t>(out));
      std::vector<double> w64(w.begin(), w.end()), expected(w.size());
      Ternarize(kind, w.data(), out, in, trits.data(), scales.data());
      ref::Ternarize(kind, w64.data(), out, in, expected.data());
      for (size_t i = 0; i < w.size(); ++i) {
        EXPECT_TRUE(trits[i] == -1 || trits[i] == 0 || trits[i] == 1);
        EXPECT_NEAR(scales[i / static_cast<size_t>(in)] * trits[i], expected[i], 1e-6);
      }
    }
  }
}

// A Gaussian matrix has 31 % zeros and 34.5 % of each sign.
TEST(Ternary, FractionsOfAGaussian) {
  const std::vector<float> w = RandomFloats(256 * 256, 1);
  std::vector<float> trits(w.size()), scales(256);
  Ternarize(Ternary::kMatrix, w.data(), 256, 256, trits.data(), scales.data());
  double zeros = 0;
  for (const float trit : trits) zeros += trit == 0;
  EXPECT_NEAR(zeros / static_cast<double>(w.size()), 0.3101, 0.01);
}

TEST(Ternary, AllZerosStayZero) {
  const std::vector<float> w(12, 0.0f);
  for (const Ternary kind : {Ternary::kMean, Ternary::kMatrix, Ternary::kRow, Ternary::kScaleGradient}) {
    std::vector<float> trits(w.size(), 9.0f), scales(3);
    Ternarize(kind, w.data(), 3, 4, trits.data(), scales.data());
    for (const float trit : trits) EXPECT_EQ(trit, 0.0f);
  }
}

TEST(QuantizeRows, IntegersThatScaleBack) {
  for (const int cols : {1, 7, 32, 257}) {
    constexpr int kRows = 70;  // three tasks
    std::vector<float> x = RandomFloats(static_cast<size_t>(kRows * cols), 5);
    for (int c = 0; c < cols; ++c) x[static_cast<size_t>(cols + c)] = 0;  // the second row
    std::vector<int8_t> q(x.size());
    std::vector<float> scales(kRows), back(x.size());
    QuantizeRows({x.data(), DType::kF32, kRows, cols, cols}, {q.data(), DType::kI8, kRows, cols, cols}, scales.data());
    const Matrix wide{back.data(), DType::kF32, kRows, cols, cols};
    WidenIntegers({q.data(), DType::kI8, kRows, cols, cols}, wide);
    Scale(wide, scales.data(), nullptr, wide);
    EXPECT_EQ(scales[1], 0.0f);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NE(q[i], -128);
      EXPECT_NEAR(back[i], x[i], 0.501f * scales[i / static_cast<size_t>(cols)]);
    }
  }
}

// Few rows and many, and every instruction set, take their own ways to the same integers.
TEST(PackedTrits, SumsAreExactWhateverTheRows) {
  Rng rng(4, Purpose::kTest);
  for (const auto& [out, in] : {std::pair{1, 1}, std::pair{11, 96}, std::pair{64, 257}, std::pair{37, 600}}) {
    std::vector<float> trits(static_cast<size_t>(out * in));
    for (float& trit : trits) trit = static_cast<float>(rng.Below(3)) - 1;
    PackedTrits packed;
    packed.SetValues(trits.data(), out, in);
    for (const int rows : {1, 2, 3, 4, 5, 18, 33}) {
      std::vector<int8_t> q(static_cast<size_t>(rows * in));
      for (int8_t& value : q) value = static_cast<int8_t>(static_cast<int>(rng.Below(255)) - 127);
      std::vector<float> y(static_cast<size_t>(rows * out));
      packed.Forward({q.data(), DType::kI8, rows, in, in}, {y.data(), DType::kF32, rows, out, out});
      for (int r = 0; r < rows; ++r) {
        for (int o = 0; o < out; ++o) {
          int sum = 0;
          for (int i = 0; i < in; ++i) {
            sum += q[static_cast<size_t>(r * in + i)] * static_cast<int>(trits[static_cast<size_t>(o * in + i)]);
          }
          ASSERT_EQ(y[static_cast<size_t>(r * out + o)], static_cast<float>(sum)) << rows << " " << r << " " << o;
        }
      }
    }
  }
}

// Few rows and many take different ways to the same integers, near the product of the floats.
TEST(PackedInt8, AnyNumberOfRowsGivesTheSameBits) {
  if (!HasVnni()) GTEST_SKIP() << "this instruction set has no int8 products";
  for (const auto& [out, in] : {std::pair{11, 96}, std::pair{70, 257}}) {
    constexpr int kRows = 33;
    const std::vector<float> w = RandomFloats(static_cast<size_t>(out * in), 6);
    const std::vector<float> x = RandomFloats(static_cast<size_t>(kRows * in), 7);
    std::vector<int8_t> q(x.size());
    std::vector<float> scales(kRows), all(static_cast<size_t>(kRows * out)), one(static_cast<size_t>(out));
    QuantizeRows({const_cast<float*>(x.data()), DType::kF32, kRows, in, in}, {q.data(), DType::kI8, kRows, in, in},
                 scales.data());
    PackedInt8 packed;
    packed.SetValues(w.data(), out, in);
    packed.Forward({q.data(), DType::kI8, kRows, in, in}, {all.data(), DType::kF32, kRows, out, out});
    for (const int rows : {2, 7, 18, 32}) {
      std::vector<float> some(static_cast<size_t>(rows * out));
      packed.Forward({q.data(), DType::kI8, rows, in, in}, {some.data(), DType::kF32, rows, out, out});
      for (size_t i = 0; i < some.size(); ++i) ASSERT_EQ(some[i], all[i]) << rows << " " << i;
    }
    for (int r = 0; r < kRows; ++r) {
      packed.Forward({q.data() + r * in, DType::kI8, 1, in, in}, {one.data(), DType::kF32, 1, out, out});
      for (int o = 0; o < out; ++o) {
        ASSERT_EQ(one[static_cast<size_t>(o)], all[static_cast<size_t>(r * out + o)]) << r << " " << o;
        double sum = 0;
        for (int i = 0; i < in; ++i)
          sum += double{x[static_cast<size_t>(r * in + i)]} * w[static_cast<size_t>(o * in + i)];
        EXPECT_NEAR(one[static_cast<size_t>(o)] * scales[static_cast<size_t>(r)] * packed.scales()[o], sum,
                    0.05 * std::sqrt(in));
      }
    }
  }
}

}  // namespace
}  // namespace flashlm::kernels
