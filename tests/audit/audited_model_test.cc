// What is wrong with each of the models is found, and nothing with the correct one.
#include "audit/audited_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "audit/audit_plan.h"
#include "audit/audit_reading.h"
#include "audit/audit_training.h"
#include "base/error.h"
#include "base/rng.h"
#include "eval/causality.h"
#include "models/presets.h"
#include "models/registry.h"

namespace flashlm {
namespace {

constexpr Defects kFuture{.future_memory = true}, kNorm{.norm_over_time = true}, kPlanner{.whole_planner = true},
    kShift{.double_shift = true}, kAll{true, true, true, true};

std::unique_ptr<Model> Fresh(const Defects& defects, bool for_training = false) {
  std::unique_ptr<Model> model = MakeAuditedModel(ToyTask::Sizes(), defects, for_training);
  model->bank().Initialize(3);
  return model;
}

class EachDefect : public testing::TestWithParam<Defects> {};
INSTANTIATE_TEST_SUITE_P(Audit, EachDefect, testing::Values(Defects{}, kFuture, kNorm, kPlanner, kShift, kAll),
                         [](const auto& info) {
                           std::string name = "correct";
                           for (const std::string& one : info.param.Names()) {
                             name = name == "correct" ? one : name + "_" + one;
                           }
                           return name;
                         });

TEST_P(EachDefect, HasTheSameParameters) {
  const std::unique_ptr<Model> correct = Fresh({}), other = Fresh(GetParam());
  ASSERT_EQ(correct->bank().size(), other->bank().size());
  EXPECT_EQ(correct->bank().ParameterCount(), other->bank().ParameterCount());
  for (int64_t i = 0; i < correct->bank().size(); ++i) {
    ASSERT_EQ(correct->bank().values()[i], other->bank().values()[i]);
  }
}

TEST_P(EachDefect, IsFoundByTheCausalityCheckIfItLeaks) {
  const CausalityReport report = CheckCausality(*Fresh(GetParam()), DType::kF32);
  if (GetParam().leaks()) {
    EXPECT_GT(report.leak, 1e-3);
    EXPECT_FALSE(report.passed());
  } else {
    EXPECT_TRUE(report.passed()) << ToJson(report).dump();
  }
}

TEST_P(EachDefect, IsFoundByRandomTokensIfItLeaks) {
  const auto random = TrainOnRandomTokens(GetParam(), 200, "test");
  ASSERT_TRUE(random.has_value());
  const double floor = std::log(ToyTask::kVocab) - ToyTask::kMargin;
  EXPECT_EQ(random->nats < floor, GetParam().leaks()) << random->nats << ", of " << floor;
}

// A target two ahead leaks nothing; counting tells.
TEST(Audit, CountingFindsTheDoubleShift) {
  EXPECT_EQ(CountOn({}, 6), (std::vector<int32_t>{4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(CountOn(kShift, 6), (std::vector<int32_t>{5, 7, 9, 11, 13, 15}));
}

// Everything gets a gradient, so that none of the parameters that are counted is dead.
TEST_P(EachDefect, LearnsEveryParameter) {
  const std::unique_ptr<Model> model = Fresh(GetParam(), true);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  Rng rng(1, Purpose::kTest);
  std::vector<int32_t> tokens(32), targets(32);
  for (auto* ids : {&tokens, &targets}) {
    for (int32_t& id : *ids) id = static_cast<int32_t>(rng.Below(ToyTask::kVocab));
  }
  tape.BeginTraining(2, 16, 1, 1);
  Objective().Add(tape, model->Predict(tape, tokens.data()), tokens.data(), targets.data(), 0, 1, 1);
  tape.Backward();
  for (const ParamInfo& info : model->bank().infos()) {
    double size = 0;
    for (int64_t i = 0; i < info.size; ++i) size += std::abs(model->bank().gradients()[info.offset + i]);
    EXPECT_GT(size, 0) << info.name;
  }
}

AuditText RandomText(int count, int length, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<uint16_t> tokens;
  for (int i = 0; i < count * length + 2; ++i) tokens.push_back(static_cast<uint16_t>(4 + rng.Below(28)));
  const std::string_view text[] = {"aaaa bbbb"};
  AuditText scored(TokenData::FromTokens(tokens, ToyTask::kVocab), Tokenizer::Train(text, Tokenizer::kMinVocab), count,
                   length);
  return scored;
}

// The honest figure of a causal model is the one that it reports; of one that leaks it is not.
TEST_P(EachDefect, PrefixesTellTheTruth) {
  const std::unique_ptr<Model> model = Fresh(GetParam());
  const AuditText text = RandomText(5, 24, 7);
  const auto at_once = ReadAtOnce(*model, text, 1), by_prefix = ReadByPrefix(*model, text, "test");
  ASSERT_TRUE(at_once && by_prefix);
  EXPECT_EQ(at_once->tokens, 5 * 24);
  EXPECT_EQ(at_once->bytes, 5 * 24) << "a byte each";
  EXPECT_NEAR(by_prefix->bits_per_byte, by_prefix->nats_per_token / std::log(2.0), 1e-9);
  const double difference = std::abs(at_once->nats_per_token - by_prefix->nats_per_token);
  if (GetParam().leaks()) {
    EXPECT_GT(difference, 5e-5);
  } else {
    EXPECT_LT(difference, 1e-5);
  }
}

// Whatever a model does, a prefix's score cannot depend on what comes after the token that is scored.
TEST_P(EachDefect, PrefixesAreNotMovedByTheFuture) {
  const std::unique_ptr<Model> model = Fresh(GetParam());
  AuditText text = RandomText(3, 12, 9);
  AuditText shorter = text;
  shorter.length = 6;
  shorter.tokens.clear();
  for (int i = 0; i < 3; ++i) shorter.tokens.insert(shorter.tokens.end(), text.Sequence(i), text.Sequence(i) + 8);
  const auto begun = ReadByPrefix(*model, shorter, "test");
  for (int i = 0; i < 3; ++i) shorter.tokens[static_cast<size_t>(i) * 8 + 7] = 5;  // behind the last target
  const auto again = ReadByPrefix(*model, shorter, "test");
  EXPECT_EQ(begun->nats_per_token, again->nats_per_token);
}

TEST(Audit, ReportsTheTokenAfterNextWhereThatWasTrained) {
  const std::unique_ptr<Model> model = Fresh({});
  const AuditText text = RandomText(4, 16, 3);
  EXPECT_NE(ReadAtOnce(*model, text, 1)->nats_per_token, ReadAtOnce(*model, text, 2)->nats_per_token);
}

TEST(Audit, CasesAreEachAloneTogetherAndNone) {
  std::vector<std::string> alone;
  bool correct = false, together = false;
  for (const AuditCase& one : AuditCases()) {
    const std::vector<std::string> names = one.defects.Names();
    if (names.size() == 1) alone.push_back(names[0]);
    correct |= names.empty();
    together |= names.size() == 4;
  }
  EXPECT_EQ(alone, (std::vector<std::string>{"future_memory", "norm_over_time", "whole_planner", "double_shift"}));
  EXPECT_TRUE(correct && together);
}

// No preset names them, none of their settings is a key of an architecture, and no configuration reaches them: what
// MakeAuditedModel makes is told apart by its name, and sizes are all that its configuration has.
TEST(Audit, NoSettingReachesADefect) {
  for (const Preset& preset : Presets()) {
    for (const std::string& name : kAll.Names()) EXPECT_EQ(preset.toml.find(name), std::string::npos) << preset.name;
    EXPECT_EQ(preset.toml.find("audited"), std::string::npos) << preset.name;
  }
  for (const ModelEntry& entry : RegisteredModels()) {
    if (entry.name.starts_with("audited")) continue;
    for (const std::string& name : kAll.Names()) {
      EXPECT_EQ(entry.help().find(name), std::string::npos) << entry.name;
      Json config = entry.tiny();
      config["architecture"] = entry.name;
      config[name] = true;
      EXPECT_THROW(MakeModel(config, false), UsageError) << entry.name;
    }
  }
  Json config = MakeAuditedModel(ToyTask::Sizes(), {}, false)->config();
  for (const std::string& name : kAll.Names()) {
    EXPECT_FALSE(config.contains(name));
    Json with = config;
    with[name] = true;
    EXPECT_THROW(MakeModel(with, false), UsageError);
  }
}

TEST(Audit, RefusesSizesThatDoNotFit) {
  AuditedSizes sizes = ToyTask::Sizes();
  sizes.n_heads = 3;
  EXPECT_THROW(MakeAuditedModel(sizes, {}, false), UsageError);
}

}  // namespace
}  // namespace flashlm
