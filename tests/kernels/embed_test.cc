#include "kernels/embed/embed.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "tests/kernels/normals.h"

namespace flashlm::kernels {
namespace {

constexpr int kVocab = 11, kTokens = 200, kPad = 5;

std::vector<int32_t> Tokens() {
  Rng rng(3, Purpose::kTest);
  std::vector<int32_t> tokens(kTokens);
  for (int32_t& t : tokens) t = static_cast<int32_t>(rng.Below(kVocab));
  return tokens;
}

TEST(Embed, GathersRowsAndScattersGradientsInOrder) {
  const std::vector<int32_t> tokens = Tokens();
  for (int cols : {1, 7, 33, 64, 257}) {
    const int stride = cols + kPad;
    std::vector<float> table = Normals(static_cast<size_t>(kVocab * stride), 1);
    std::vector<float> y(static_cast<size_t>(kTokens * stride), -77.0f);
    Embed({table.data(), DType::kF32, kVocab, cols, stride}, tokens.data(),
          {y.data(), DType::kF32, kTokens, cols, stride});
    for (int n = 0; n < kTokens; ++n) {
      for (int c = 0; c < stride; ++c) EXPECT_EQ(y[n * stride + c], c < cols ? table[tokens[n] * stride + c] : -77.0f);
    }

    std::vector<float> dy = Normals(y.size(), 2), expected = table;
    for (int n = 0; n < kTokens; ++n) {
      for (int c = 0; c < cols; ++c) expected[tokens[n] * stride + c] += dy[n * stride + c];
    }
    const int threads = ThreadCount();
    for (int count : {1, 2, 3}) {
      SetThreadCount(count);
      std::vector<float> dtable = table;
      EmbedGrad(tokens.data(), {dy.data(), DType::kF32, kTokens, cols, stride},
                {dtable.data(), DType::kF32, kVocab, cols, stride});
      EXPECT_EQ(dtable, expected) << cols << " columns, " << count << " threads";
    }
    SetThreadCount(threads);
  }
}

}  // namespace
}  // namespace flashlm::kernels
