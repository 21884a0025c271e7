// Runs with counted n-grams beside the network, as a user starts, resumes, moves and damages them.
#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "command.h"
#include "machine_choices.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

class NGramsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    data_ = *shared_ / "data";
    whole_ = *shared_ / "whole";
    ASSERT_EQ(RunCommand({"data", "prepare", "--input", "synthetic", "--out", data_, "--vocab", "512",
                          "--synthetic-bytes", "300000"},
                         *shared_)
                  .exit_code,
              0);
    const CommandResult trained = Train(whole_, "10");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    EXPECT_NE(trained.err.find("n-grams: "), std::string::npos) << trained.err;
  }
  static void TearDownTestSuite() { delete shared_; }

  static CommandResult Train(const std::string& out, const std::string& steps) {
    std::vector<std::string> arguments = {"train", "--preset", "gpt-baseline", "--data", data_,
                                          "--out", out,        "--steps",      steps};
    for (const char* set : {"model.ngram_order=5", "model.d_model=32", "model.n_layers=1", "model.d_ff=48",
                            "model.vocab=512", "train.sequence_length=64", "train.micro_batch=4", "train.accumulate=1",
                            "train.eval_documents=5", "train.eval_share=100", "train.checkpoint_every=5"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    AddMachineChoices({}, arguments);
    return RunCommand(arguments, *shared_);
  }
  static std::string ModelOf(const std::string& run) { return ReadFile(run + "/latest/model.safetensors"); }
  static void ExpectOneLine(const CommandResult& result, const std::string& part) {
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
  }
  CommandResult Evaluate(const std::string& model) {
    return RunCommand({"eval", "--model", model, "--text", data_ + "/valid.txt", "--json"}, scratch_);
  }

  static Scratch* shared_;
  static std::string data_, whole_;
  Scratch scratch_;
};
Scratch* NGramsTest::shared_ = nullptr;
std::string NGramsTest::data_, NGramsTest::whole_;

TEST_F(NGramsTest, TheFileLiesOnTheDiskOnce) {
  const std::string file = whole_ + "/ngram.bin";
  ASSERT_TRUE(fs::exists(file));
  EXPECT_TRUE(fs::equivalent(file, whole_ + "/latest/ngram.bin"));
  const Json config = ReadJsonFile(whole_ + "/latest/config.json");
  EXPECT_EQ(config.at("ngram_order"), 5);
  EXPECT_EQ(config.at("ngram_sha256"), ReadFile(file).substr(64, 64));
}

TEST_F(NGramsTest, InspectShowsThem) {
  const CommandResult described = RunCommand({"inspect", whole_, "--json"}, scratch_);
  ASSERT_EQ(described.exit_code, 0) << described.err;
  const Json ngrams = Json::parse(described.out).at("ngrams");
  EXPECT_EQ(ngrams.at("order"), 5);
  EXPECT_EQ(ngrams.at("counts").size(), 5u);
  EXPECT_EQ(ngrams.at("counts")[0], 512);
  EXPECT_EQ(ngrams.at("file_bytes"), fs::file_size(whole_ + "/ngram.bin"));
  const CommandResult table = RunCommand({"inspect", whole_}, scratch_);
  EXPECT_NE(table.out.find("n-grams of 1 to 5 tokens: [512,"), std::string::npos) << table.out;
}

TEST_F(NGramsTest, ResumedItEndsTheSameAndALostFileIsMadeAgain) {
  const std::string run = scratch_ / "run", file = ReadFile(whole_ + "/ngram.bin");
  ASSERT_EQ(Train(run, "5").exit_code, 0);
  fs::remove(run + "/ngram.bin");
  const CommandResult resumed = RunCommand({"train", "--resume", run, "--steps", "10"}, scratch_);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(ReadFile(run + "/ngram.bin"), file);
  const std::string other = scratch_ / "other";
  ASSERT_EQ(Train(other, "5").exit_code, 0);
  ASSERT_EQ(RunCommand({"train", "--resume", other, "--steps", "10"}, scratch_).exit_code, 0);
  EXPECT_EQ(ModelOf(run), ModelOf(other));
}

TEST_F(NGramsTest, AModelFolderThatIsCopiedIsComplete) {
  const std::string copy = scratch_ / "copy";
  fs::copy(fs::canonical(whole_ + "/latest"), copy);
  const CommandResult there = Evaluate(whole_ + "/latest"), here = Evaluate(copy);
  ASSERT_EQ(here.exit_code, 0) << here.err;
  EXPECT_EQ(Json::parse(here.out).at("bits_per_byte"), Json::parse(there.out).at("bits_per_byte"));
  EXPECT_EQ(RunCommand({"generate", "--model", copy, "--prompt", "Once", "--tokens", "5"}, scratch_).exit_code, 0);
}

TEST_F(NGramsTest, WithoutTheFileOrWithAnotherAModelIsRefused) {
  const std::string copy = scratch_ / "copy";
  fs::create_directory(copy);
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    fs::copy(whole_ + "/latest/" + name, copy + "/" + name);
  }
  ExpectOneLine(Evaluate(copy), "ngram.bin' is missing");
  std::string file = ReadFile(whole_ + "/ngram.bin");
  file[file.size() / 2] = static_cast<char>(file[file.size() / 2] ^ 4);
  std::ofstream(copy + "/ngram.bin", std::ios::binary) << file;
  ExpectOneLine(Evaluate(copy), "damaged");
}

}  // namespace
}  // namespace flashlm
