// Training steps that ranks share, the ranks being threads.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/parallel.h"
#include "base/rng.h"
#include "cluster/outer_step.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"
#include "memory_transport.h"
#include "models/presets.h"
#include "tests/train/tiny_training.h"
#include "train/step.h"

namespace flashlm {
namespace {

TrainConfig Training() {
  TrainConfig train;
  train.sequence_length = 24;
  train.micro_batch = 4;
  train.accumulate = 2;
  train.lanes = 2;
  train.word_dropout = 0.1;
  return train;
}

OptimConfig WithRule(const std::string& rule) {
  OptimConfig optim;
  optim.optimizer = rule;
  return optim;
}

struct Trained {
  std::vector<float> values;
  std::vector<std::vector<float>> states;
  std::vector<double> losses, norms;
};

Trained Train(Ranks* ranks, const TrainConfig& train, const OptimConfig& optim, int steps, const FrozenRange& frozen,
              DType dtype = DType::kF32, int threads = 1) {
  SetThreadCount(threads);
  const std::unique_ptr<Model> model = TinyForTraining("cortex-viii", Json::object({{"dropout", 0.2}}));
  TrainingStep step(*model, optim, train, dtype, 1, ranks);
  if (frozen.end > frozen.begin) step.Freeze({frozen});
  Trained trained;
  Rng rng(9, Purpose::kTest);
  std::vector<int32_t> inputs(static_cast<size_t>(train.TokensPerStep())), targets(inputs.size());
  for (int s = 0; s < steps; ++s) {
    for (auto* ids : {&inputs, &targets}) {
      for (int32_t& id : *ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab())));
    }
    const StepOutcome outcome = step.Run(s, inputs.data(), targets.data(), 1.0, 0.5);
    trained.losses.push_back(outcome.parts.total);
    trained.norms.push_back(outcome.gradient_norm);
  }
  step.CollectState();
  const ParamBank& bank = model->bank();
  trained.values.assign(bank.values(), bank.values() + bank.size());
  for (const ParamState::Array& array : step.optimizer().state().arrays()) {
    trained.states.emplace_back(array.data.get(), array.data.get() + array.size);
  }
  EXPECT_TRUE(std::all_of(bank.gradients(), bank.gradients() + bank.size(), [](float g) { return g == 0; }));
  return trained;
}

// What every rank knows; what the optimiser remembers is the first one's alone.
void ExpectAlike(const Trained& shared, const Trained& alone) {
  EXPECT_EQ(shared.values, alone.values);
  EXPECT_EQ(shared.losses, alone.losses);
  EXPECT_EQ(shared.norms, alone.norms);
}

TEST(SharedStep, HasTheBitsOfOneProcess) {
  OptimConfig normuon = WithRule("muon");
  FieldsFromJson({{"muon_beta2", 0.9}}, "optim", normuon);
  for (const OptimConfig& optim : {WithRule("adamw"), normuon}) {
    for (const FrozenRange& frozen : {FrozenRange{0, 0}, FrozenRange{100, 3000}}) {
      const Trained alone = Train(nullptr, Training(), optim, 6, frozen);
      for (const int count : {2, 3, 4}) {
        SCOPED_TRACE(fmt::format("{}, {} ranks", optim.optimizer, count));
        RunRanks(count, [&](Ranks& ranks) {
          const Trained shared = Train(&ranks, Training(), optim, 6, frozen);
          ExpectAlike(shared, alone);
          if (ranks.first()) {
            EXPECT_EQ(shared.states, alone.states);
          }
        });
      }
    }
  }
}

// Leaves side by side: whoever is the last to have a part sends it.
TEST(SharedStep, HasTheBitsOfOneProcessWhereRanksHaveThreads) {
  TrainConfig train = Training();
  train.accumulate = 5;
  const Trained alone = Train(nullptr, train, WithRule("muon"), 30, {0, 0});
  RunRanks(2, [&](Ranks& ranks) {
    ExpectAlike(Train(&ranks, train, WithRule("muon"), 30, {0, 0}, DType::kF32, 3), alone);
  });
}

// Only the last piece of a leaf completes a part.
TEST(SharedStep, HasTheBitsOfOneProcessWhereLeavesAreCutIntoPieces) {
  TrainConfig train = Training();
  train.pieces = 2;
  const Trained alone = Train(nullptr, train, WithRule("adamw"), 6, {0, 0}, DType::kF32, 2);
  RunRanks(2, [&](Ranks& ranks) { ExpectAlike(Train(&ranks, train, WithRule("adamw"), 6, {0, 0}), alone); });
}

// One leaf after the other on all threads of a rank.
TEST(SharedStep, HasTheBitsOfOneProcessWherePassesAreNotSideBySide) {
  TrainConfig train = Training();
  train.lanes = 1;
  const Trained alone = Train(nullptr, train, WithRule("adamw"), 6, {0, 0});
  RunRanks(2, [&](Ranks& ranks) { ExpectAlike(Train(&ranks, train, WithRule("adamw"), 6, {0, 0}), alone); });
}

// The number of passes changes; memory does not grow with steps.
TEST(SharedStep, StepsMayGrow) {
  const auto train_growing = [](Ranks* ranks) {
    SetThreadCount(1);
    const std::unique_ptr<Model> model = TinyForTraining("gpt");
    const TrainConfig train = Training();
    TrainingStep step(*model, WithRule("muon"), train, DType::kF32, 1, ranks);
    Rng rng(9, Purpose::kTest);
    for (int s = 0; s < 9; ++s) {
      StepSize size = train.Size();
      size.accumulate = 1 + s / 3;
      std::vector<int32_t> ids(static_cast<size_t>(size.Tokens()));
      for (int32_t& id : ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab())));
      step.Run({s, s * 3, size, 1.0, 0.5}, ids.data(), ids.data());
      EXPECT_LE(step.gradient_memory(), 3) << s;
    }
    const ParamBank& bank = model->bank();
    return std::vector<float>(bank.values(), bank.values() + bank.size());
  };
  const std::vector<float> alone = train_growing(nullptr);
  RunRanks(2, [&](Ranks& ranks) { EXPECT_EQ(train_growing(&ranks), alone); });
}

// The first operation of a pass, whose backward is the last: what has been sent until then.
struct Sent {
  Ranks* ranks;
  int64_t* bytes;
};
void CountSent(Tape&, const Node& node) { *node.As<Sent>().bytes = node.As<Sent>().ranks->bytes_sent(); }
constexpr OpDef kCountSent("count_sent", CountSent, nullptr);

TEST(SharedStep, GradientsAreOnTheirWayBeforeThePassIsOver) {
  RunRanks(2, [](Ranks& ranks) {
    SetThreadCount(1);
    const std::unique_ptr<Model> model = TinyForTraining("gpt");
    ParamBank& bank = model->bank();
    const Optimizer optimizer(WithRule("adamw"), bank);
    GradientExchange exchange(ranks, optimizer.Cuts(2, 6), 64, DType::kF32);
    LeafSums sums(*model, DType::kF32, false, true);
    sums.SendTo(exchange);
    const std::vector<int32_t> tokens(24, 3);
    int64_t sent = 0;
    const int64_t before = ranks.bytes_sent();
    exchange.Begin(2);
    sums.Run(2, 1, ShareOf(2, ranks.rank(), 2), [&](Tape& tape, int, int, int) {
      tape.BeginTraining(1, 24, 1, 1);
      const Tensor y = tape.New(1, 1, DType::kF32);
      tape.Record({&kCountSent, {}, y, {}, tape.Keep(Sent{&ranks, &sent})});
      tape.Seed(y, 1.0f);
      Objective().Add(tape, model->Forward(tape, tokens.data()), tokens.data(), tokens.data(), 0, 1.0, 2);
      tape.Backward();
    });
    exchange.Finish(bank.gradients());
    sums.Clear();
    // What the other one updates: about half.
    EXPECT_GT(sent - before, bank.size() * int64_t{sizeof(float)} / 3);
  });
}

// After 200 steps, with products of integers: what a run makes that trains as `auto` chooses on most machines.
TEST(SharedStep, HasTheBitsOfOneProcessAfter200StepsOfIntegers) {
  if (!kernels::HasVnni() || !kernels::MultipliesBf16()) GTEST_SKIP() << "this CPU does not train in int8 and bf16";
  TrainConfig train = Training();
  train.products = "int8";
  const Trained alone = Train(nullptr, train, WithRule("muon"), 200, {0, 0}, DType::kBF16);
  EXPECT_NE(alone.losses, Train(nullptr, Training(), WithRule("muon"), 200, {0, 0}, DType::kBF16).losses);
  for (const int count : {2, 4}) {
    RunRanks(count, [&](Ranks& ranks) {
      SCOPED_TRACE(count);
      ExpectAlike(Train(&ranks, train, WithRule("muon"), 200, {0, 0}, DType::kBF16), alone);
    });
  }
}

// What is summed in another order, or rounded on the way, has other bits: the test above would see it.
TEST(SharedStep, InBf16IsAlikeOnAllRanksAndNotAsInOneProcess) {
  TrainConfig train = Training();
  const Trained alone = Train(nullptr, train, WithRule("adamw"), 4, {0, 0});
  train.cluster.exchange = "bf16";
  std::vector<float> values[2];
  RunRanks(2, [&](Ranks& ranks) { values[ranks.rank()] = Train(&ranks, train, WithRule("adamw"), 4, {0, 0}).values; });
  EXPECT_EQ(values[0], values[1]);
  EXPECT_NE(values[0], alone.values);
  for (size_t i = 0; i < alone.values.size(); ++i) ASSERT_NEAR(values[0][i], alone.values[i], 0.02) << i;
}

// Local steps: each rank is a run of its own on its share, and the outer step with rate 1 and no momentum their mean.
class LocalSteps : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(BetweenExchanges, LocalSteps, testing::Values(1, 4));

TEST_P(LocalSteps, AreRunsOfTheirOwnUntilWeightsAreAveraged) {
  const int steps = GetParam();
  TrainConfig train = Training();
  train.word_dropout = 0;
  train.cluster.sync_every = 4;  // local ones; OuterStep is called here
  train.cluster.outer_lr = 1;
  train.cluster.outer_momentum = 0;
  std::vector<float> trained[2], averaged[2];
  RunRanks(2, [&](Ranks& ranks) {
    SetThreadCount(1);
    const std::unique_ptr<Model> model = TinyForTraining("cortex-viii", Json::object({{"dropout", 0.2}}));
    ParamBank& bank = model->bank();
    TrainingStep step(*model, WithRule("muon"), train, DType::kF32, 1, &ranks);
    OuterStep outer(&ranks, train.cluster, bank);
    outer.Begin();
    Rng rng(9, Purpose::kTest);
    std::vector<int32_t> ids(static_cast<size_t>(train.TokensPerStep()));
    for (int s = 0; s < steps; ++s) {
      for (int32_t& id : ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab())));
      step.Run(s, ids.data(), ids.data(), 1.0, 0.5);
    }
    trained[ranks.rank()] = {bank.values(), bank.values() + bank.size()};
    outer.Run();
    averaged[ranks.rank()] = {bank.values(), bank.values() + bank.size()};
  });
  EXPECT_NE(trained[0], trained[1]);
  EXPECT_EQ(averaged[0], averaged[1]);
  for (size_t i = 0; i < trained[0].size(); ++i) {
    ASSERT_NEAR(averaged[0][i], 0.5 * (static_cast<double>(trained[0][i]) + trained[1][i]), 1e-6) << i;
  }
  // The first rank's run is that of a process whose step has the first half of each step's passes.
  TrainConfig half = train;
  half.cluster.sync_every = 1;
  half.accumulate = 1;
  const std::unique_ptr<Model> model = TinyForTraining("cortex-viii", Json::object({{"dropout", 0.2}}));
  SetThreadCount(1);
  TrainingStep step(*model, WithRule("muon"), half, DType::kF32, 1);
  Rng rng(9, Purpose::kTest);
  std::vector<int32_t> ids(static_cast<size_t>(train.TokensPerStep()));
  for (int s = 0; s < steps; ++s) {
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab())));
    step.Run({s, s * 2, half.Size(), 1.0, 0.5}, ids.data(), ids.data());  // the micro-batches before it: of whole steps
  }
  const ParamBank& bank = model->bank();
  EXPECT_EQ(std::vector<float>(bank.values(), bank.values() + bank.size()), trained[0]);
}

// What members send: as even as tables and matrices that are not cut allow.
TEST(SharedOptimizer, SharesEvenly) {
  for (const char* preset : {"flagship-2m", "flagship-5m", "v8.4-lean", "cortex-viii"}) {
    const RunConfig config = RunConfig::FromDocument(LoadPreset(preset), preset);
    const std::unique_ptr<Model> model = MakeModel(config.model, true);
    const Optimizer optimizer(config.optim, model->bank());
    for (const auto& [members, rounds, bound] : {std::tuple{2, 6, 1.2}, {3, 6, 1.3}, {4, 6, 1.5}, {8, 3, 1.9}}) {
      const std::vector<int64_t> cuts = optimizer.Cuts(members, rounds);
      std::vector<int64_t> sizes(static_cast<size_t>(members));
      for (size_t part = 0; part + 1 < cuts.size(); ++part) sizes[part % sizes.size()] += cuts[part + 1] - cuts[part];
      const auto most = static_cast<double>(*std::max_element(sizes.begin(), sizes.end()));
      EXPECT_LT(most * members / static_cast<double>(cuts.back()), bound) << preset << ", " << members;
    }
  }
}

// Every parameter is updated by exactly one member, and a matrix as a whole.
TEST(SharedOptimizer, SharesEverythingOnce) {
  for (const char* rule : {"adamw", "muon"}) {
    const std::unique_ptr<Model> model = TinyForTraining("cortex-viii", Json::object({{"dropout", 0.2}}));
    const ParamBank& bank = model->bank();
    const Optimizer optimizer(WithRule(rule), model->bank());
    for (const int members : {1, 2, 3, 7}) {
      for (const int rounds : {1, 3}) {
        const std::vector<int64_t> cuts = optimizer.Cuts(members, rounds);
        ASSERT_EQ(cuts.size(), static_cast<size_t>(members * rounds) + 1);
        EXPECT_EQ(cuts.front(), 0);
        EXPECT_EQ(cuts.back(), bank.size());
        EXPECT_TRUE(std::is_sorted(cuts.begin(), cuts.end()));
        if (members > 1 && members < 4 && rounds == 1) {
          for (int m = 0; m < members; ++m) EXPECT_LT(cuts[static_cast<size_t>(m)], cuts[static_cast<size_t>(m) + 1]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace flashlm
