#include "infer/stream_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "base/rng.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

using Row = std::vector<float>;

Row RowOf(const StreamReader& reader, int row) {
  const auto log_probs = reader.log_probs(row);
  return {log_probs.begin(), log_probs.end()};
}

class StreamReaderOf : public testing::TestWithParam<ModelEntry> {};

// Streams that join and leave at any time: every one has, after every token, the bits that it has alone.
TEST_P(StreamReaderOf, StreamsThatComeAndGoDoNotNotice) {
  const auto model = TinyModel(GetParam());
  StreamReader reader(*model, DType::kF32);
  constexpr int kStreams = 40, kMost = 32;
  struct Stream {
    std::vector<int32_t> prompt, tokens;
    std::vector<Row> alone;
    size_t at = 0;
  };
  std::vector<Stream> streams(kStreams);
  for (size_t s = 0; s < streams.size(); ++s) {
    Stream& stream = streams[s];
    stream.prompt = RandomTokens(1 + static_cast<int>(s * 7 % 50), model->vocab(), 100 + s);
    stream.tokens = RandomTokens(3 + static_cast<int>(s * 5 % 20), model->vocab(), 200 + s);
    State state(1);
    reader.Read(state, stream.prompt);
    for (const int32_t token : stream.tokens) {
      reader.Read(state, {&token, 1});
      stream.alone.push_back(RowOf(reader, 0));
    }
  }
  State together(0);
  std::vector<Stream*> rows;
  size_t next = 0, finished = 0;
  for (int round = 0; finished < streams.size(); ++round) {
    for (int joining = 1 + round % 4; joining > 0 && next < streams.size() && std::ssize(rows) < kMost; --joining) {
      State state(1);
      reader.Read(state, streams[next].prompt);
      together.Append(state);
      rows.push_back(&streams[next++]);
    }
    std::vector<int32_t> tokens;
    for (const Stream* stream : rows) tokens.push_back(stream->tokens[stream->at]);
    reader.Read(together, tokens);
    for (size_t r = 0; r < rows.size(); ++r) {
      ASSERT_EQ(RowOf(reader, static_cast<int>(r)), rows[r]->alone[rows[r]->at]) << "token " << rows[r]->at;
      ++rows[r]->at;
    }
    for (size_t r = 0; r < rows.size();) {
      if (rows[r]->at < rows[r]->tokens.size()) {
        ++r;
        continue;
      }
      together.Remove(static_cast<int>(r));
      rows[r] = rows.back();
      rows.pop_back();
      ++finished;
    }
  }
  EXPECT_EQ(together.rows(), 0);
}

INSTANTIATE_TEST_SUITE_P(Architectures, StreamReaderOf, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

TEST(StreamReader, SaysHowMuchOfAPredictionIsTheCountedOnes) {
  const auto model = TinyModel(FindModel("gpt"), {{"ngram_order", 3}});
  StreamReader reader(*model, DType::kF32);
  State state(1);
  reader.Read(state, RandomTokens(5, model->vocab(), 1));
  ASSERT_TRUE(reader.has_gates());
  EXPECT_GE(reader.gate(0), 0);
  EXPECT_LE(reader.gate(0), 1);
  const auto plain = TinyModel(FindModel("gpt"));
  StreamReader other(*plain, DType::kF32);
  State second(1);
  other.Read(second, RandomTokens(5, plain->vocab(), 1));
  EXPECT_FALSE(other.has_gates());
}

TEST(StreamReader, SaysHowDeepAModelReasons) {
  const auto model = TinyModel(FindModel("v6-supernova"));
  StreamReader reader(*model, DType::kF32);
  for (const int depth : {1, 3, 8}) {
    model->SetDepth(depth);
    State state(2);
    reader.Read(state, RandomTokens(10, model->vocab(), 1));
    ASSERT_TRUE(reader.has_depths());
    EXPECT_EQ(reader.depth(0), depth);
    EXPECT_EQ(reader.depth(1), depth);
  }
  const auto plain = TinyModel(FindModel("gpt"));
  StreamReader other(*plain, DType::kF32);
  State state(1);
  other.Read(state, RandomTokens(5, plain->vocab(), 1));
  EXPECT_FALSE(other.has_depths());
}

TEST(PromptPiece, IsAPowerOfTwoUntilLittleIsLeft) {
  for (int64_t left = 1; left < 3000; ++left) {
    const int piece = PromptPiece(left);
    ASSERT_LE(piece, std::min<int64_t>(left, 512));
    ASSERT_TRUE(left <= 32 ? piece == left : (piece & (piece - 1)) == 0 && 2 * piece > std::min<int64_t>(left, 512));
  }
}

}  // namespace
}  // namespace flashlm
