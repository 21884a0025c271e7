#include "eval/choices.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "eval/scorer.h"
#include "kernels/isa.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

class ChoicesTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "choices_" + testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  void TearDown() override { std::filesystem::remove(path_); }

  ChoiceResult Pairs(const std::string& content) {
    WriteFileAtomic(path_, content);
    return EvaluatePairs(*model_, DType::kF32, TinyTokenizer(), path_);
  }
  ChoiceResult Cloze(const std::string& content) {
    WriteFileAtomic(path_, content);
    return EvaluateCloze(*model_, DType::kF32, TinyTokenizer(), path_);
  }
  double LogP(const std::string& text) {
    const std::vector<TokenIds> texts = {TinyTokenizer().Encode(text)};
    const auto nats = Scorer(*model_, DType::kF32).Score(texts);
    double sum = 0;
    for (const float n : nats[0]) sum -= n;
    return sum;
  }
  // Of the two texts, the likelier one first.
  std::pair<std::string, std::string> Ordered(const std::string& a, const std::string& b) {
    return LogP(a) > LogP(b) ? std::pair{a, b} : std::pair{b, a};
  }
  template <class F>
  std::string ErrorOf(const F& run) {
    try {
      run();
    } catch (const Error& error) {
      return error.OneLine();
    }
    return "";
  }

  std::unique_ptr<Model> model_ = TinyModel(RegisteredModels().front());
  std::string path_;
};

TEST_F(ChoicesTest, CountsPairsWhoseGoodTextIsLikelier) {
  const auto [good, bad] = Ordered("The cat was happy.", "The dog was not sad!");
  const ChoiceResult result =
      Pairs(Json{{"good", good}, {"bad", bad}}.dump() + "\n\n" + Json{{"good", bad}, {"bad", good}}.dump() + "\n" +
            Json{{"good", "x y"}, {"bad", "x y"}}.dump());
  EXPECT_EQ(result.all.items, 3);
  EXPECT_DOUBLE_EQ(result.all.right, 1.5);  // a tie counts one half
  EXPECT_DOUBLE_EQ(PairsToJson(result)["accuracy"], 0.5);
  EXPECT_EQ(PairsToJson(result)["pairs"], 3);
}

TEST_F(ChoicesTest, TakesBlimpsFieldsAndCountsByPhenomenon) {
  const auto [good, bad] = Ordered("The cat was happy.", "The dog was not sad!");
  std::string content;
  const auto add = [&](bool right, const char* field, const char* term) {
    Json line = {{"sentence_good", right ? good : bad}, {"sentence_bad", right ? bad : good}, {"UID", "x"}};
    if (field != nullptr) line["field"] = field;
    if (term != nullptr) line["linguistics_term"] = term;
    content += line.dump() + "\n";
  };
  for (const bool right : {true, true, true, false}) add(right, "morphology", "agreement");
  for (const bool right : {true, false}) add(right, "syntax", "islands");
  add(false, "syntax", nullptr);
  add(true, nullptr, nullptr);
  content += Json{{"good", good}, {"bad", bad}, {"field", "syntax"}}.dump();  // the other names are as good
  const ChoiceResult result = Pairs(content);
  const Json json = PairsToJson(result);
  EXPECT_EQ(json["pairs"], 9);
  EXPECT_DOUBLE_EQ(json["accuracy"], 6.0 / 9);
  EXPECT_NEAR(json["stderr"], std::sqrt(6.0 / 9 * 3.0 / 9 / 8), 1e-12);
  ASSERT_EQ(json["by_field"].size(), 2u);
  EXPECT_EQ(json["by_field"]["morphology"]["pairs"], 4);
  EXPECT_DOUBLE_EQ(json["by_field"]["morphology"]["accuracy"], 0.75);
  EXPECT_NEAR(json["by_field"]["morphology"]["stderr"], std::sqrt(0.75 * 0.25 / 3), 1e-12);
  EXPECT_DOUBLE_EQ(json["by_field"]["syntax"]["accuracy"], 0.5);
  EXPECT_EQ(json["by_linguistics_term"]["islands"]["pairs"], 2);
  EXPECT_EQ(DescribePairs(result),
            "pairs: 66.7 % ± 16.7 of 9\n  morphology: 75.0 % ± 25.0 of 4\n  syntax: 50.0 % ± 28.9 of 4\n"
            "by linguistic term:\n  agreement: 75.0 % ± 25.0 of 4\n  islands: 50.0 % ± 50.0 of 2\n");
}

// A single item, and items that are all right or all a tie, have no error that could be told.
TEST_F(ChoicesTest, ErrorsAreNumbersForFewItems) {
  const std::string tie = R"({"good": "a b", "bad": "a b", "field": "x"})";
  EXPECT_EQ(PairsToJson(Pairs(tie))["by_field"]["x"]["stderr"], 0);
  EXPECT_EQ(PairsToJson(Pairs(tie + "\n" + tie + "\n" + tie))["stderr"], 0);
}

// Equal texts have equal scores whatever stands beside them, also where their rows meet matrix products of different
// shapes: 132 tokens twice are more rows than two blocks of the head.
TEST_F(ChoicesTest, EqualTextsAreATie) {
  model_ = TinyModel(RegisteredModels().front(), {{"vocab", 1024}});
  std::string text = "The cat";
  while (TinyTokenizer().Encode(text).size() < 132) text += " was happy, and the dog was sad";
  const std::string pair = Json{{"good", text}, {"bad", text}}.dump() + "\n", longer = text + ". Once upon a time";
  const std::string other = Json{{"good", longer}, {"bad", longer}}.dump() + "\n";
  for (const std::string& content : {pair, pair + other + pair}) {
    WriteFileAtomic(path_, content);
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
      if (dtype == DType::kBF16 && !kernels::HasNativeBf16()) continue;
      if (dtype == DType::kI8 && !kernels::HasVnni()) continue;
      EXPECT_EQ(PairsToJson(EvaluatePairs(*model_, dtype, TinyTokenizer(), path_))["accuracy"], 0.5) << NameOf(dtype);
    }
  }
}

TEST_F(ChoicesTest, CountsClozeItemsByCategory) {
  const auto [better, worse] = Ordered("The cat was happy", "The cat was sad");
  const int right = better == "The cat was happy" ? 0 : 1;
  Json item{{"context", "The cat was"}, {"options", {"happy", "sad"}}, {"answer", right}, {"category", "a"}};
  std::string content = item.dump() + "\n";
  item["answer"] = 1 - right;
  item["category"] = "b";
  content += item.dump() + "\n";
  item["options"] = {" happy", " sad"};  // the blank may stand in the option, too
  item["answer"] = right;
  item.erase("category");
  content += item.dump() + "\n";
  const Json json = ClozeToJson(Cloze(content));
  EXPECT_EQ(json["items"], 3);
  EXPECT_DOUBLE_EQ(json["accuracy"], 2.0 / 3);
  EXPECT_EQ(json["accuracy_by_category"], (Json{{"a", 1.0}, {"b", 0.0}}));
}

TEST_F(ChoicesTest, NamesTheLineThatIsWrong) {
  const std::string fine = R"({"good": "a b", "bad": "b a"})";
  for (const char* wrong :
       {"{\"good\": ", "[1]", R"({"good": "a"})", R"({"good": "a", "bad": 3})", R"({"good": "a", "bad": ""})",
        R"({"sentence_good": "a", "bad": "b"})", R"({"sentence_good": "a", "sentence_bad": ""})",
        R"({"sentence_good": "a", "sentence_bad": "b", "field": 3})",
        R"({"good": "a", "bad": "b", "linguistics_term": ["c"]})"}) {
    const std::string error = ErrorOf([&] { Pairs(fine + "\n" + wrong + "\n"); });
    EXPECT_NE(error.find("line 2"), std::string::npos) << wrong << ": " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  for (const char* wrong :
       {R"({"context": "a", "options": ["b"], "answer": 0})", R"({"context": "a", "options": ["b", "c"], "answer": 2})",
        R"({"context": "a", "options": ["b", "c"], "answer": "b"})",
        R"({"context": "a", "options": ["b", 1], "answer": 0})", R"({"context": "a", "options": "bc", "answer": 0})",
        R"({"options": ["b", "c"], "answer": 0})"}) {
    const std::string error = ErrorOf([&] { Cloze(wrong); });
    EXPECT_NE(error.find("line 1"), std::string::npos) << wrong << ": " << error;
  }
  EXPECT_NE(ErrorOf([&] { Pairs("\n"); }).find("no items"), std::string::npos);
}

}  // namespace
}  // namespace flashlm
