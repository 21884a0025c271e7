#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <numeric>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "eval/scorer.h"
#include "infer/session.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

// Documents of many lengths, from one letter to a few thousand tokens.
std::vector<std::string> Documents() {
  std::vector<std::string> documents = {"a", "The cat was happy.", "Caf\u00e9 \u20ac5, na\u00efve \U0001F600"};
  for (const int sentences : {1, 2, 3, 5, 8, 13, 21, 34, 90}) {
    std::string text;
    for (int i = 0; i < sentences; ++i)
      text += (i % 3 == 1 ? "Once upon a time there was a dog. " : "The cat ran, 7x! ");
    text.pop_back();
    documents.push_back(text);
  }
  return documents;
}

std::vector<std::string_view> Views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

// By definition: token by token, every step reading the whole prefix's last logits.
std::vector<double> NatsOneByOne(Model& model, const std::string& text) {
  TokenIds ids = TinyTokenizer().Encode(text);
  ids.push_back(Tokenizer::kEos);
  Tape tape(model.bank(), model.packs(), DType::kF32);
  State state(1);
  std::vector<double> nats;
  int32_t context = Tokenizer::kEos;
  for (const uint16_t id : ids) {
    tape.BeginInference(1, 1, &state);
    const Prediction prediction = model.Forward(tape, &context);
    state.Advance(1);
    nats.push_back(-LogProbabilities(tape, prediction.hidden, prediction.head, prediction.softcap).f32()[id]);
    context = id;
  }
  return nats;
}

class EvaluateModel : public testing::TestWithParam<ModelEntry> {};

TEST_P(EvaluateModel, ScoresEveryTokenAsReadOneByOne) {
  const auto model = TinyModel(GetParam());
  const std::vector<std::string> documents = Documents();
  size_t next = 0;
  double nats = 0;
  EvalOptions options;
  options.on_document = [&](const DocumentScore& score) {
    ASSERT_EQ(score.document, static_cast<int64_t>(next));
    const std::vector<double> expected = NatsOneByOne(*model, documents[next++]);
    ASSERT_EQ(score.nats.size(), expected.size());
    ASSERT_EQ(score.ids.size(), expected.size());
    EXPECT_EQ(score.ids.back(), Tokenizer::kEos);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(score.nats[i], expected[i], 2e-4 * std::max(1.0, expected[i])) << "token " << i;
      nats += expected[i];
    }
  };
  const auto views = Views(documents);
  const EvalResult result = Evaluate(*model, DType::kF32, TinyTokenizer(), views, options);
  EXPECT_EQ(next, documents.size());
  EXPECT_NEAR(result.nats, nats, 1e-4 * nats);
}

// Against values that are read token by token and means that are taken here.
TEST(Evaluate, ValueHeadsAreJudgedByWhatComes) {
  const auto model = TinyModel(FindModel("cortex-viii"));
  const std::vector<std::string> documents = Documents();
  std::vector<double> values, means;
  for (const std::string& document : documents) {
    const std::vector<double> nats = NatsOneByOne(*model, document);
    const TokenIds ids = TinyTokenizer().Encode(document);
    Session session(*model, DType::kF32);
    int32_t context = Tokenizer::kEos;
    for (size_t t = 0; t + kValueHorizon <= nats.size(); ++t) {
      session.Feed(context);
      if (t < ids.size()) context = ids[t];
      values.push_back(session.value());
      means.push_back(0);
      for (size_t i = t; i < t + kValueHorizon; ++i) means.back() += nats[i] / kValueHorizon;
    }
  }
  const auto n = static_cast<double>(values.size());
  const double value = std::accumulate(values.begin(), values.end(), 0.0) / n;
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / n;
  double vv = 0, mm = 0, vm = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    vv += (values[i] - value) * (values[i] - value);
    mm += (means[i] - mean) * (means[i] - mean);
    vm += (values[i] - value) * (means[i] - mean);
  }
  const auto views = Views(documents);
  const EvalResult result = Evaluate(*model, DType::kF32, TinyTokenizer(), views);
  ASSERT_FALSE(result.value_correlation.empty());
  EXPECT_NEAR(result.value_correlation.back(), vm / std::sqrt(vv * mm), 1e-3);
  EXPECT_EQ(ToJson(result).at("value_correlation").size(), result.value_correlation.size());
  EXPECT_TRUE(Evaluate(*TinyModel(FindModel("gpt")), DType::kF32, TinyTokenizer(), views).value_correlation.empty());
}

TEST_P(EvaluateModel, ARowDoesNotDependOnItsNeighbours) {
  const auto model = TinyModel(GetParam());
  const auto ids = [](int length, int seed) {
    TokenIds text;
    for (int i = 0; i < length; ++i) text.push_back(static_cast<uint16_t>(4 + (i * 31 + seed * 17) % 280));
    return text;
  };
  Scorer scorer(*model, DType::kF32);
  // One group of four, once with these neighbours and once with others; the text in question is padded.
  const std::vector<TokenIds> one = {ids(60, 1), ids(64, 2), ids(64, 3), ids(62, 4)};
  const std::vector<TokenIds> other = {ids(60, 1), ids(64, 7), ids(63, 8), ids(64, 9)};
  EXPECT_EQ(scorer.Score(one)[0], scorer.Score(other)[0]);
  // Alone, the matrix products have another shape: equal up to rounding.
  const std::vector<TokenIds> alone = {one[0]};
  const auto batched = scorer.Score(one)[0], single = scorer.Score(alone)[0];
  for (size_t i = 0; i < single.size(); ++i) EXPECT_NEAR(single[i], batched[i], 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Architectures, EvaluateModel, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

class EvaluateTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "evaluate_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    MakeFolder(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string File(const std::string& content) {
    const std::string path = folder_ + "/text.txt";
    WriteFileAtomic(path, content);
    return path;
  }
  EvalResult Run(const std::string& path, const std::string& tokens_path = "") {
    return EvaluateFile(*model_, DType::kF32, TinyTokenizer(), path, tokens_path, {});
  }
  std::string ErrorOf(const std::string& path) {
    try {
      Run(path);
    } catch (const Error& error) {
      return error.OneLine();
    }
    return "";
  }

  std::unique_ptr<Model> model_ = TinyModel(RegisteredModels().front());
  std::string folder_;
};

TEST_F(EvaluateTest, CountsBytesCharactersAndTokens) {
  const EvalResult result = Run(File("  The caf\u00e9.\n<|endoftext|>\n\n<|endoftext|>\n\u20ac1\n<|endoftext|>\n"));
  EXPECT_EQ(result.documents, 2);
  EXPECT_EQ(result.bytes, 10 + 4);
  EXPECT_EQ(result.chars, 9 + 2);
  const auto tokens = TinyTokenizer().Encode("The caf\u00e9.").size() + TinyTokenizer().Encode("\u20ac1").size() + 2;
  EXPECT_EQ(result.tokens, static_cast<int64_t>(tokens));
  const Json json = ToJson(result);
  EXPECT_DOUBLE_EQ(json["nats_per_token"], result.nats / static_cast<double>(tokens));
  EXPECT_DOUBLE_EQ(json["bits_per_byte"], result.nats / std::numbers::ln2 / 14);
  EXPECT_DOUBLE_EQ(json["bits_per_char"], result.nats / std::numbers::ln2 / 11);
  for (const char* key : {"stderr_bits_per_byte", "bytes", "tokens", "documents"}) EXPECT_TRUE(json.contains(key));
}

TEST_F(EvaluateTest, StandardErrorIsThatOfARatio) {
  const auto documents = Documents();
  std::vector<double> bits, bytes;
  EvalOptions options;
  options.on_document = [&](const DocumentScore& score) {
    double sum = 0;
    for (const float n : score.nats) sum += n;
    bits.push_back(sum / std::numbers::ln2);
    bytes.push_back(static_cast<double>(documents[static_cast<size_t>(score.document)].size()));
  };
  const auto views = Views(documents);
  const EvalResult result = Evaluate(*model_, DType::kF32, TinyTokenizer(), views, options);
  double all_bits = 0, all_bytes = 0, squares = 0;
  for (size_t i = 0; i < bits.size(); ++i) {
    all_bits += bits[i];
    all_bytes += bytes[i];
  }
  for (size_t i = 0; i < bits.size(); ++i) squares += std::pow(bits[i] - all_bits / all_bytes * bytes[i], 2);
  const auto n = static_cast<double>(bits.size());
  EXPECT_NEAR(result.stderr_bits_per_byte, std::sqrt(n / (n - 1) * squares) / all_bytes, 1e-12);
  EXPECT_GT(result.stderr_bits_per_byte, 0);
  const std::vector<std::string_view> single = {views[1]};
  EXPECT_EQ(Evaluate(*model_, DType::kF32, TinyTokenizer(), single).stderr_bits_per_byte, 0);
}

// Against sums made from the scores themselves; buckets are filled from the first on, and together are everything.
TEST_F(EvaluateTest, CountsNatsByPosition) {
  const auto documents = Documents();
  const std::vector<int64_t> ends = {1, 4, 16, 64, 256, 1024, 4096};
  std::vector<double> nats(ends.size(), 0);
  std::vector<int64_t> tokens(ends.size(), 0);
  EvalOptions options;
  options.on_document = [&](const DocumentScore& score) {
    for (size_t i = 0; i < score.nats.size(); ++i) {
      const size_t bucket =
          static_cast<size_t>(std::lower_bound(ends.begin(), ends.end(), static_cast<int64_t>(i) + 1) - ends.begin());
      nats[bucket] += score.nats[i];
      ++tokens[bucket];
    }
  };
  const auto views = Views(documents);
  const EvalResult result = Evaluate(*model_, DType::kF32, TinyTokenizer(), views, options);
  const Json buckets = NatsByPosition(result);
  ASSERT_GE(buckets.size(), 5u);
  int64_t all = 0, next = 1;
  for (size_t b = 0; b < buckets.size(); ++b) {
    EXPECT_EQ(buckets[b]["from"], next);
    EXPECT_EQ(buckets[b]["to"], ends[b]);
    EXPECT_EQ(buckets[b]["tokens"], tokens[b]);
    EXPECT_NEAR(buckets[b]["nats_per_token"], nats[b] / static_cast<double>(tokens[b]), 1e-9);
    next = ends[b] + 1;
    all += tokens[b];
  }
  EXPECT_EQ(all, result.tokens);
  EXPECT_NE(DescribeNatsByPosition(result).find("5-16"), std::string::npos);
}

TEST_F(EvaluateTest, WritesOneLinePerToken) {
  const std::string lines_path = folder_ + "/tokens.jsonl";
  const EvalResult result = Run(File("The cat was happy.\n<|endoftext|>\nOnce upon a dog"), lines_path);
  std::istringstream lines(ReadFile(lines_path));
  std::string line;
  double nats = 0;
  int64_t count = 0, bytes = 0, document = 0, position = 0;
  while (std::getline(lines, line)) {
    const Json json = ParseJson(line, "tokens.jsonl");
    if (json["document"] != document) {
      EXPECT_EQ(json["document"], ++document);
      position = 0;
    }
    EXPECT_EQ(json["position"], position++);
    EXPECT_EQ(json["bytes"] == 0, json["id"] == Tokenizer::kEos);
    nats += json["nats"].get<double>();
    bytes += json["bytes"].get<int64_t>();
    ++count;
  }
  EXPECT_EQ(document, 1);
  EXPECT_EQ(count, result.tokens);
  EXPECT_EQ(bytes, result.bytes);
  EXPECT_NEAR(nats, result.nats, 1e-5 * nats);
}

TEST_F(EvaluateTest, DocumentsBeyondAWindowKeepTheirOrder) {
  const auto base = Documents();
  std::vector<std::string_view> many;
  for (int i = 0; i < 2100; ++i) many.push_back(base[static_cast<size_t>(i) % 5]);
  int64_t next = 0;
  EvalOptions options;
  options.on_document = [&](const DocumentScore& score) {
    EXPECT_EQ(score.document, next);
    EXPECT_EQ(score.ids.size(), TinyTokenizer().Encode(base[static_cast<size_t>(next++) % 5]).size() + 1);
  };
  const EvalResult result = Evaluate(*model_, DType::kF32, TinyTokenizer(), many, options);
  EXPECT_EQ(result.documents, 2100);
}

TEST_F(EvaluateTest, RefusesWhatIsNotText) {
  EXPECT_NE(ErrorOf(folder_ + "/missing.txt").find("missing.txt"), std::string::npos);
  EXPECT_NE(ErrorOf(File("")).find("holds no text"), std::string::npos);
  EXPECT_NE(ErrorOf(File("\n <|endoftext|>\n\n")).find("holds no text"), std::string::npos);
  EXPECT_NE(ErrorOf(File(std::string("ELF\0\1\2", 6))).find("not plain text"), std::string::npos);
  EXPECT_NE(ErrorOf(File("good\n\xFF\xFE")).find("not plain text"), std::string::npos);
}

TEST_F(EvaluateTest, AFailedEvaluationLeavesNoTokensFile) {
  const std::string lines_path = folder_ + "/tokens.jsonl";
  EXPECT_THROW(Run(File("\xFF"), lines_path), Error);
  EXPECT_FALSE(std::filesystem::exists(lines_path));
}

// Where there is no time, the least number of documents, from the first on; where there is enough, all.
TEST(Evaluate, ReadsAsManyDocumentsAsThereIsTimeFor) {
  const auto model = TinyModel(RegisteredModels().front());
  const std::vector<std::string> texts(100, "The cat ran and the dog was happy.");
  const std::vector<std::string_view> documents = Views(texts);
  EvalOptions options;
  options.seconds = 1e-9;
  EXPECT_EQ(Evaluate(*model, DType::kF32, TinyTokenizer(), documents, options).documents, 4);
  options.least_documents = 11;
  const EvalResult few = Evaluate(*model, DType::kF32, TinyTokenizer(), documents, options);
  EXPECT_EQ(few.documents, 11);
  options.least_documents = 1000;
  EXPECT_EQ(Evaluate(*model, DType::kF32, TinyTokenizer(), documents, options).documents, 100);
  options.least_documents = 4;
  options.seconds = 600;
  const EvalResult all = Evaluate(*model, DType::kF32, TinyTokenizer(), documents, options);
  EXPECT_EQ(all.documents, 100);
  EXPECT_NEAR(all.bits_per_byte(), few.bits_per_byte(), 1e-6);
}

}  // namespace
}  // namespace flashlm
