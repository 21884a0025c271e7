// Self-amplification: what is kept of what a model writes, who scores it, and that a killed run finds it again.
#include "train/amplification.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "eval/scorer.h"
#include "tests/data/scratch.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

// An untrained model writes at random, and seldom twice the same; its texts end by chance.
AmplificationConfig Lenient() {
  AmplificationConfig config;
  config.stories = 40;
  config.rounds = 3;
  config.tokens = 200;
  config.distinct = 0;
  config.repetition = 1;
  config.band_low = 0;
  config.band_high = 1;
  return config;
}

class AmplificationTest : public testing::Test {
 protected:
  Amplification Make(const AmplificationConfig& config) const { return {config, folder_ / "", 3, DType::kF32}; }
  std::vector<Json> Lines() const {
    std::vector<Json> lines;
    std::istringstream file(ReadFile(folder_ / kOwnStoriesFile));
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  double NatsOf(Model& model, const Json& line) const {
    TokenIds ids = line["ids"].get<TokenIds>();
    ids.push_back(Tokenizer::kEos);
    const std::vector<float> nats = Scorer(model, DType::kF32).Score({&ids, 1})[0];
    return std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(nats.size());
  }
  // Other weights, as after some steps.
  static void Disturb(Model& model, uint64_t seed) {
    model.bank().Initialize(seed);
    model.bank().Touch();
  }

  ScratchFolder folder_;
  std::unique_ptr<Model> model_ = TinyModel(FindModel("v6-supernova"));
};

TEST_F(AmplificationTest, EverythingThatIsKeptLiesInTheFileWithItsScore) {
  Amplification amplification = Make(Lenient());
  const auto round = amplification.Round(*model_, TinyTokenizer(), 7);
  ASSERT_TRUE(round);
  EXPECT_EQ(round->written, 40);
  EXPECT_EQ(round->kept + round->unfinished + round->length + round->repetition + round->distinct + round->band, 40);
  ASSERT_GT(round->kept, 3);
  const std::vector<Json> lines = Lines();
  EXPECT_EQ(std::ssize(lines), round->kept);
  EXPECT_EQ(amplification.stories().count(), round->kept);
  double sum = 0;
  for (const Json& line : lines) {
    EXPECT_EQ(line["step"], 7);
    EXPECT_NEAR(line["nats_per_token"].get<double>(), NatsOf(*model_, line), 1e-9);
    EXPECT_GE(line["ids"].size(), 25u);  // an eighth of the longest
    EXPECT_FALSE(line["text"].get<std::string>().empty());
    sum += line["nats_per_token"].get<double>();
  }
  EXPECT_NEAR(round->nats_per_token, sum / static_cast<double>(lines.size()), 1e-9);
}

// Later rounds are written by a model that has changed and scored by the one that has not, within the same band.
TEST_F(AmplificationTest, TheFrozenCopyScoresAndTheBandStays) {
  AmplificationConfig config = Lenient();
  config.band_low = 0.25;
  config.band_high = 0.75;
  Amplification amplification = Make(config);
  const auto first = amplification.Round(*model_, TinyTokenizer(), 1);
  ASSERT_TRUE(first);
  EXPECT_GT(first->band, 0);
  EXPECT_NEAR(static_cast<double>(first->kept), static_cast<double>(first->kept + first->band) / 2, 2);
  const double low = amplification.band_low(), high = amplification.band_high();
  const auto original = TinyModel(FindModel("v6-supernova"));
  Disturb(*model_, 99);
  for (int64_t step : {2, 3}) ASSERT_TRUE(amplification.Round(*model_, TinyTokenizer(), step));
  EXPECT_EQ(amplification.band_low(), low);
  EXPECT_EQ(amplification.band_high(), high);
  std::set<Json> texts;
  for (const Json& line : Lines()) {
    EXPECT_NEAR(line["nats_per_token"].get<double>(), NatsOf(*original, line), 1e-9);
    EXPECT_GE(line["nats_per_token"].get<double>(), low);
    EXPECT_LE(line["nats_per_token"].get<double>(), high);
    texts.insert(line["ids"]);
  }
  EXPECT_EQ(std::ssize(texts), amplification.stories().count()) << "rounds repeat each other";
}

TEST_F(AmplificationTest, FiltersDropWhatTheyAreFor) {
  AmplificationConfig config = Lenient();
  config.distinct = 1;  // no pair of words twice
  const auto distinct = Make(config).Round(*model_, TinyTokenizer(), 1);
  config.distinct = 0;
  config.tokens = 12;
  const auto shorter = Make(config).Round(*model_, TinyTokenizer(), 1);
  ASSERT_TRUE(distinct && shorter);
  EXPECT_GT(distinct->distinct, 0);
  for (const Json& line : Lines()) EXPECT_LE(line["ids"].size(), 12u);
  EXPECT_GT(shorter->unfinished, distinct->unfinished);
  EXPECT_THROW((AmplificationConfig{.band_low = 0.5, .band_high = 0.5}.Validate()), UsageError);
}

TEST_F(AmplificationTest, RoundsAreDueEvenlyOverThePhase) {
  Amplification amplification = Make(Lenient());
  EXPECT_TRUE(amplification.Due(0));
  amplification.Round(*model_, TinyTokenizer(), 1);
  EXPECT_FALSE(amplification.Due(0.3));
  EXPECT_TRUE(amplification.Due(0.34));
  amplification.Round(*model_, TinyTokenizer(), 2);
  amplification.Round(*model_, TinyTokenizer(), 3);
  EXPECT_FALSE(amplification.Due(1));
  amplification.BeginPhase();
  EXPECT_TRUE(amplification.Due(0));
}

// A run that goes on after step 2 has the stories of its rounds before 1 and 2, not that before 3, which it then makes
// again, bit for bit.
TEST_F(AmplificationTest, IsRestoredAsItWas) {
  AmplificationConfig config = Lenient();
  config.band_high = 0.8;
  Amplification whole = Make(config);
  whole.Round(*model_, TinyTokenizer(), 1);
  Disturb(*model_, 99);
  whole.Round(*model_, TinyTokenizer(), 2);
  const Json state = FieldsToJson(whole);
  whole.Round(*model_, TinyTokenizer(), 3);
  const std::string file = ReadFile(folder_ / kOwnStoriesFile);

  Amplification resumed = Make(config);
  FieldsFromJson(state, "", resumed);
  resumed.Restore(*model_, 2);
  EXPECT_LT(resumed.stories().count(), whole.stories().count());
  ASSERT_TRUE(resumed.Round(*model_, TinyTokenizer(), 3));
  EXPECT_EQ(ReadFile(folder_ / kOwnStoriesFile), file);
  EXPECT_EQ(FieldsToJson(resumed), FieldsToJson(whole));

  std::filesystem::remove(folder_ / kOwnStoriesFile);
  Amplification lost = Make(config);
  FieldsFromJson(state, "", lost);
  EXPECT_THROW(lost.Restore(*model_, 2), Error);
}

}  // namespace
}  // namespace flashlm
