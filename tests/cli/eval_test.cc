// `flashlm eval` on a run, beyond what the functions behind it are tested for: what is put together, and what is
// refused.
#include <filesystem>

#include "base/json.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

class EvalTest : public TrainTest {
 protected:
  static void SetUpTestSuite() {
    TrainTest::SetUpTestSuite();
    run_ = *shared_ / "run";
    const CommandResult trained = RunCommand(Train(run_, {"--steps", "3"}), *shared_);
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  CommandResult Eval(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"eval", "--model", run_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(arguments, scratch_);
  }

  static inline std::string run_;
};

TEST_F(EvalTest, NatsByPositionStandBesideTheRest) {
  const CommandResult result = Eval({"--text", data_ + "/valid.txt", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  int64_t tokens = 0;
  for (const Json& bucket : json["nats_by_position"]) tokens += bucket["tokens"].get<int64_t>();
  EXPECT_EQ(tokens, json["tokens"]);
  EXPECT_GT(json["nats_by_position"].size(), 3u);
  EXPECT_NE(Eval({"--text", data_ + "/valid.txt"}).out.find("5-16"), std::string::npos);
}

TEST_F(EvalTest, PairsTakeBlimpsFields) {
  const std::string pairs = scratch_ / "pairs.jsonl";
  WriteFileAtomic(pairs, R"({"sentence_good": "a b", "sentence_bad": "b a", "field": "syntax", "UID": "x"})");
  const CommandResult result = Eval({"--pairs", pairs, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["pairs"], 1);
  EXPECT_EQ(json["by_field"]["syntax"]["accuracy"], json["accuracy"]);
  EXPECT_NE(Eval({"--pairs", pairs}).out.find("syntax: "), std::string::npos);
}

TEST_F(EvalTest, StoriesAreComparedWithTheRunsOwnValidationText) {
  const CommandResult result = Eval({"--stories", "6", "--story-tokens", "40", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json stories = Json::parse(result.out)["stories"];
  EXPECT_EQ(stories["written"]["stories"], 6);
  EXPECT_EQ(stories["temperature"], 0.8);
  EXPECT_EQ(stories["max_tokens"], 40);
  EXPECT_LE(stories["written"]["tokens"]["mean"], 40);
  EXPECT_EQ(stories["real_from"], data_ + "/valid.txt");
  EXPECT_EQ(stories["copied_from"], data_);
  EXPECT_TRUE(stories["real"]["copied_words"].is_object());
  const std::string other = scratch_ / "other.txt";
  WriteFileAtomic(other, "One story.\n<|endoftext|>\nAnother one.");
  const CommandResult beside = Eval({"--text", other, "--stories", "3", "--temp", "1", "--seed", "7"});
  ASSERT_EQ(beside.exit_code, 0) << beside.err;
  EXPECT_NE(beside.out.find("bits per byte"), std::string::npos);
  EXPECT_NE(beside.out.find("3 stories written (seed 7, temperature 1"), std::string::npos);
  EXPECT_NE(beside.out.find("2 of " + other), std::string::npos);
}

TEST_F(EvalTest, AModelAloneHasNoStoriesToCompareWith) {
  const std::string model = scratch_ / "model";
  std::filesystem::create_directory(model);
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy(run_ + "/latest/" + file, model);
  }
  ExpectOneLine(RunCommand({"eval", "--model", model, "--stories", "2"}, scratch_), 2, "--text FILE");
  const CommandResult result =
      RunCommand({"eval", "--model", model, "--stories", "2", "--story-tokens", "20", "--data", data_}, scratch_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ExpectOneLine(RunCommand({"eval", "--model", model, "--stories", "2", "--data", scratch_ / "none"}, scratch_), 1,
                "not a prepared data set");
}

TEST_F(EvalTest, RefusesWhatDoesNotGoTogether) {
  ExpectOneLine(Eval({"--stories", "0"}), 2, "--stories");
  ExpectOneLine(Eval({"--stories", "2", "--text", "-"}), 2, "standard input");
  ExpectOneLine(Eval({"--text", data_ + "/valid.txt", "--seed", "2"}), 2, "--stories");
  ExpectOneLine(Eval({"--stories", "2", "--temp", "-1"}), 2, "temperature");
  ExpectOneLine(Eval({"--stories", "2", "--story-tokens", "0"}), 2, "tokens");
}

}  // namespace
}  // namespace flashlm
