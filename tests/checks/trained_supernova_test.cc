// The claims of v6 on a trained model (checks/trained_supernova.h): what was trained for them keeps them, and what
// lacks one of the things that were promised is found.
#include "checks/trained_supernova.h"

#include <gtest/gtest.h>

#include "probes/probes.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr int kVocab = 400, kLength = 48, kRows = 4;

std::string TextOfProbes() {
  std::string text;
  for (uint64_t i = 0; i < 400; ++i) text += ProbeDocument(2, i) + "\n";
  return text;
}

class TrainedSupernova : public testing::Test {
 protected:
  // Trained for long enough to be better than chance; the same for all tests.
  static void SetUpTestSuite() {
    const std::string text = TextOfProbes();
    const std::string_view texts[] = {text};
    tokenizer_ = new Tokenizer(Tokenizer::Train(texts, kVocab));
    const std::vector<uint16_t> ids = tokenizer_->Encode(text);
    const std::unique_ptr<Model> model = Make(true);
    TrainConfig train;
    train.micro_batch = kRows;
    train.accumulate = 1;
    train.sequence_length = kLength;
    train.spike_factor = 0;
    OptimConfig optim;
    optim.lr = 3e-3;
    TrainingStep step(*model, optim, train, DType::kF32, 1);
    std::vector<int32_t> inputs(size_t{kRows} * kLength), targets(inputs.size());
    for (int s = 0; s < 150; ++s) {
      for (size_t i = 0; i < inputs.size(); ++i) {
        const size_t at = (static_cast<size_t>(s) * 977 + i / kLength * 5003 + i % kLength) % (ids.size() - 1);
        inputs[i] = ids[at];
        targets[i] = ids[at + 1];
      }
      step.Run(s, inputs.data(), targets.data(), 1.0);
    }
    weights_ = new std::vector<float>(model->bank().values(), model->bank().values() + model->bank().size());
  }
  static void TearDownTestSuite() {
    delete tokenizer_;
    delete weights_;
  }

  static std::unique_ptr<Model> Make(bool for_training) {
    std::unique_ptr<Model> model = MakeModel({{"architecture", "v6-supernova"},
                                              {"vocab", tokenizer_->vocab_size()},
                                              {"d_model", 48},
                                              {"n_layers", 2},
                                              {"d_reason", 32},
                                              {"n_operations", 16},
                                              {"n_slots", 8},
                                              {"init_std", 0.1}},
                                             for_training);
    model->bank().Initialize(1);
    return model;
  }

  static LoadedModel Trained() {
    LoadedModel loaded{Make(false), *tokenizer_, Json(), "", -1};
    std::copy(weights_->begin(), weights_->end(), loaded.model->bank().values());
    loaded.model->bank().Touch();
    return loaded;
  }

  // Of one tensor, every value by what `change` makes of it and of its index.
  template <class Change>
  static void Edit(LoadedModel& loaded, const std::string& name, const Change& change) {
    ParamBank& bank = loaded.model->bank();
    const ParamInfo* info = bank.Find(name);
    ASSERT_NE(info, nullptr) << name;
    for (int64_t i = 0; i < info->size; ++i)
      bank.values()[info->offset + i] = change(bank.values()[info->offset + i], i);
    bank.Touch();
  }

  static CheckResult Claim(LoadedModel& loaded, int number) {
    const std::vector<CheckResult> claims = CheckTrainedSupernova(loaded, DType::kF32, false);
    EXPECT_EQ(claims.size(), 13u);
    const CheckResult& claim = claims[static_cast<size_t>(number) - 1];
    EXPECT_TRUE(claim.name.starts_with(fmt::format("trained, claim {}:", number))) << claim.name;
    return claim;
  }

  static inline Tokenizer* tokenizer_ = nullptr;
  static inline std::vector<float>* weights_ = nullptr;
};

TEST_F(TrainedSupernova, KeepsWhatDoesNotDependOnDepth) {
  LoadedModel loaded = Trained();
  ASSERT_TRUE(IsSupernova(*loaded.model));
  const std::vector<CheckResult> claims = CheckTrainedSupernova(loaded, DType::kF32, false);
  for (size_t i = 0; i < claims.size(); ++i) {
    if (i == 5 || i == 10) continue;  // whether a model goes deep, and gains by it, is up to its training
    EXPECT_TRUE(claims[i].passed) << claims[i].name << ": " << claims[i].detail;
  }
  const std::vector<float> after(loaded.model->bank().values(),
                                 loaded.model->bank().values() + loaded.model->bank().size());
  EXPECT_EQ(after, *weights_) << "checking changes nothing";
  EXPECT_EQ(loaded.model->config().at("depth"), 0);
}

TEST_F(TrainedSupernova, FindsWeightsThatAreNotTernary) {
  LoadedModel loaded = Trained();
  for (const ParamInfo& info : loaded.model->bank().infos()) {
    if (info.quantization.ternary == kernels::Ternary::kNone) continue;
    Edit(loaded, info.name, [](float w, int64_t) { return std::abs(w); });
  }
  const CheckResult claim = Claim(loaded, 1);
  EXPECT_FALSE(claim.passed) << claim.detail;
}

TEST_F(TrainedSupernova, FindsABackboneThatForgets) {
  LoadedModel loaded = Trained();
  for (const char* name : {"backbone.0.decay", "backbone.1.decay"}) {
    Edit(loaded, name, [](float, int64_t) { return -200.0f; });
  }
  const CheckResult claim = Claim(loaded, 2);
  EXPECT_FALSE(claim.passed) << claim.detail;
}

// All tokens take the first two operations.
TEST_F(TrainedSupernova, FindsARouterThatCollapsed) {
  LoadedModel loaded = Trained();
  const int width = 32;
  Edit(loaded, "rcsm.router.router.weight", [&](float, int64_t i) { return i < width ? 1.0f : 0.0f; });
  Edit(loaded, "rcsm.reason_norm.weight", [](float, int64_t) { return 0.0f; });
  Edit(loaded, "rcsm.reason_norm.bias", [](float, int64_t) { return 1.0f; });
  for (const int number : {4, 12}) {
    const CheckResult claim = Claim(loaded, number);
    EXPECT_FALSE(claim.passed) << claim.name << ": " << claim.detail;
  }
}

TEST_F(TrainedSupernova, FindsAMemoryThatNobodyWrote) {
  LoadedModel loaded = Trained();
  const std::unique_ptr<Model> fresh = Make(false);
  const float* slots = fresh->bank().values() + fresh->bank().Find("rcsm.memory.slots")->offset;
  Edit(loaded, "rcsm.memory.slots", [&](float, int64_t i) { return slots[i]; });
  const CheckResult claim = Claim(loaded, 5);
  EXPECT_FALSE(claim.passed) << claim.detail;
}

// A classifier without weights finds all depths alike, and the first of equals is taken.
TEST_F(TrainedSupernova, FindsTokensThatAllStayShallow) {
  LoadedModel loaded = Trained();
  Edit(loaded, "rcsm.depth_ctrl.classifier.weight", [](float, int64_t) { return 0.0f; });
  const CheckResult claim = Claim(loaded, 6);
  EXPECT_FALSE(claim.passed) << claim.detail;
  EXPECT_NE(claim.detail.find("100.0 %"), std::string::npos) << claim.detail;
}

TEST_F(TrainedSupernova, FindsAnEngineThatIsCutOff) {
  LoadedModel loaded = Trained();
  Edit(loaded, "rcsm.up_proj.weight", [](float, int64_t) { return 0.0f; });
  for (const int number : {7, 11}) {
    const CheckResult claim = Claim(loaded, number);
    EXPECT_FALSE(claim.passed) << claim.name << ": " << claim.detail;
  }
}

TEST_F(TrainedSupernova, FindsAModelThatLearntNothing) {
  LoadedModel loaded = Trained();
  Edit(loaded, "embedding.weight", [](float w, int64_t i) { return i % 2 == 0 ? 9 * w : -9 * w; });
  const CheckResult claim = Claim(loaded, 8);
  EXPECT_FALSE(claim.passed) << claim.detail;
}

TEST_F(TrainedSupernova, OtherModelsAreNotAsked) {
  const std::unique_ptr<Model> other = MakeModel({{"architecture", "gpt"}}, false);
  EXPECT_FALSE(IsSupernova(*other));
}

}  // namespace
}  // namespace flashlm
