// The scaling law of two tiny sizes as a user fits, interrupts, continues, extends and uses it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/json.h"
#include "command.h"

namespace flashlm {
namespace {

class ScalingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    const CommandResult made = RunCommand({"data", "prepare", "--input", "synthetic", "--out", *shared_ / "data",
                                           "--vocab", "512", "--synthetic-bytes", "200000"},
                                          *shared_);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    WritePreset("small", 16);
    WritePreset("large", 48);
  }
  static void TearDownTestSuite() { delete shared_; }

  static void WritePreset(const std::string& name, int width) {
    WriteFileAtomic(Preset(name), "[model]\narchitecture = \"cortex-viii\"\nd_model = " + std::to_string(width) +
                                      "\nn_layers = 1\nd_head = 8\nd_mem = 8\nd_ff = 48\n[train]\nsequence_length = "
                                      "64\nmicro_batch = 4\neval_documents = 5\n[optim]\nlr = 3e-3\n");
  }
  static std::string Preset(const std::string& name) { return *shared_ / (name + ".toml"); }
  static std::string Both() { return Preset("small") + "," + Preset("large"); }

  CommandResult Scaling(std::vector<std::string> more) const {
    more.insert(more.begin(), {"scaling", "--out", scratch_ / "out"});
    return RunCommand(more, scratch_);
  }
  std::string In(const std::string& file) const { return ReadFile(scratch_ / ("out/" + file)); }

  static Scratch* shared_;
  Scratch scratch_;
};
Scratch* ScalingTest::shared_ = nullptr;

TEST_F(ScalingTest, FitsTheLawAndWritesAFamilyThatTrains) {
  // A family is its sizes.
  WriteFileAtomic(scratch_ / "tiny.toml", "sizes = [\"" + Preset("small") + "\", \"" + Preset("large") + "\"]\n");
  const CommandResult result = Scaling({"--data", *shared_ / "data", "--presets", scratch_ / "tiny.toml", "--tokens",
                                        "4k,16k", "--steps-of", "128,384", "--seeds", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("held: size_power = 0.3, data_power = 0.3, repeats = 15"), std::string::npos) << result.err;
  const Json scaling = Json::parse(result.out);
  EXPECT_EQ(ParseJson(In("scaling.json"), "test"), scaling);
  EXPECT_EQ(scaling.at("grid").at("presets"), Json({Preset("small"), Preset("large")}));
  EXPECT_EQ(scaling.at("cells").size(), 8u);
  ASSERT_EQ(scaling.at("points").size(), 4u);
  double squares = 0;
  for (const Json& point : scaling.at("points")) {
    // The best of the numbers of tokens per step that the comparison has.
    const std::string budget = point.at("tokens").get<double>() < 10000 ? "4000" : "16000";
    const Json comparison = ParseJson(In("tokens-" + budget + "/comparison.json"), "test");
    double best = 100;
    for (const Json& one : comparison.at("aggregates")) {
      EXPECT_EQ(one.at("seeds"), Json({1, 2}));
      if (one.at("preset") == point.at("preset")) best = std::min(best, one.at("val_bits_per_byte").get<double>());
    }
    EXPECT_EQ(point.at("bits_per_byte"), best);
    const double residual = point.at("residual").get<double>();
    EXPECT_NEAR(residual, best - point.at("predicted").get<double>(), 1e-12);
    squares += residual * residual;
  }
  EXPECT_NEAR(scaling.at("rms").get<double>(), std::sqrt(squares / 4), 1e-12);
  EXPECT_LT(scaling.at("points")[0].at("weights"), scaling.at("points")[2].at("weights"));
  for (const Json& cell : scaling.at("cells")) {  // nearly all weights of such a model are met once by a token
    const double share = cell.at("weights").get<double>() / cell.at("params").get<double>();
    EXPECT_GT(share, 0.5);
    EXPECT_LE(share, 1);
  }
  EXPECT_EQ(scaling.at("predictions").size(), 5u);
  // 384 tokens are 6 sequences of 64: two micro-batches of 3, for 4 do not go into 6.
  const Json config = ParseToml(In("tokens-4000/small+steps-of-384/config.toml"), "test");
  EXPECT_EQ(config.at("train").at("micro_batch"), 3);
  EXPECT_EQ(config.at("train").at("accumulate"), 2);

  const std::string markdown = In("scaling.md"), svg = In("scaling.svg");
  for (const char* part : {"rms error", "| 10:00 | ", "| small | ", "| **"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  EXPECT_EQ(svg.rfind("<svg xmlns", 0), 0u);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
  const std::regex circle("<circle"), curve("<path class=\"line c[01]\" d=\"M[0-9. ]*L");
  EXPECT_EQ(std::distance(std::sregex_iterator(svg.begin(), svg.end(), circle), {}), 4);
  EXPECT_EQ(std::distance(std::sregex_iterator(svg.begin(), svg.end(), curve), {}), 2);

  const Json family = ParseToml(In("family.toml"), "test");
  EXPECT_EQ(family.at("law").at("floor"), scaling.at("law").at("floor"));
  const CommandResult trained = RunCommand({"train", "--preset", scratch_ / "out/family.toml", "--data",
                                            *shared_ / "data", "--out", scratch_ / "run", "--tokens", "2k"},
                                           scratch_);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("size: "), std::string::npos) << trained.err;
}

TEST_F(ScalingTest, InterruptedItGoesOnAndMoreJoins) {
  const std::string out = scratch_ / "out";
  Command command({"scaling", "--out", out, "--data", *shared_ / "data", "--presets", Both(), "--tokens", "2k,200k",
                   "--steps-of", "256"},
                  scratch_);
  const std::string second = out + "/tokens-200000/small+steps-of-256";
  // An empty log is that of a run without a step, of which there is nothing to save.
  const auto begun = [&] {
    std::error_code missing;
    const uintmax_t bytes = std::filesystem::file_size(second + "/log.jsonl", missing);
    return !missing && bytes > 0;
  };
  for (int i = 0; i < 10000 && !begun(); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  const CommandResult stopped = command.Wait();
  EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
  EXPECT_NE(stopped.err.find("Go on with: flashlm scaling --out " + out), std::string::npos) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(out + "/scaling.json"));
  const std::string first = In("tokens-2000/small+steps-of-256/comparison.json");

  const CommandResult resumed = Scaling({});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("going on after step"), std::string::npos) << resumed.err;
  EXPECT_EQ(resumed.out, In("scaling.md"));

  const CommandResult joined = Scaling({"--tokens", "1k", "--json", "--quiet"});
  ASSERT_EQ(joined.exit_code, 0) << joined.err;
  EXPECT_EQ(joined.err, "");
  EXPECT_EQ(Json::parse(joined.out).at("points").size(), 6u);
  EXPECT_EQ(In("tokens-2000/small+steps-of-256/comparison.json"), first) << "trained once";

  // A run that was finished before joins the points, and stays.
  const CommandResult longer = RunCommand({"train", "--preset", Preset("large"), "--data", *shared_ / "data", "--out",
                                           scratch_ / "longer", "--tokens", "20k"},
                                          scratch_);
  ASSERT_EQ(longer.exit_code, 0) << longer.err;
  const CommandResult with = Scaling({"--runs", scratch_ / "longer", "--json", "--quiet"});
  ASSERT_EQ(with.exit_code, 0) << with.err;
  const Json points = Json::parse(with.out).at("points");
  ASSERT_EQ(points.size(), 7u);
  const Json results = ParseJson(ReadFile(scratch_ / "longer/results.json"), "test");
  EXPECT_EQ(points[6].at("bits_per_byte"), results.at("val_bits_per_byte"));
  EXPECT_EQ(points[6].at("tokens"), results.at("tokens").get<double>());
  EXPECT_EQ(points[6].at("weights"), points[5].at("weights"));
  EXPECT_EQ(points[6].at("tokens_per_step"), 4 * 4 * 64);
  std::filesystem::remove_all(scratch_ / "longer");
  EXPECT_EQ(Json::parse(Scaling({"--json", "--quiet"}).out).at("points"), points) << "what it came to is kept";
  EXPECT_NE(In("scaling.md").find("## Other runs"), std::string::npos);

  const CommandResult other = Scaling({"--set", "optim.lr=0.1"});
  EXPECT_EQ(other.exit_code, 2) << other.err;
  EXPECT_EQ(other.ErrorLines(), 1) << other.err;
}

TEST_F(ScalingTest, RefusesWhatIsWrongBeforeAnyWork) {
  const std::string data = *shared_ / "data";
  const auto refused = [&](const std::vector<std::string>& more, int code, const std::string& part) {
    const CommandResult result = Scaling(more);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
  };
  refused({}, 2, "scaling needs --data");
  refused({"--data", scratch_ / "nothing"}, 1, "nothing");
  refused({"--data", data, "--presets", "flagship-9m"}, 2, "unknown preset");
  refused({"--data", data, "--presets", "flagship-2m,,flagship-5m"}, 2, "empty name");
  refused({"--data", data, "--presets", Both(), "--tokens", "1k,x"}, 2, "--tokens x");
  refused({"--data", data, "--presets", Both(), "--steps-of", "256,1k"}, 2, "--steps-of 1k");
  refused({"--data", data, "--presets", Both(), "--steps-of", "100"}, 2, "not a multiple of the 64 tokens");
  refused({"--data", data, "--presets", Preset("small")}, 2, "3 points of 1 sizes");
  refused({"--data", data, "--presets", Both(), "--tokens", "1k"}, 2, "2 sizes and 1 token counts");
  refused({"--data", data, "--presets", Both(), "--set", "optim.lrr=1"}, 2, "optim.lrr");
  refused({"--data", data, "--presets", Both(), "--set", "model.d_head=7"}, 2, "must be even");
  refused({"--data", data, "--presets", Both(), "--tokens", "1k,2k", "--steps-of", "256", "--set",
           "model.value_heads=false", "--set", "train.value_weight=0.5"},
          2, "train.value_weight: the model has no value heads");
  refused({"--data", data, "--presets", Both(), "--steps-of", "256", "--text", scratch_ / "no.txt"}, 1, "no.txt");
  refused({"--data", data, "--presets", Both(), "--steps-of", "256", "--runs", scratch_ / "no"}, 2, "no finished run");
  refused({"--data", data, "--presets", Both(), "--steps-of", "256", "--runs", "a,,b"}, 2, "empty name");
  const std::string run = scratch_ / "run";
  const CommandResult trained =
      RunCommand({"train", "--preset", Preset("small"), "--data", data, "--out", run, "--steps", "1"}, scratch_);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto refused_with = [&](const std::string& file, const std::string& pattern, const std::string& text, int code,
                                const std::string& part) {
    const std::string as_it_was = ReadFile(run + file);
    WriteFileAtomic(run + file, std::regex_replace(as_it_was, std::regex(pattern), text));
    refused({"--data", data, "--presets", Both(), "--steps-of", "256", "--runs", run}, code, part);
    WriteFileAtomic(run + file, as_it_was);
  };
  refused_with("/config.toml", "data_fingerprint = '[0-9a-f]*'", "data_fingerprint = 'other'", 2,
               "not trained on the grid's data");
  refused_with("/config.toml", "preset = '[^']*'", "", 1, "not what the run was trained with");
  refused_with("/results.json", "\"val_bits_per_byte\": [0-9.]+", "\"val_bits_per_byte\": null", 2, "came to nothing");
  // A folder with something else in it stays as it is.
  std::filesystem::create_directory(scratch_ / "out");
  WriteFileAtomic(scratch_ / "out/file", "mine");
  EXPECT_NE(Scaling({"--data", data}).err.find("no grid"), std::string::npos);
}

}  // namespace
}  // namespace flashlm
