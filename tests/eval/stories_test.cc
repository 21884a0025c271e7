#include "eval/stories.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "data/prepare.h"
#include "tests/data/scratch.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

class StoriesTest : public testing::Test {
 protected:
  StoriesTest() {
    std::string text;
    for (int i = 0; i < 200; ++i) {
      text += "Once upon a time there was a cat number " + std::to_string(i) + ". The cat was happy";
      for (int j = 0; j < i % 5; ++j) text += " and the dog was sad";
      text += ".\n<|endoftext|>\n";
    }
    PrepareOptions prepare;
    prepare.input = folder_.Write("in.txt", text);
    prepare.out = folder_ / "data";
    prepare.vocab = TinyTokenizer().vocab_size();
    PrepareData(prepare);
    options_.data = prepare.out;
    options_.write.documents = 30;
    options_.write.max_tokens = 60;
    options_.write.sampler.temperature = 1;
  }
  StoriesReport Run() { return EvaluateStories(*model_, DType::kF32, TinyTokenizer(), options_); }

  ScratchFolder folder_;
  std::unique_ptr<Model> model_ = TinyModel(RegisteredModels().front());
  StoriesOptions options_;
};

TEST_F(StoriesTest, WrittenStoriesStandBesideAsManyRealOnes) {
  options_.text = folder_ / "in.txt";
  const StoriesReport report = Run();
  EXPECT_EQ(report.written.stories, 30);
  EXPECT_EQ(report.real.stories, 30);
  EXPECT_EQ(report.written.distinct_words, report.real.distinct_words);
  // These are training stories, whole where they are short enough; what an untrained model writes is noise.
  EXPECT_GT(report.real.copied_words.median, 10);
  EXPECT_LT(report.written.copied_words.median, 4);
  EXPECT_GT(report.real.stop_rate, 0.2);
  EXPECT_LT(report.real.stop_rate, 1);
  EXPECT_LT(report.written.repetition, report.real.repetition);
  EXPECT_GT(report.written.distinct[1], report.real.distinct[1]);
  const Json json = ToJson(report);
  for (const char* kind : {"written", "real"}) {
    for (const char* key : {"tokens", "words", "stop_rate", "distinct_1", "distinct_2", "distinct_3", "repetition",
                            "names_introduced", "names_reused", "copied_words", "sentences_parsed"}) {
      EXPECT_TRUE(json[kind].contains(key)) << key;
    }
  }
  EXPECT_EQ(json["real"]["copied_words"]["longest"], report.real.longest_copied);
  const bool grammar = json["grammar"].is_string();
  EXPECT_EQ(json.contains("no_grammar"), !grammar);
  EXPECT_EQ(json["shuffled"]["sentences_parsed"].is_number(), grammar);
  if (grammar) {
    EXPECT_GT(report.real.sentences_parsed, 0.6);
    EXPECT_LT(report.shuffled_parsed, 0.5);
  }
  EXPECT_NE(DescribeStories(report).find("distinct-2"), std::string::npos);
}

// The same seed writes the same stories; the text of the data set is the real one where none is named.
TEST_F(StoriesTest, AreAFunctionOfTheSeed) {
  const auto measures = [&] {
    Json json = ToJson(Run());
    json.erase("seconds");
    json.erase("tokens_per_s");
    return json;
  };
  const Json once = measures();
  EXPECT_EQ(once["real_from"], options_.data + "/valid.txt");
  EXPECT_EQ(once["real"]["stories"], 2);  // 1 % of 200
  EXPECT_EQ(measures(), once);
  options_.write.sampler.seed = 2;
  const Json other = measures();
  EXPECT_NE(other["written"], once["written"]);
  EXPECT_EQ(other["real"]["tokens"], once["real"]["tokens"]);
}

TEST_F(StoriesTest, WithoutTheDataNothingIsSaidOfCopies) {
  options_.data = "";
  ExpectError([&] { Run(); }, "--text FILE");
  options_.text = folder_ / "in.txt";
  const StoriesReport report = Run();
  EXPECT_EQ(ToJson(report)["copied_from"], nullptr);
  EXPECT_EQ(ToJson(report)["written"]["copied_words"], nullptr);
  EXPECT_NE(DescribeStories(report).find("copies: not known"), std::string::npos);
  options_.data = folder_ / "nowhere";
  ExpectError([&] { Run(); }, "not a prepared data set");
}

TEST(TrainingData, IsFoundWhereTheRunSaysItIs) {
  ScratchFolder folder;
  PrepareOptions prepare;
  prepare.input = folder.Write("in.txt", "One story.\n<|endoftext|>\nAnother one.\n<|endoftext|>\nA third story.");
  prepare.out = folder / "data";
  prepare.vocab = 260;
  const Json meta = PrepareData(prepare);
  folder.Write("run/checkpoints/step_1/config.json", "{}");
  LoadedModel loaded{nullptr, TinyTokenizer(), nullptr, folder / "run/checkpoints/step_1", 1};
  EXPECT_EQ(TrainingDataOf(loaded), "");
  loaded.trainer_state = {{"run", {{"data", prepare.out}, {"data_fingerprint", meta["fingerprint"]}}}};
  EXPECT_EQ(TrainingDataOf(loaded), prepare.out);
  const std::string moved = folder / "moved";
  std::filesystem::rename(prepare.out, moved);
  EXPECT_EQ(TrainingDataOf(loaded), "");
  folder.Write("run/config.toml", "data = \"" + moved + "\"\n");
  EXPECT_EQ(TrainingDataOf(loaded), moved);
  loaded.trainer_state["run"]["data_fingerprint"] = std::string(64, '0');  // another data set lies there now
  EXPECT_EQ(TrainingDataOf(loaded), "");
}

}  // namespace
}  // namespace flashlm
