// One optimiser step: what is applied, what is dropped, and what it asks of the heap.
#include "train/step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "kernels/isa.h"
#include "models/registry.h"
#include "tests/train/tiny_training.h"

namespace {
std::atomic<int64_t> allocations = 0;
}  // namespace

// This test program counts what `new` is asked for. Not inlined, for the compiler would take free() after new
// for an error.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace flashlm {
namespace {

using Verdict = StepOutcome::Verdict;

TrainConfig SmallTraining(int micro_batch, int accumulate) {
  TrainConfig train;
  train.sequence_length = 24;
  train.micro_batch = micro_batch;
  train.accumulate = accumulate;
  FieldsFromJson({{"value_start_step", 0}, {"entropy_weight", 0.01}}, "train", train);
  return train;
}

struct Batch {
  std::vector<int32_t> inputs, targets;
  Batch(const TrainConfig& train, int vocab) {
    Rng rng(9, Purpose::kTest);
    for (int64_t i = 0; i < train.TokensPerStep(); ++i) {
      inputs.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab))));
      targets.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab))));
    }
  }
};

StepOutcome RunOn(TrainingStep& step, const Batch& batch, int64_t index, double factor = 1.0) {
  return step.Run(index, batch.inputs.data(), batch.targets.data(), factor);
}

std::vector<float> ValuesOf(const Model& model) {
  return {model.bank().values(), model.bank().values() + model.bank().size()};
}

bool AllZero(const float* values, int64_t n) {
  return std::all_of(values, values + n, [](float value) { return value == 0; });
}

TEST(StepTest, AStepThatIsNotFiniteChangesNothing) {
  for (const char* optimizer : {"adamw", "muon"}) {
    for (float poison : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      const auto model = TinyForTraining("cortex-viii");
      ParamBank& bank = model->bank();
      const TrainConfig train = SmallTraining(2, 2);
      OptimConfig optim;
      optim.optimizer = optimizer;
      TrainingStep step(*model, optim, train, DType::kF32, 1);
      const Batch batch(train, model->vocab());

      const std::vector<float> before = ValuesOf(*model);
      float& weight = bank.values()[bank.Find("blocks.0.swa.qkv.weight")->offset];
      const float healthy = std::exchange(weight, poison);
      bank.Touch();
      for (int i = 1; i <= 2; ++i) {
        EXPECT_EQ(RunOn(step, batch, i).verdict, Verdict::kNotFinite);
        EXPECT_EQ(step.state().skipped, i);
        EXPECT_EQ(step.state().skipped_in_a_row, i);
      }
      EXPECT_EQ(step.state().updates, 0);
      EXPECT_EQ(step.state().mean_norm, 0);
      weight = healthy;
      bank.Touch();
      EXPECT_EQ(ValuesOf(*model), before);
      EXPECT_TRUE(AllZero(bank.gradients(), bank.size()));
      for (const ParamState::Array& array : step.optimizer().state().arrays()) {
        EXPECT_TRUE(AllZero(array.data.get(), array.size)) << array.name;
      }

      const StepOutcome next = RunOn(step, batch, 3);
      EXPECT_EQ(next.verdict, Verdict::kApplied);
      EXPECT_EQ(step.state().updates, 1);
      EXPECT_EQ(step.state().skipped, 2);
      EXPECT_EQ(step.state().skipped_in_a_row, 0);
      EXPECT_EQ(step.state().mean_norm, next.gradient_norm);
      EXPECT_NE(ValuesOf(*model), before);
    }
  }
}

// With a rate of nothing every step has the same gradient norm, so that a threshold below it must catch the
// first step that is guarded, and one above it none.
TEST(StepTest, GuardsAgainstSpikesOnceTheMeanIsKnown) {
  constexpr int kUnguarded = 20;
  for (double spike_factor : {0.0, 0.5, 2.0}) {
    const auto model = TinyForTraining("cortex-viii");
    TrainConfig train = SmallTraining(2, 1);
    train.spike_factor = spike_factor;
    TrainingStep step(*model, {}, train, DType::kF32, 1);
    const Batch batch(train, model->vocab());
    for (int i = 0; i < kUnguarded; ++i) ASSERT_EQ(RunOn(step, batch, i, 0).verdict, Verdict::kApplied);
    const std::vector<float> before = ValuesOf(*model);
    const StepOutcome outcome = RunOn(step, batch, kUnguarded, 1);
    const bool spike = spike_factor == 0.5;
    EXPECT_EQ(outcome.verdict, spike ? Verdict::kSpike : Verdict::kApplied) << spike_factor;
    EXPECT_EQ(ValuesOf(*model) == before, spike);
    EXPECT_EQ(step.state().skipped, spike ? 1 : 0);
    EXPECT_EQ(step.state().updates, spike ? kUnguarded : kUnguarded + 1);
    EXPECT_TRUE(AllZero(model->bank().gradients(), model->bank().size()));
  }
}

// A norm that stays high is no spike: each refusal raises the mean by half. Here every norm is the mean, and the
// threshold half of it: one refusal raises it to 0.75, the second to 1.125.
TEST(StepTest, TheGuardRelentsWhereANormStaysHigh) {
  constexpr int kUnguarded = 20;
  const auto model = TinyForTraining("cortex-viii");
  TrainConfig train = SmallTraining(2, 1);
  train.spike_factor = 0.5;
  TrainingStep step(*model, {}, train, DType::kF32, 1);
  const Batch batch(train, model->vocab());
  int64_t index = 0;
  while (index < kUnguarded) ASSERT_EQ(RunOn(step, batch, index++, 0).verdict, Verdict::kApplied);
  const double mean = step.state().mean_norm;
  for (int refused = 1; refused <= 2; ++refused) {
    EXPECT_EQ(RunOn(step, batch, index++, 0).verdict, Verdict::kSpike);
    EXPECT_EQ(step.state().skipped_in_a_row, refused);
    EXPECT_NEAR(step.state().mean_norm, mean * std::pow(1.5, refused), 1e-9 * mean);
  }
  const StepOutcome outcome = RunOn(step, batch, index, 0);
  EXPECT_EQ(outcome.verdict, Verdict::kApplied);
  EXPECT_EQ(step.state().skipped_in_a_row, 0);
  EXPECT_EQ(step.state().skipped, 2);
  EXPECT_NEAR(step.state().mean_norm, 0.98 * 2.25 * mean + 0.02 * outcome.gradient_norm, 1e-9 * mean);
}

void ExpectTheStepOfOneMicroBatch(const TrainConfig& parts_train) {
  for (const ModelEntry& entry : RegisteredModels()) {
    // An update that is nearly the gradient itself: AdamW's usual one would blow up the rounding of tiny
    // gradients.
    OptimConfig optim;
    FieldsFromJson({{"beta1", 0.0}, {"beta2", 0.0}, {"eps", 1.0}}, "optim", optim);
    optim.lr = 1;
    optim.weight_decay = 0;
    optim.clip = 0;
    const auto whole = TinyForTraining(entry.name), parts = TinyForTraining(entry.name);
    const std::vector<float> before = ValuesOf(*whole);
    const TrainConfig whole_train = SmallTraining(4, 1);
    TrainingStep whole_step(*whole, optim, whole_train, DType::kF32, 1);
    TrainingStep parts_step(*parts, optim, parts_train, DType::kF32, 1);
    const Batch batch(whole_train, whole->vocab());
    const StepOutcome a = RunOn(whole_step, batch, 1), b = RunOn(parts_step, batch, 1);
    // A balancing loss is not a sum over tokens, and what chooses with noise draws it per micro-batch.
    if (a.parts["auxiliary"] != 0) continue;
    EXPECT_NEAR(a.parts.cross_entropy, b.parts.cross_entropy, 1e-6) << entry.name;
    EXPECT_NEAR(a.parts["entropy"], b.parts["entropy"], 1e-6) << entry.name;
    EXPECT_NEAR(a.parts["value_loss"], b.parts["value_loss"], 1e-5 * (1 + a.parts["value_loss"])) << entry.name;
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-5 * a.gradient_norm) << entry.name;
    const std::vector<float> x = ValuesOf(*whole), y = ValuesOf(*parts);
    float largest_update = 0, largest_difference = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      largest_update = std::max(largest_update, std::abs(x[i] - before[i]));
      largest_difference = std::max(largest_difference, std::abs(x[i] - y[i]));
    }
    EXPECT_GT(largest_update, 1e-3) << entry.name;
    EXPECT_LT(largest_difference, 2e-6) << entry.name;
  }
}

TEST(StepTest, TwoMicroBatchesEqualOneOfBoth) { ExpectTheStepOfOneMicroBatch(SmallTraining(2, 2)); }

TEST(StepTest, PiecesOfAMicroBatchEqualAllOfIt) {
  TrainConfig train = SmallTraining(4, 1);
  train.pieces = 2;
  ExpectTheStepOfOneMicroBatch(train);
}

// What a step asks of the heap once everything has its size; each of three later steps has to ask for as
// much.
struct SteadyStep {
  int64_t allocations = 0, products = 0, repacked = 0;
};

constexpr int kMuonSteps = 5;

SteadyStep MeasureSteadyStep(Model& model, DType dtype, const OptimConfig& optim) {
  const TrainConfig train = SmallTraining(4, 2);
  TrainingStep step(model, optim, train, dtype, 1);
  const Batch batch(train, model.vocab());
  int64_t index = 0;
  for (; index < 5; ++index) RunOn(step, batch, index);
  // On a busy machine a thread may do at a later step what another has done until then, and oneDNN keeps products for
  // every thread: so it may take some steps until there are three alike.
  constexpr int kMostSteps = 60;
  std::vector<int64_t> counts;
  const auto alike = [&] {
    return counts.size() >= 3 &&
           std::all_of(counts.end() - 3, counts.end(), std::bind_front(std::equal_to(), counts.back()));
  };
  counts.reserve(kMostSteps);
  while (std::ssize(counts) < kMostSteps && !alike()) {
    const int64_t before = allocations;
    RunOn(step, batch, index++);
    counts.push_back(allocations - before);
  }
  EXPECT_TRUE(alike());

  SteadyStep steady{counts.back()};
  step.SetProfiling(true);
  RunOn(step, batch, index);
  for (const auto& [name, time] : step.TakeProfile()) {
    if (name.find("GEMM") == std::string::npos) continue;
    steady.products += 3 * time.calls;                     // forward, gradient of the input, gradient of the weight
    steady.repacked += 2 * time.calls / train.accumulate;  // once a step for each of the first two
  }
  for (const ParamInfo& info : model.bank().infos()) {
    const bool muon = optim.optimizer == "muon" && info.role == Role::kMatrix;
    if (muon) steady.products += int64_t{3} * info.stacked * kMuonSteps;
  }
  return steady;
}

// FlashLM itself allocates nothing in a step: with the scalar kernels, which call no library, the count is
// zero. oneDNN keeps books for every execution of a product (its arguments and memory objects) and, several
// times that, for every repacking of a changed weight. They are small blocks of a constant number, and the
// bound keeps it so.
TEST(StepTest, SteadyStepsLeaveTheHeapAlone) {
  constexpr int64_t kPerProduct = 8, kPerRepacking = 120;  // 6 and 96 with oneDNN 2.6
  for (const ModelEntry& entry : RegisteredModels()) {
    for (const char* optimizer : {"adamw", "muon"}) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        if (dtype == DType::kBF16 && !kernels::HasNativeBf16()) continue;
        SCOPED_TRACE(fmt::format("{}, {}, {}", entry.name, optimizer, NameOf(dtype)));
        // How many products its experts need depends on the routing; oneDNN keeps books for each.
        if (entry.name == "nova-moe" && kernels::ActiveIsa() != kernels::Isa::kScalar) continue;
        const auto model = TinyForTraining(entry.name);
        OptimConfig optim;
        optim.optimizer = optimizer;
        FieldsFromJson({{"muon_steps", kMuonSteps}}, "optim", optim);
        const SteadyStep step = MeasureSteadyStep(*model, dtype, optim);
        const bool scalar = kernels::ActiveIsa() == kernels::Isa::kScalar;
        EXPECT_GT(step.products, 0);
        EXPECT_LE(step.allocations, scalar ? 0 : kPerProduct * step.products + kPerRepacking * step.repacked);
      }
    }
  }
}

// Loss of one step from the same start.
double CrossEntropyOf(const TrainConfig& train, int64_t index) {
  const auto model = TinyForTraining("cortex-viii");
  TrainingStep step(*model, OptimConfig{}, train, DType::kF32, 1);
  const Batch batch(train, model->vocab());
  return RunOn(step, batch, index).parts.cross_entropy;
}

TEST(StepTest, WordDropoutDependsOnTheStepAlone) {
  TrainConfig train = SmallTraining(2, 2);
  const double without = CrossEntropyOf(train, 3);
  train.word_dropout = 0.3;
  const double with = CrossEntropyOf(train, 3);
  EXPECT_NE(with, without);
  EXPECT_EQ(CrossEntropyOf(train, 3), with);
  EXPECT_NE(CrossEntropyOf(train, 4), with);
}

// Steps that grow are those of runs that are configured so.
TEST(StepTest, AStepMayHaveAnotherSizeThanTheConfigured) {
  struct Case {
    TrainConfig configured, other;
    StepPlan plan;  // for `configured`: what step 3 of `other` is
  };
  TrainConfig shorter = SmallTraining(4, 1);
  shorter.sequence_length = 12;
  for (Case c : {Case{SmallTraining(2, 1), SmallTraining(2, 4), {3, 12, {4, 2, 24}}},
                 Case{SmallTraining(2, 1), shorter, {3, 3, {1, 4, 12}}}}) {
    std::vector<float> values[2];
    StepOutcome outcomes[2];
    for (const bool by_plan : {false, true}) {
      TrainConfig& train = by_plan ? c.configured : c.other;
      train.word_dropout = 0.3;
      Json config = FindModel("cortex-viii").tiny();
      config.update({{"architecture", "cortex-viii"}, {"dropout", 0.2}});
      const std::unique_ptr<Model> model = MakeModel(config, true);
      model->bank().Initialize(5);
      TrainingStep step(*model, OptimConfig{}, train, DType::kF32, 1);
      const Batch batch(c.other, model->vocab());
      outcomes[by_plan] =
          by_plan ? step.Run(c.plan, batch.inputs.data(), batch.targets.data()) : RunOn(step, batch, c.plan.step);
      values[by_plan] = ValuesOf(*model);
    }
    EXPECT_EQ(outcomes[0].parts.cross_entropy, outcomes[1].parts.cross_entropy);
    EXPECT_EQ(outcomes[0].gradient_norm, outcomes[1].gradient_norm);
    EXPECT_EQ(values[0], values[1]);
  }
}

TEST(StepTest, TheSecondHeadsWeightRisesWithTheBudget) {
  TrainConfig train = SmallTraining(2, 1);
  FieldsFromJson({{"second_token_start", 0.2}, {"second_token_full", 0.4}}, "train", train);
  Json config = FindModel("cortex-viii").tiny();
  config.update({{"architecture", "cortex-viii"}, {"second_head", true}});
  const auto norm_at = [&](double fraction, double weight) {
    const std::unique_ptr<Model> model = MakeModel(config, true);
    model->bank().Initialize(5);
    TrainConfig at = train;
    FieldsFromJson({{"second_token_weight", weight}}, "train", at);
    TrainingStep step(*model, OptimConfig{}, at, DType::kF32, 1);
    const Batch batch(at, model->vocab());
    return step.Run(0, batch.inputs.data(), batch.targets.data(), 1.0, fraction).gradient_norm;
  };
  EXPECT_EQ(norm_at(0.1, 0.5), norm_at(0.1, 0));
  EXPECT_EQ(norm_at(0.2, 0.5), norm_at(1, 0));
  EXPECT_NEAR(norm_at(0.3, 0.5), norm_at(1, 0.25), 1e-6);
  EXPECT_EQ(norm_at(0.4, 0.5), norm_at(1, 0.5));
}

// The instruction set is chosen once per process, so another one needs another process.
TEST(StepTest, ScalarSteadyStepsAllocateNothing) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      fmt::format("FLASHLM_ISA=scalar '{}' --gtest_filter=StepTest.SteadyStepsLeaveTheHeapAlone --gtest_brief=1", self);
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace flashlm
