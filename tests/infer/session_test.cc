#include "infer/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

std::vector<float> RowOfSession(const Session& session, const float* log_probs, int row = 0) {
  const float* begin = log_probs + int64_t{row} * session.vocab();
  return {begin, begin + session.vocab()};
}

void ExpectClose(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4 * std::max(1.0f, std::abs(a[i])));
}

class SessionOfModel : public testing::TestWithParam<ModelEntry> {};

TEST_P(SessionOfModel, ReturnsLogProbabilities) {
  const auto model = TinyModel(GetParam());
  Session session(*model, DType::kF32);
  const auto log_probs = RowOfSession(session, session.Feed(RandomTokens(9, model->vocab())));
  double sum = 0;
  for (const float l : log_probs) sum += std::exp(static_cast<double>(l));
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_EQ(session.position(), 9);
}

TEST_P(SessionOfModel, PromptsOfAnyLengthAreReadAsTokenByToken) {
  const auto model = TinyModel(GetParam());
  for (const int length : {1, 15, 16, 17, 31, 33, 100, 527}) {  // around the borders of pieces
    const auto tokens = RandomTokens(length, model->vocab());
    Session whole(*model, DType::kF32), single(*model, DType::kF32);
    const auto at_once = RowOfSession(whole, whole.Feed(tokens));
    std::vector<float> one_by_one;
    for (const int32_t token : tokens) one_by_one = RowOfSession(single, single.Feed(token));
    ExpectClose(at_once, one_by_one);
    EXPECT_EQ(whole.position(), single.position());
    ASSERT_EQ(whole.has_values(), single.has_values());
    if (whole.has_values()) {
      EXPECT_NEAR(whole.value(), single.value(), 1e-4);
    }
  }
}

TEST_P(SessionOfModel, RowsAreIndependentStreams) {
  const auto model = TinyModel(GetParam());
  constexpr int kRows = 3, kLength = 41;
  const auto tokens = RandomTokens(kRows * kLength, model->vocab());
  const auto next = RandomTokens(kRows, model->vocab(), 2);
  Session batch(*model, DType::kF32, kRows);
  batch.Feed(tokens);
  const float* together = batch.Feed(next);
  for (int r = 0; r < kRows; ++r) {
    Session alone(*model, DType::kF32);
    alone.Feed(std::span(tokens).subspan(static_cast<size_t>(r * kLength), kLength));
    ExpectClose(RowOfSession(alone, alone.Feed(next[static_cast<size_t>(r)])), RowOfSession(batch, together, r));
    if (alone.has_values()) {
      EXPECT_NEAR(alone.value(), batch.value(r), 1e-4);
    }
  }
}

TEST_P(SessionOfModel, AStateCanBeKeptAndComeBackTo) {
  const auto model = TinyModel(GetParam());
  const auto tokens = RandomTokens(30, model->vocab());
  Session session(*model, DType::kF32), fork(*model, DType::kF32);
  session.Feed(tokens);
  State kept = session.state();
  const auto first = RowOfSession(session, session.Feed(5));
  session.Feed(tokens);  // somewhere else
  session.Restore(kept);
  EXPECT_EQ(session.position(), 30);
  EXPECT_EQ(RowOfSession(session, session.Feed(5)), first);
  fork.Restore(kept);
  EXPECT_EQ(RowOfSession(fork, fork.Feed(5)), first);
  session.Swap(kept);
  EXPECT_EQ(RowOfSession(session, session.Feed(5)), first);
}

TEST_P(SessionOfModel, ResetForgetsEverything) {
  const auto model = TinyModel(GetParam());
  Session used(*model, DType::kF32), fresh(*model, DType::kF32);
  used.Feed(RandomTokens(50, model->vocab()));
  used.Reset();
  EXPECT_EQ(used.position(), 0);
  const auto tokens = RandomTokens(12, model->vocab(), 3);
  EXPECT_EQ(RowOfSession(used, used.Feed(tokens)), RowOfSession(fresh, fresh.Feed(tokens)));
}

TEST_P(SessionOfModel, RefusesTokensOutsideTheVocabularyAndStaysUsable) {
  const auto model = TinyModel(GetParam());
  Session session(*model, DType::kF32), other(*model, DType::kF32);
  session.Feed(4);
  other.Feed(4);
  EXPECT_THROW(session.Feed(std::vector<int32_t>{4, model->vocab()}), Error);
  EXPECT_THROW(session.Feed(-1), Error);
  EXPECT_THROW(session.Feed(std::span<const int32_t>()), Error);
  EXPECT_EQ(RowOfSession(session, session.Feed(7)), RowOfSession(other, other.Feed(7)));
}

TEST(Session, RefusesAStateOfAnotherNumberOfRows) {
  const auto model = TinyModel(RegisteredModels().front());
  Session session(*model, DType::kF32, 2);
  EXPECT_THROW(session.Restore(State(1)), Error);
  EXPECT_THROW(session.Feed(std::vector<int32_t>{4, 5, 6}), Error);
}

INSTANTIATE_TEST_SUITE_P(Architectures, SessionOfModel, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace flashlm
