// The size that a budget chooses (train/family.h).
#include "train/family.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"
#include "data/shards.h"

namespace flashlm {
namespace {

TEST(ScalingLawTest, LossFallsWithSizeAndDataAndRepeatsAreWorthLess) {
  const ScalingLaw law{.floor = 0.5, .size = 20, .size_power = 0.5, .data = 100, .data_power = 0.5, .repeats = 4};
  EXPECT_DOUBLE_EQ(law.BitsPerByte(1e4, 1e4, 1e4), 0.5 + 0.2 + 1.0);
  EXPECT_DOUBLE_EQ(law.BitsPerByte(4e4, 1e4, 1e4), 0.5 + 0.1 + 1.0);
  const double fresh = law.BitsPerByte(1e4, 4e4, 1e9), repeated = law.BitsPerByte(1e4, 4e4, 1e4);
  EXPECT_DOUBLE_EQ(fresh, 0.5 + 0.2 + 0.5);
  EXPECT_GT(repeated, fresh);
  EXPECT_LT(repeated, law.BitsPerByte(1e4, 1e4, 1e4));
  // Read for ever, a text is worth 1 + repeats readings.
  EXPECT_NEAR(law.BitsPerByte(1e4, 1e12, 1e4), 0.7 + 100 / std::sqrt(5e4), 1e-9);
}

class ChooseSizeTest : public testing::Test {
 protected:
  ChooseSizeTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_family_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ChooseSizeTest() override { std::filesystem::remove_all(folder_); }

  std::string Size(const std::string& name, int width, const std::string& steps = "accumulate = 1") const {
    const std::string path = folder_ + "/" + name + ".toml";
    WriteFileAtomic(path, fmt::format("[model]\narchitecture = \"gpt\"\nd_model = {}\nn_heads = 2\nn_layers = 1\n"
                                      "d_ff = 16\n[train]\nmicro_batch = 2\nsequence_length = 16\n{}\n",
                                      width, steps));
    return path;
  }
  // As much of a data set as the choice looks at.
  std::string Data(double tokens) const {
    const Json meta = {{"format", "flashlm-data"},
                       {"version", kDataVersion},
                       {"tokenizer", {{"vocab_size", 64}}},
                       {"train", {{"tokens", tokens}}}};
    WriteFileAtomic(folder_ + "/meta.json", meta.dump());
    return folder_;
  }

  std::string folder_;
};

// By this law size is worth next to nothing, and so decides only where the tokens' worth is the same.
TEST_F(ChooseSizeTest, InATimeTheFasterSizeReadsMoreUnlessThereIsNoMoreToRead) {
  const std::string slow = Size("slow", 1024), fast = Size("fast", 8);
  const Json family = {
      {"sizes", {slow, fast}},
      {"law",
       {{"floor", 0.0}, {"size", 1e-6}, {"size_power", 0.5}, {"data", 1.0}, {"data_power", 0.5}, {"repeats", 1.0}}}};
  const auto chosen = [&](double unique) {
    return ChooseSize(family, "family", {Budget::Time("24h"), "", Data(unique), {}}).preset;
  };
  EXPECT_EQ(chosen(1e15), fast);
  EXPECT_EQ(chosen(1000), slow) << "both have read it for ever";
}

// The large one would take some 800 MB; its steps, halves of what the others' are, are tried with the middle one.
TEST_F(ChooseSizeTest, NoSizeAboveTheMiddleOneIsTried) {
  const std::string large = Size("large", 4096, "accumulate = 2\nbatch_growth = \"0:0.5,0.5:1\"");
  // That weights cost time is plain from these two on any machine, however busy.
  const Json family = {{"sizes", {Size("small", 8), Size("middle", 512), large}},
                       {"law", {{"size", 1e-6}, {"size_power", 0.5}, {"data", 1.0}, {"data_power", 0.5}}}};
  const double before = PeakRssMb();
  EXPECT_NE(ChooseSize(family, "family", {Budget::Time("1s"), "", Data(1e15), {}}).preset, large);
  EXPECT_LT(PeakRssMb() - before, 200);
}

// A day reads a thousand tokens more often than helps; a text that a day does not read out takes the day.
TEST_F(ChooseSizeTest, ATimeEndsWhenTheTextHasBeenReadOftenEnough) {
  Json family = {{"sizes", {Size("only", 8)}},
                 {"law", {{"size", 1e-6}, {"data", 1.0}}},
                 {"repeated", {{"epochs", 4.0}, {"enough_epochs", 3.5}}}};
  const auto choice = [&](double unique) {
    return ChooseSize(family, "family", {Budget::Time("24h"), "", Data(unique), {}, true});
  };
  EXPECT_EQ(choice(1000).tokens, 3500);
  EXPECT_EQ(ChooseSize(family, "family", {Budget::Time("24h"), "", Data(1000), {}}).tokens, 0)
      << "who may not, does not";
  EXPECT_NE(choice(1000).why.find("more text would"), std::string::npos);
  EXPECT_EQ(choice(1e15).tokens, 0);
  family["repeated"]["enough_tokens"] = 5000;
  EXPECT_EQ(choice(1000).tokens, 5000) << "a small text is read more often";
  EXPECT_EQ(SizeChoice::FromJson(choice(1000).ToJson()).tokens, 5000);
  family["repeated"] = {{"epochs", 4.0}};
  EXPECT_EQ(choice(1000).tokens, 0);
  for (const Json& wrong : {Json("few"), Json(-1.0), Json(0), Json(std::nan(""))}) {
    family["repeated"]["enough_epochs"] = wrong;
    EXPECT_THROW(choice(1000), UsageError) << wrong.dump();
  }
  family["repeated"] = {{"epochs", 4.0}, {"enough_epoch", 3.5}};
  EXPECT_THROW(choice(1000), UsageError) << "misspelt";
  family["repeated"] = {{"epochs", 4.0}, {"enough_tokens", 5000}};
  EXPECT_THROW(choice(1000), UsageError) << "tokens without epochs say nothing";
  // Whether or not a text is so small that they hold.
  family["repeated"] = {{"epochs", -1.0}};
  EXPECT_THROW(choice(1e15), UsageError);
  for (const char* part : {"optim", "model"}) {
    family["repeated"] = {{"epochs", 4.0}, {part, {{"weight_dcay", 0.2}}}};
    EXPECT_THROW(choice(1e15), UsageError) << part;
  }
}

// 1 / N + 1 / sqrt(D) with N D given is least at N = 2 sqrt(D); the sizes have about a thousand weights and a million.
TEST_F(ChooseSizeTest, ForTokensTheSizeWhoseBestUseTheyAre) {
  const std::string large = Size("large", 512), small = Size("small", 8);
  const Json family = {{"sizes", {large, small}},
                       {"law", {{"size", 1.0}, {"size_power", 1.0}, {"data", 1.0}, {"data_power", 0.5}}}};
  const auto chosen = [&](const std::string& kind, double amount, double unique = 1e15) {
    return ChooseSize(family, "family", {{kind, amount}, "", Data(unique), {}}).preset;
  };
  EXPECT_EQ(chosen("tokens", 1e6), small);
  EXPECT_EQ(chosen("tokens", 1e11), large);
  EXPECT_EQ(chosen("steps", 1e6 / 32), small);
  EXPECT_EQ(chosen("steps", 1e11 / 32), large);
  // What every token costs makes weights cheap.
  Json with_overhead = family;
  with_overhead["law"]["overhead"] = 1e8;
  EXPECT_EQ(ChooseSize(with_overhead, "family", {{"tokens", 1e6}, "", Data(1e15), {}}).preset, large);
  // Of a text that has been read out nothing is left to gain but by size.
  EXPECT_EQ(chosen("tokens", 1e8), small);
  EXPECT_EQ(chosen("tokens", 1e8, 1e6), large);
}

}  // namespace
}  // namespace flashlm
