// flashlm probe, from the data that the model reads to the report.
#include "train_fixture.h"

namespace flashlm {
namespace {

class ProbeVerbTest : public TrainTest {
 protected:
  // Runs `flashlm probe` on `run` and returns what it prints with --json.
  Json Probe(const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"probe", "--model", run, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(arguments, scratch_);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }
};

TEST_F(ProbeVerbTest, ReportsAModelThatReadProbes) {
  const std::string mixed = scratch_ / "mixed", run = scratch_ / "run";
  const CommandResult made = RunCommand({"data", "prepare", "--input", "synthetic", "--out", mixed, "--vocab", "512",
                                         "--synthetic-bytes", "100000", "--mix", "probes=0.2", "--json"},
                                        scratch_);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NEAR(Json::parse(made.out)["mix"]["share_of_tokens"].get<double>(), 0.2, 0.01);
  const CommandResult trained = RunCommand(Train(run, {"--data", mixed, "--steps", "3"}, false), scratch_);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;

  const Json json = Probe(run, {"--items", "24", "--seed", "5"});
  EXPECT_EQ(json["seed"], 5);
  EXPECT_EQ(json["split"], "heldout");
  EXPECT_EQ(json["trained_on_probes"], true);
  EXPECT_NEAR(json["training"]["share_of_probes"].get<double>(), 0.2, 0.01);
  for (const char* name : {"pattern", "if_then", "tracking", "in_context", "k_hop", "recall"}) {
    const Json& category = json["categories"][name];
    EXPECT_GE(category["items"], 24) << name;
    EXPECT_GE(category["accuracy"], 0);
    EXPECT_LE(category["accuracy"], 1);
    EXPECT_NEAR(category["controls"]["no_context"].get<double>(), category["chance"].get<double>(), 1e-9);
    EXPECT_NEAR(category["controls"]["ngram"].get<double>(), category["chance"].get<double>(), 1e-9);
    EXPECT_EQ(category.contains("by_k"),
              name == std::string("k_hop") || name == std::string("recall") || name == std::string("tracking"));
  }
  EXPECT_EQ(json["categories"], Probe(run, {"--items", "24", "--seed", "5"})["categories"]);
  EXPECT_NE(json["categories"], Probe(run, {"--items", "24", "--seed", "6"})["categories"]);
  EXPECT_NE(json["categories"], Probe(run, {"--items", "24", "--seed", "5", "--split", "train"})["categories"]);

  const std::string text = RunCommand({"probe", "--model", run, "--items", "8"}, scratch_).out;
  for (const char* part : {"held-out templates, seed 1", " % of its tokens, probes of the training split", "accuracy",
                           "shuffled", "pattern ", "k_hop by k:  1: "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST_F(ProbeVerbTest, SaysWhereItDoesNotKnow) {
  const std::string run = scratch_ / "run", moved = scratch_ / "moved";
  std::filesystem::copy(data_, scratch_ / "data");
  ASSERT_EQ(RunCommand(Train(run, {"--data", scratch_ / "data", "--steps", "1"}, false), scratch_).exit_code, 0);
  EXPECT_EQ(Probe(run, {"--items", "4"})["trained_on_probes"], false);
  std::filesystem::rename(scratch_ / "data", moved);
  const Json unknown = Probe(run, {"--items", "4"});
  EXPECT_TRUE(unknown["trained_on_probes"].is_null());
  EXPECT_EQ(unknown["training"]["bigrams_counted_in"], "probes of the training split");
  EXPECT_EQ(Probe(run, {"--items", "4", "--data", moved})["trained_on_probes"], false);
  PrepareSmall(scratch_ / "other");
  ExpectOneLine(RunCommand({"probe", "--model", run, "--data", scratch_ / "other"}, scratch_), 1, "is not that of");
}

// The other way round: probes that stories are mixed into. And what a model began with is another's business.
TEST_F(ProbeVerbTest, TellsProbesFromWhatIsMixedIntoThem) {
  const std::string mixed = scratch_ / "mixed", run = scratch_ / "run", further = scratch_ / "further";
  const CommandResult made =
      RunCommand({"data", "prepare", "--input", "probes", "--set", "bytes=100000", "--out", mixed, "--vocab", "512",
                  "--mix", "synthetic=0.3", "--mix-set", "seed=4", "--json"},
                 scratch_);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Json mix = Json::parse(made.out)["mix"];
  EXPECT_EQ(mix["seed"], 4);
  ASSERT_EQ(RunCommand(Train(run, {"--data", mixed, "--steps", "1"}, false), scratch_).exit_code, 0);
  const Json training = Probe(run, {"--items", "4"})["training"];
  EXPECT_NEAR(training["share_of_probes"].get<double>(), 1 - mix["share_of_tokens"].get<double>(), 1e-9);
  EXPECT_TRUE(training["started_from"].is_null());
  const CommandResult begun =
      RunCommand({"train", "--preset", "cortex-viii", "--start", run, "--data", mixed, "--out", further, "--steps", "1",
                  "--set", "train.sequence_length=64", "--set", "train.micro_batch=4", "--set", "train.accumulate=1"},
                 scratch_);
  ASSERT_EQ(begun.exit_code, 0) << begun.err;
  EXPECT_EQ(Probe(further, {"--items", "4"})["training"]["started_from"], run);
  ExpectOneLine(
      RunCommand({"data", "prepare", "--input", "probes", "--out", scratch_ / "x", "--mix-set", "seed=4"}, scratch_), 2,
      "--mix-set needs --mix");
}

TEST_F(ProbeVerbTest, RefusesWhatIsWrong) {
  ExpectOneLine(RunCommand({"probe", "--model", scratch_ / "none"}, scratch_), 1, "none");
  ExpectOneLine(RunCommand({"probe"}, scratch_), 2, "--model");
  ExpectOneLine(RunCommand({"probe", "--model", "x", "--items", "0"}, scratch_), 2, "--items");
  ExpectOneLine(RunCommand({"probe", "--model", "x", "--split", "test"}, scratch_), 2, "--split");
  ExpectOneLine(RunCommand({"probe", "--model", "x", "--seed", "-1"}, scratch_), 2, "--seed");
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "1"}), scratch_).exit_code, 0);
  ExpectOneLine(RunCommand({"probe", "--model", run, "--depth", "3"}, scratch_), 2, "depth");
}

}  // namespace
}  // namespace flashlm
