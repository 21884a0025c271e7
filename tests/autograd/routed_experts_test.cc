// A token's result does not depend on which other tokens its expert gets.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "base/rng.h"
#include "kernels/isa.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

constexpr int kExperts = 5, kWidth = 48, kHidden = 80;

// Inputs and router logits of n tokens, of which every second is drawn anew from `stream`.
struct Inputs {
  std::vector<float> x, logits;
  Inputs(int n, uint64_t stream) {
    Rng fixed(5, Purpose::kTest, 1), changing(5, Purpose::kTest, stream);
    for (int t = 0; t < n; ++t) {
      Rng& rng = t % 2 == 0 ? fixed : changing;
      for (int c = 0; c < kWidth; ++c) x.push_back(rng.Normal());
      for (int k = 0; k < kExperts; ++k) logits.push_back(rng.Normal());
    }
  }
};

class RoutedExpertsTest : public testing::TestWithParam<std::tuple<DType, bool, int>> {};

TEST_P(RoutedExpertsTest, NeighboursDoNotMatter) {
  const auto [dtype, int8, tokens] = GetParam();
  if (dtype == DType::kBF16 && !kernels::HasNativeBf16()) GTEST_SKIP() << "no bf16 products in this instruction set";
  ParamBank bank;
  const Quantization quantization{int8 ? kernels::Ternary::kRow : kernels::Ternary::kNone, int8};
  std::vector<Expert> experts;
  for (int k = 0; k < kExperts; ++k) {
    const auto add = [&](const char* name, int rows, int cols) {
      return bank.Add({fmt::format("{}{}", name, k), {rows, cols}, Role::kMatrix, Init::Normal(0.1f), 1, quantization});
    };
    experts.push_back({add("up", kHidden, kWidth), add("down", kWidth, kHidden)});
  }
  bank.Allocate(false);
  bank.Initialize(3);
  WeightPacks packs(bank);
  Tape tape(bank, packs, dtype);
  std::vector<std::vector<float>> results;
  for (const uint64_t stream : {2, 3, 4}) {
    Inputs inputs(tokens, stream);
    tape.BeginInference(1, tokens, nullptr);
    const auto convert = [&](std::vector<float>& v, int cols) {
      const Tensor given = tape.Wrap(v.data(), tokens, cols), converted = tape.New(tokens, cols, dtype);
      kernels::Copy(given.matrix(), converted.matrix(), false);
      return converted;
    };
    const Tensor y = RoutedExperts(tape, convert(inputs.x, kWidth), convert(inputs.logits, kExperts), experts.data());
    std::vector<float> wide(static_cast<size_t>(tokens * kWidth)), kept;
    kernels::Copy(y.matrix(), {wide.data(), DType::kF32, tokens, kWidth, kWidth}, false);
    for (int t = 0; t < tokens; t += 2) {
      kept.insert(kept.end(), wide.begin() + t * kWidth, wide.begin() + (t + 1) * kWidth);
    }
    results.push_back(kept);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

INSTANTIATE_TEST_SUITE_P(Sizes, RoutedExpertsTest,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16), testing::Bool(),
                                          testing::Values(3, 5, 17, 200, 700)));

}  // namespace
}  // namespace flashlm
