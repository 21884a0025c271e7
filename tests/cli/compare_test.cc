// Comparisons of tiny presets as a user runs, interrupts, continues and extends them.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "command.h"

namespace flashlm {
namespace {

class CompareTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    const CommandResult made = RunCommand({"data", "prepare", "--input", "synthetic", "--out", *shared_ / "data",
                                           "--vocab", "512", "--synthetic-bytes", "300000"},
                                          *shared_);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    WritePreset("one", 8);
    WritePreset("two", 4);
    WritePreset("odd", 7);
  }
  static void TearDownTestSuite() { delete shared_; }

  static void WritePreset(const std::string& name, int d_head) {
    WriteFileAtomic(Preset(name),
                    fmt::format("[model]\narchitecture = \"cortex-viii\"\nd_model = 32\nn_layers = 1\nd_head = {}\n"
                                "d_mem = 8\nd_ff = 48\n[train]\nsequence_length = 64\nmicro_batch = 4\naccumulate = 1\n"
                                "checkpoint_every = 5\neval_documents = 5\n[optim]\nlr = 3e-3\n",
                                d_head));
  }
  static std::string Preset(const std::string& name) { return *shared_ / (name + ".toml"); }

  CommandResult Compare(std::vector<std::string> more) const {
    more.insert(more.begin(), {"compare", "--out", scratch_ / "out"});
    return RunCommand(more, scratch_);
  }
  static std::vector<std::string> NamesOf(const Json& comparison) {
    std::vector<std::string> names;
    for (const Json& row : comparison.at("rows")) names.push_back(row.at("preset"));
    return names;
  }
  std::string In(const std::string& file) const { return ReadFile(scratch_ / ("out/" + file)); }

  static Scratch* shared_;
  Scratch scratch_;
};
Scratch* CompareTest::shared_ = nullptr;

TEST_F(CompareTest, OneFailureDoesNotLoseTheOthers) {
  const CommandResult result = Compare({"--presets", Preset("one") + "," + Preset("odd") + "," + Preset("two"),
                                        "--data", *shared_ / "data", "--tokens", "5k", "--json"});
  EXPECT_EQ(result.exit_code, 1) << "one failed";
  const Json comparison = Json::parse(result.out);
  const Json& rows = comparison.at("rows");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_LE(rows[0].at("val_bits_per_byte"), rows[1].at("val_bits_per_byte"));
  EXPECT_EQ(rows[2].at("preset"), "odd");
  EXPECT_NE(rows[2].at("error").get<std::string>().find("must be even"), std::string::npos);
  for (size_t i = 0; i < 2; ++i) {
    // The names of results.json, and what only a comparison has.
    for (const char* key :
         {"params", "ternary_share", "tokens", "seconds", "tok_per_sec", "peak_rss_mb", "val_bits_per_byte", "stderr",
          "measured_step", "decode_tokens_per_s", "sample", "curve", "causal_check_max_abs"}) {
      EXPECT_TRUE(rows[i].contains(key)) << key;
    }
    EXPECT_EQ(rows[i].at("tokens"), 5120);
    EXPECT_EQ(rows[i].at("curve").size(), 20u);
  }
  EXPECT_EQ(ParseJson(In("comparison.json"), "test"), comparison);
  EXPECT_NE(In("comparison.md").find("failed: model.d"), std::string::npos);
  EXPECT_NE(In("comparison.html").find("<canvas data-chart=\"1\""), std::string::npos);

  EXPECT_EQ(comparison.at("aggregates").size(), 3u);
  EXPECT_EQ(comparison.at("aggregates")[0].at("verdict").at("apart"), false) << "one seed says nothing about seeds";

  // Another preset joins, on a text of its own; what is there is kept as it is, settings cannot change.
  const std::string before = In("one/comparison.json");
  EXPECT_EQ(Compare({"--tokens", "6k"}).exit_code, 2);
  const Json extended = Json::parse(Compare({"--presets", Preset("two"), "--json"}).out);
  EXPECT_EQ(extended.at("rows").size(), 3u);
  EXPECT_EQ(In("one/comparison.json"), before);
}

TEST_F(CompareTest, InterruptedItGoesOn) {
  const std::string out = scratch_ / "out";
  const std::vector<std::string> arguments = {"compare",
                                              "--presets",
                                              Preset("one") + "," + Preset("two"),
                                              "--data",
                                              *shared_ / "data",
                                              "--text",
                                              *shared_ / "data/valid.txt",
                                              "--tokens",
                                              "300k",
                                              "--out",
                                              out};
  Command command(arguments, scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(out + "/one/latest"); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  const CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("flashlm compare --out " + out + " --resume"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(out + "/one/results.json"));

  const CommandResult resumed = Compare({"--resume", "--json"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("going on after step"), std::string::npos);
  const Json comparison = Json::parse(resumed.out);
  std::vector<std::string> names = NamesOf(comparison);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(comparison.at("rows")[0].at("tokens"), comparison.at("rows")[1].at("tokens"));

  // Once more: nothing is left to do, and nothing is done.
  const CommandResult again = RunCommand(arguments, scratch_);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.err.find("step "), std::string::npos) << again.err;
}

// Every preset with every recipe in every variant.
TEST_F(CompareTest, PresetsTimesRecipesTimesVariants) {
  const CommandResult result =
      Compare({"--presets", Preset("one") + "," + Preset("two"), "--recipes", "adamw,modern", "--variant",
               "as it is:", "--variant", "wide: model.d_ff=64 optim.lr=0.004", "--seed", "5", "--data",
               *shared_ / "data", "--tokens", "1k", "--set", "train.micro_batch=2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json comparison = Json::parse(result.out);
  EXPECT_EQ(comparison.at("rows").size(), 8u);
  EXPECT_EQ(comparison.at("aggregates").size(), 8u);
  const auto config = [&](const std::string& run) { return ParseToml(In(run + "/config.toml"), run); };
  const Json wide = config("two+modern+wide");
  EXPECT_EQ(wide.at("recipe"), "modern");
  EXPECT_EQ(wide.at("seed"), 5);
  EXPECT_EQ(wide.at("model").at("d_ff"), 64);
  EXPECT_EQ(wide.at("model").at("d_head"), 4);
  EXPECT_EQ(wide.at("optim").at("optimizer"), "muon");
  EXPECT_EQ(wide.at("optim").at("lr"), 0.004);
  EXPECT_EQ(wide.at("train").at("micro_batch"), 2);
  EXPECT_EQ(config("two+modern+as_it_is").at("optim").at("lr"), 0.002) << "the recipe's, not the preset's";
  EXPECT_EQ(config("one+adamw+as_it_is").at("optim").at("lr"), 0.0015);
  for (const Json& row : comparison.at("rows")) {
    const std::string recipe = row.at("recipe").get<std::string>(), variant = row.at("variant").get<std::string>();
    EXPECT_EQ(row.at("name").get<std::string>(),
              row.at("preset").get<std::string>() + "+" + recipe + "+" + (variant == "wide" ? "wide" : "as_it_is"));
    EXPECT_EQ(row.at("seed"), 5);
  }
  EXPECT_NE(In("comparison.md").find("- wide: model.d"), std::string::npos);
}

// Seeds, recipes and variants join what is there; nothing is trained twice, and no name comes to mean something else.
TEST_F(CompareTest, MoreJoins) {
  const std::vector<std::string> first = {"--presets", Preset("one"), "--data", *shared_ / "data", "--tokens", "1k"};
  ASSERT_EQ(Compare(first).exit_code, 0);
  const std::string before = In("one/comparison.json");
  const CommandResult seeds = Compare({"--seeds", "2", "--json"});
  ASSERT_EQ(seeds.exit_code, 0) << seeds.err;
  const Json both = Json::parse(seeds.out).at("aggregates")[0];
  EXPECT_EQ(both.at("seeds"), Json({1, 2}));
  EXPECT_GT(both.at("stderr_seeds").get<double>(), 0) << "another seed gives another model";
  EXPECT_EQ(both.at("recipe"), "") << "the preset names none";
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "out/one.seed_2/results.json"));
  const CommandResult more = Compare({"--variant", "narrow: model.d_ff=32", "--json"});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  const Json comparison = Json::parse(more.out);
  EXPECT_EQ(comparison.at("rows").size(), 4u) << "the preset so far, in the new variant, with both seeds";
  EXPECT_EQ(In("one/comparison.json"), before);

  const auto refused = [&](const std::vector<std::string>& options, const std::string& part) {
    const CommandResult result = Compare(options);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  refused({"--variant", "narrow: model.d_ff=16"}, "is the name of two");
  refused({"--seeds", "1"}, "they can become more, not fewer");
  refused({"--variant", "broken: optim.lrr=1"}, "optim.lrr: unknown key");
}

TEST_F(CompareTest, RefusesWhatIsWrongBeforeAnyWork) {
  const auto refused = [&](const std::vector<std::string>& more, int code, const std::string& part) {
    const CommandResult result = Compare(more);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
  };
  const std::string data = *shared_ / "data";
  refused({}, 2, "--data");
  refused({"--resume"}, 1, "no comparison to go on with");
  refused({"--data", scratch_ / "nothing"}, 1, "nothing");
  refused({"--data", data, "--presets", "v8.4x"}, 2, "unknown preset");
  refused({"--data", data, "--presets", "v8.3,,"}, 2, "empty name");
  refused({"--data", data, "--recipes", "moderm"}, 2, "did you mean 'modern'?");
  refused({"--data", data, "--recipes", "modern,,adamw"}, 2, "empty name");
  refused({"--data", data, "--variant", "wide"}, 2, "expected NAME: section.key=value");
  refused({"--data", data, "--variant", ": model.d_ff=8"}, 2, "expected NAME: section.key=value");
  refused({"--data", data, "--variant", "wide: d_ff=8"}, 2, "expected section.key=value");
  refused({"--data", data, "--variant", "x: model.d_ff=8", "--variant", "x: model.d_ff=9"}, 2, "the name of two");
  refused({"--data", data, "--variant", std::string(250, 'x') + ":"}, 2, "at most 200");
  refused({"--data", data, "--presets", Preset("one"), "--tokens", "1k", "--set", "model.value_heads=false", "--set",
           "train.value_weight=0.5"},
          2, "one: train.value_weight: the model has no value heads");
  refused({"--data", data, "--presets", Preset("one"), "--tokens", "1k", "--variant", "as it is:", "--variant",
           "off: model.value_heads=false train.value_horizon=4"},
          2, "one+off: train.value_horizon: the model has no value heads");
  refused({"--data", data, "--seeds", "0"}, 2, "--seeds");
  refused({"--data", data, "--text", scratch_ / "nothing.txt"}, 1, "nothing.txt");
  refused({"--data", data, "--time", "1m", "--hours", "2"}, 2, "one budget");
  refused({"--data", scratch_ / "d\xff"}, 2, "not UTF-8");
  refused({"--data", data, "--text", scratch_ / "t\xff"}, 2, "not UTF-8");
  // All presets can be compared: what is in the way is the folder, not a family among them.
  WriteFileAtomic(scratch_ / "file", "");
  const CommandResult all = RunCommand({"compare", "--data", data, "--out", scratch_ / "file/out"}, scratch_);
  EXPECT_EQ(all.exit_code, 1) << all.err;
  EXPECT_NE(all.err.find("file/out"), std::string::npos) << all.err;
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  refused({"--data", data, "--text", scratch_ / "pipe"}, 2, "every preset reads it again");
}

// Before anything is trained, and without a trace of it.
TEST_F(CompareTest, AVariantWithAWrongKeyIsRefusedAtOnce) {
  const CommandResult result = Compare(
      {"--presets", Preset("one"), "--data", *shared_ / "data", "--tokens", "5k", "--variant", "x: model.dropuot=0.1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("did you mean 'dropout'"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out/one+x"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out/settings.json"));
}

TEST_F(CompareTest, AFamilyTakesPartInOneOfItsSizes) {
  // By time: two sizes train for a moment, and runs can still be forked.
  WriteFileAtomic(scratch_ / "family.toml", fmt::format("sizes = [\"{}\", \"{}\"]\n[law]\nsize = 10.0\n"
                                                        "[repeated]\nepochs = 0.0\nenough_epochs = 1e-6\n"
                                                        "[repeated.model]\ndropout = 0.125\n",
                                                        Preset("one"), Preset("two")));
  const std::vector<std::string> arguments = {
      "--presets", scratch_ / "family.toml",   "--data", *shared_ / "data", "--time", "2s",
      "--set",     "train.update_products=f32"};
  ASSERT_EQ(Compare(arguments).exit_code, 0);
  const Json settings = ParseJson(In("settings.json"), "test");
  const std::string chosen = settings.at("sizes").at("family").at("preset");
  ASSERT_EQ(settings.at("contenders").size(), 1u);
  EXPECT_EQ(settings.at("contenders")[0].at("preset"), chosen);
  EXPECT_EQ(settings.at("contenders")[0].at("sets"), Json({"model.dropout=0.125"}));
  EXPECT_TRUE(chosen == Preset("one") || chosen == Preset("two")) << chosen;
  // All train for the same time, however often that reads the text, and as they were told.
  const Json config = ParseToml(In(chosen == Preset("one") ? "one/config.toml" : "two/config.toml"), "test");
  EXPECT_EQ(config.at("budget").at("kind"), "time");
  EXPECT_EQ(config.at("train").at("update_products"), "f32");
  // Named again it is still that one.
  ASSERT_EQ(Compare(arguments).exit_code, 0);
  EXPECT_EQ(ParseJson(In("settings.json"), "test"), settings);
}

// All figures of a row are of the model that `eval` and `generate` use: the best one, also when it is not the last.
TEST_F(CompareTest, ARowIsOfOneModel) {
  const std::string text = scratch_ / "text.txt", run = scratch_ / "out/one";
  WriteFileAtomic(text, "The cat ran.\n<|endoftext|>\nOnce upon a time there was a dog.\n");
  ASSERT_EQ(Compare({"--presets", Preset("one"), "--data", *shared_ / "data", "--tokens", "4k", "--set",
                     "train.keep_checkpoints=50"})
                .exit_code,
            0);
  const Json last = ParseJson(In("one/comparison.json"), "test");
  EXPECT_EQ(last.at("measured_step"), last.at("best_step"));
  // As if the best had come earlier.
  std::filesystem::remove(run + "/best");
  std::filesystem::create_symlink("checkpoints/step_000005", run + "/best");
  std::filesystem::remove(run + "/comparison.json");
  const CommandResult again = Compare({"--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const Json row = Json::parse(again.out).at("rows")[0];
  EXPECT_EQ(row.at("measured_step"), 5);
  EXPECT_EQ(row.at("steps"), last.at("steps"));
  EXPECT_NE(row.at("val_bits_per_byte"), last.at("val_bits_per_byte"));
  EXPECT_EQ(row.at("documents_evaluated"), last.at("documents_evaluated"));
  EXPECT_NE(row.at("sample"), last.at("sample"));
  EXPECT_NE(In("comparison.md").find("one (step 5 of "), std::string::npos) << In("comparison.md");
}

TEST_F(CompareTest, WithATextTooAndTheTextIsKnownByWhatIsInIt) {
  const std::string text = scratch_ / "text.txt", run = scratch_ / "out/one";
  WriteFileAtomic(text, "The cat ran.\n<|endoftext|>\nOnce upon a time there was a dog.\n");
  const CommandResult compared =
      Compare({"--presets", Preset("one"), "--data", *shared_ / "data", "--tokens", "4k", "--text", text, "--json"});
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  const Json row = Json::parse(compared.out).at("rows")[0];
  const CommandResult evaluated = RunCommand({"eval", "--model", run, "--text", text, "--json"}, scratch_);
  EXPECT_EQ(row.at("val_bits_per_byte"), Json::parse(evaluated.out).at("bits_per_byte"));
  EXPECT_EQ(row.at("val_part"), text);

  WriteFileAtomic(text, "Another text.\n");
  const CommandResult changed = Compare({"--presets", Preset("two")});
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_NE(changed.err.find("has changed"), std::string::npos) << changed.err;
  std::filesystem::remove(text);
  EXPECT_NE(Compare({}).err.find("--text NEW_PLACE"), std::string::npos);
}

TEST_F(CompareTest, DataMayMoveButNotChange) {
  const std::string data = scratch_ / "data", moved = scratch_ / "moved";
  std::filesystem::copy(*shared_ / "data", data, std::filesystem::copy_options::recursive);
  ASSERT_EQ(Compare({"--presets", Preset("one"), "--data", data + "/", "--tokens", "2k"}).exit_code, 0);
  std::filesystem::rename(data, moved);
  const CommandResult lost = Compare({"--presets", Preset("two")});
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_EQ(lost.ErrorLines(), 1) << lost.err;
  EXPECT_NE(lost.err.find("--data NEW_PLACE"), std::string::npos) << lost.err;
  EXPECT_EQ(Compare({"--presets", Preset("two"), "--data", moved}).exit_code, 0);
  WriteFileAtomic(moved + "/valid.txt", "Another text.\n");
  const CommandResult other = Compare({});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.err.find("is not that of the comparison"), std::string::npos) << other.err;
}

TEST_F(CompareTest, RefusesThoseOfEarlierVersions) {
  std::filesystem::create_directories(scratch_ / "out");
  for (const char* settings : {R"({"data": "x", "text": "", "presets": []})", R"({"version": 2, "presets": []})"}) {
    WriteFileAtomic(scratch_ / "out/settings.json", settings);
    const CommandResult result = Compare({});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
    EXPECT_NE(result.err.find("another version"), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace flashlm
