#include "train/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/presets.h"

namespace flashlm {
namespace {

// The order of keys means nothing to TOML.
nlohmann::json Sorted(const Json& json) { return nlohmann::json::parse(json.dump()); }

TEST(BudgetTest, ReadsTimes) {
  EXPECT_EQ(Budget::Time("10m").amount, 600);
  EXPECT_EQ(Budget::Time("1h30m").amount, 5400);
  EXPECT_EQ(Budget::Time("90s").amount, 90);
  EXPECT_EQ(Budget::Time("1h1m1s").amount, 3661);
  EXPECT_EQ(Budget::Time("0.5h").amount, 1800);
  EXPECT_EQ(Budget::Time("2h").kind, "time");
}

TEST(BudgetTest, ReadsTokens) {
  EXPECT_EQ(Budget::Tokens("10M").amount, 10e6);
  EXPECT_EQ(Budget::Tokens("2.5k").amount, 2500);
  EXPECT_EQ(Budget::Tokens("1G").amount, 1e9);
  EXPECT_EQ(Budget::Tokens("12345").amount, 12345);
  EXPECT_EQ(Budget::Tokens("1M500k").amount, 1.5e6);
  EXPECT_EQ(Budget::Tokens("1k").kind, "tokens");
}

TEST(BudgetTest, RefusesWhatIsNone) {
  for (const char* text : {"", "soon", "10", "m", "10 minutes", "-5m", "0s", "1h-30m", "nan", "infh", "10M", "1h30"}) {
    EXPECT_THROW(Budget::Time(text), UsageError) << '"' << text << '"';
  }
  for (const char* text : {"", "many", "10m", "-1", "0", "0.2", "M", "1k5", "inf", "1e400"}) {
    EXPECT_THROW(Budget::Tokens(text), UsageError) << '"' << text << '"';
  }
  for (const char* text : {"", "0", "-3", "1.5", "many", "10 ", "99999999999999999999", "1k"}) {
    EXPECT_THROW(Budget::Steps(text), UsageError) << '"' << text << '"';
  }
  try {
    Budget::Time("soon");
    ADD_FAILURE();
  } catch (const UsageError& e) {
    EXPECT_NE(e.OneLine().find("--time soon"), std::string::npos) << e.OneLine();
    EXPECT_NE(e.OneLine().find("for example"), std::string::npos) << e.OneLine();
  }
}

TEST(BudgetTest, HoursAreTime) {
  EXPECT_EQ(Budget::Hours("12").amount, Budget::Time("12h").amount);
  EXPECT_EQ(Budget::Hours("1.5").ToString(), Budget::Time("1h30m").ToString());
  for (const char* hours : {"", "0", "-1", "inf", "nan", "2h", "two"}) {
    EXPECT_THROW(Budget::Hours(hours), UsageError) << hours;
  }
}

TEST(BudgetTest, FractionCountsItsOwnKind) {
  EXPECT_EQ(Budget::Time("100s").Fraction(25, 1'000'000, 1'000'000), 0.25);
  EXPECT_EQ(Budget::Tokens("1k").Fraction(1e6, 500, 1'000'000), 0.5);
  EXPECT_EQ(Budget::Steps("8").Fraction(1e6, 1'000'000, 2), 0.25);
  EXPECT_EQ(Budget::Steps("8").Fraction(0, 0, 0), 0.0);
  EXPECT_EQ(Budget::Steps("8").Fraction(0, 0, 9), 1.0);
}

RunConfig Example() {
  RunConfig config = RunConfig::FromDocument(LoadPreset("cortex-viii"), "cortex-viii");
  config.optim.lr = 0.1 + 0.2;  // needs all its digits
  config.optim.schedule = "linear";
  config.train.micro_batch = 3;
  config.train.precision = "f32";
  config.budget = Budget::Time("1h30m");
  config.data = "some folder/with \"quotes\"";
  config.data_fingerprint = "0123";
  config.extensions = {{Budget::Time("2h"), 1200, 0.0, false}, {Budget::Tokens("9M"), 1300, 5.5e6, true}};
  config.seed = 18'446'744'073'709'551'615u;
  return config;
}

TEST(RunConfigTest, RoundTrips) {
  const RunConfig config = Example();
  const Json json = config.ToJson();
  EXPECT_EQ(RunConfig::FromJson(ParseJson(json.dump(), "test")).ToJson(), json);
  const RunConfig from_toml = RunConfig::FromJson(ParseToml(ToToml(json), "test"));
  EXPECT_EQ(Sorted(from_toml.ToJson()), Sorted(json));
  EXPECT_EQ(from_toml.optim.lr, config.optim.lr);
  EXPECT_EQ(from_toml.seed, config.seed);
  EXPECT_EQ(from_toml.budget.amount, 5400);
  EXPECT_EQ(from_toml.CurrentBudget().amount, 9e6);
  EXPECT_EQ(from_toml.train.TokensPerStep(), int64_t{3} * config.train.sequence_length * config.train.accumulate);
}

TEST(RunConfigTest, EveryPresetIsReadable) {
  for (const Preset& preset : Presets()) {
    if (IsFamily(LoadPreset(preset.name))) continue;
    EXPECT_NO_THROW(RunConfig::FromDocument(LoadPreset(preset.name), preset.name)) << preset.name;
  }
}

TEST(RunConfigTest, RefusesWhatIsUnknown) {
  const auto refused = [](const std::string& toml, const std::string& part) {
    try {
      RunConfig::FromDocument(ParseToml(toml, "test"), "test");
      ADD_FAILURE() << "accepted: " << toml;
    } catch (const UsageError& e) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine();
    }
  };
  refused("[model]\n[trian]\nlog_every = 1", "did you mean 'train'?");
  refused("[model]\n[train]\nmicro_bacth = 1", "did you mean 'micro_batch'?");
  refused("[model]\n[optim]\nlr = -1", "optim.lr");
  refused("[train]", "no section [model]");
  const std::string muon = "[model]\n[optim]\noptimizer = \"muon\"\n";
  refused(muon + "muon_form = \"aol\"\nmuon_steps = 6", "optim.muon_steps: 6");
  refused(muon + "decay_schedule = \"folow\"", "follow");
}

}  // namespace
}  // namespace flashlm
