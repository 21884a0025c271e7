#include "infer/write_documents.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "infer/generate.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

using Tokens = std::vector<int32_t>;

std::vector<Tokens> TokensOf(const std::vector<WrittenDocument>& documents) {
  std::vector<Tokens> tokens;
  for (const WrittenDocument& document : documents) tokens.push_back(document.tokens);
  return tokens;
}

WriteOptions Options(int documents, int max_tokens, int streams) {
  WriteOptions options;
  options.documents = documents;
  options.max_tokens = max_tokens;
  options.streams = streams;
  options.sampler.temperature = 1;
  options.sampler.top_p = 1;  // so that an untrained model ends some documents early
  return options;
}

class WriteDocumentsOf : public testing::TestWithParam<ModelEntry> {};

// A stream that begins anew remembers nothing of the document before, and its neighbours do not notice: for every
// architecture a document is what it is alone.
TEST_P(WriteDocumentsOf, ADocumentIsTheSameInAnyCompany) {
  const auto model = TinyModel(GetParam());
  constexpr int kDocuments = 12, kMost = 40;
  const auto alone = TokensOf(WriteDocuments(*model, DType::kF32, Options(kDocuments, kMost, 1)));
  ASSERT_EQ(alone.size(), static_cast<size_t>(kDocuments));
  for (const int streams : {2, 5, 12, 32}) {
    EXPECT_EQ(TokensOf(WriteDocuments(*model, DType::kF32, Options(kDocuments, kMost, streams))), alone) << streams;
  }
  const auto fewer = TokensOf(WriteDocuments(*model, DType::kF32, Options(5, kMost, 3)));
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), alone.begin()));
  EXPECT_GT(std::set<Tokens>(alone.begin(), alone.end()).size(), 10u) << "documents repeat each other";

  Session session(*model, DType::kF32);
  GenerateOptions generate;
  generate.sampler = Options(1, 1, 1).sampler;
  generate.max_tokens = kMost;
  EXPECT_EQ(Generate(session, TinyTokenizer(), "", generate, {}).tokens, alone[0]);
}

class Threads {
 public:
  explicit Threads(int count) { SetThreadCount(count); }
  ~Threads() { SetThreadCount(before_); }

 private:
  const int before_ = ThreadCount();
};

TEST(WriteDocuments, AreTheSameOnAnyNumberOfThreads) {
  const auto model = TinyModel(FindModel("cortex-viii"));
  std::vector<Tokens> alone;
  for (const int count : {1, 2, 3, 16}) {
    const Threads threads(count);
    const auto documents = TokensOf(WriteDocuments(*model, DType::kF32, Options(40, 30, 32)));
    if (count == 1) alone = documents;
    EXPECT_EQ(documents, alone) << count;
  }
}

// The first failure is told, and after it nothing is reported.
TEST(WriteDocuments, EndWhereProgressThrows) {
  const auto model = TinyModel(FindModel("gpt"));
  for (const int count : {1, 2}) {
    const Threads threads(count);
    WriteOptions options = Options(60, 30, 32);
    int64_t reported = 0;
    options.on_progress = [&](int64_t finished) {
      reported = finished;
      if (finished == 5) throw Error("enough");
    };
    EXPECT_THROW(WriteDocuments(*model, DType::kF32, options), Error);
    EXPECT_EQ(reported, 5) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, WriteDocumentsOf, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

TEST(WriteDocuments, DocumentsEndByThemselvesOrAtTheLimit) {
  const auto model = TinyModel(RegisteredModels().front());
  std::vector<int64_t> progress;
  WriteOptions options = Options(40, 100, 8);
  options.on_progress = [&](int64_t finished) { progress.push_back(finished); };
  const auto documents = WriteDocuments(*model, DType::kF32, options);
  int ended = 0;
  for (const WrittenDocument& document : documents) {
    EXPECT_EQ(std::count(document.tokens.begin(), document.tokens.end(), Tokenizer::kEos), 0);
    EXPECT_LE(document.tokens.size(), 100u);
    EXPECT_EQ(document.ended, document.tokens.size() < 100);
    ended += document.ended;
  }
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 40);
  ASSERT_EQ(progress.size(), 40u);
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_EQ(progress.back(), 40);
  options.sampler.seed = 2;
  EXPECT_NE(TokensOf(WriteDocuments(*model, DType::kF32, options)), TokensOf(documents));
}

// Documents begin as those that are drawn; a search among one candidate goes on with the most probable token.
TEST(WriteDocuments, SearchGoesOnFromADrawnBeginning) {
  const auto model = TinyModel(FindModel("cortex-viii"));
  WriteOptions options = Options(4, 40, 2);
  const auto drawn = TokensOf(WriteDocuments(*model, DType::kF32, options));
  options.search = 1;
  const auto searched = WriteDocuments(*model, DType::kF32, options);
  size_t longer = 0;
  for (size_t d = 0; d < drawn.size(); ++d) {
    const Tokens& tokens = searched[d].tokens;
    const size_t opening = std::min<size_t>(drawn[d].size(), WriteOptions::kOpening);
    ASSERT_GE(tokens.size(), opening);
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(opening), drawn[d].begin()));
    longer += tokens.size() > WriteOptions::kOpening;
    Session session(*model, DType::kF32);
    const float* log_probs = session.Feed(Tokenizer::kEos);
    for (size_t t = 0; t < tokens.size(); log_probs = session.Feed(tokens[t++])) {
      if (t < WriteOptions::kOpening) continue;
      const float* from = log_probs + Tokenizer::kEos;  // what stands before is never written
      EXPECT_EQ(tokens[t], std::max_element(from, log_probs + session.vocab()) - log_probs) << t;
    }
  }
  EXPECT_GT(longer, 0u);
  options.search = 3;
  const auto among_three = WriteDocuments(*model, DType::kF32, options);
  options.search_beta = 1000;  // what the value head says decides alone
  EXPECT_NE(TokensOf(WriteDocuments(*model, DType::kF32, options)), TokensOf(among_three));
  EXPECT_THROW(WriteDocuments(*TinyModel(FindModel("gpt")), DType::kF32, options), Error);
}

TEST(WriteDocuments, OptionsOutOfRangeAreRefused) {
  const auto model = TinyModel(RegisteredModels().front());
  for (const WriteOptions& options : {Options(0, 1, 1), Options(1, 0, 1), Options(1, 1, 0)}) {
    EXPECT_THROW(WriteDocuments(*model, DType::kF32, options), UsageError);
  }
}

}  // namespace
}  // namespace flashlm
