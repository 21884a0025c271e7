// Who watches a backward pass hears of each part of the bank once, as early as may be, and of what nobody adds to
// first.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "autograd/tape.h"

namespace flashlm {
namespace {

constexpr int kWidth = 4;

class Log final : public GradientWatch {
 public:
  explicit Log(std::vector<int64_t> cuts) : cuts_(std::move(cuts)) {}
  std::span<const int64_t> cuts() const override { return cuts_; }
  void Complete(int part) override { text += std::to_string(part); }
  void Between() override { text += '.'; }

  std::string text;

 private:
  std::vector<int64_t> cuts_;
};

class GradientWatchTest : public testing::Test {
 protected:
  GradientWatchTest() : packs_(bank_), tape_(bank_, packs_, DType::kF32) {
    for (const char* name : {"first", "unused", "second", "twice"}) {
      maps_.push_back(bank_.Add({name, {kWidth, kWidth}, Role::kMatrix, Init::Normal(1.0f)}));
    }
    bank_.Allocate(true);
    bank_.Initialize(1);
  }

  // Through maps 3, 0, 2 and 3, one after the other.
  void Pass(GradientWatch& watch) {
    tape_.SetWatch(&watch);
    tape_.BeginTraining(1, 1, 1, 1);
    Tensor x = tape_.Wrap(ones_, 1, kWidth);
    for (const size_t map : {3, 0, 2, 3}) x = Linear(tape_, x, maps_[map]);
    tape_.Seed(x, ones_);
    tape_.Backward();
  }

  ParamBank bank_;
  WeightPacks packs_;
  Tape tape_;
  std::vector<Param> maps_;
  float ones_[kWidth] = {1, 1, 1, 1};
};

TEST_F(GradientWatchTest, HearsOfEachPartAsSoonAsItIsComplete) {
  Log log({maps_[0].offset, maps_[1].offset, maps_[2].offset, maps_[3].offset, bank_.size()});
  Pass(log);
  EXPECT_EQ(log.text, "1.2.0.3.");
}

TEST_F(GradientWatchTest, APartIsCompleteWithTheLastOfItsParameters) {
  const int64_t inside = maps_[2].offset + 5;
  Log log({0, inside, bank_.size()});
  Pass(log);
  EXPECT_EQ(log.text, "..0.1.") << "the first part has half of map 2, and map 0";
}

TEST_F(GradientWatchTest, EmptyPartsAreCompleteAtOnce) {
  Log log({0, 0, bank_.size(), bank_.size()});
  Pass(log);
  EXPECT_EQ(log.text, "20...1.");
}

void AddToGradient(Tape& tape, const Node& node) { *tape.ParamGradient(*static_cast<const Param*>(node.saved)) += 1; }
constexpr OpDef kSecretive("secretive", AddToGradient, nullptr);

TEST_F(GradientWatchTest, AnOperationThatDoesNotNameItsParameterIsFound) {
  Log log({0, bank_.size()});
  tape_.SetWatch(&log);
  for (const bool named : {true, false}) {
    tape_.BeginTraining(1, 1, 1, 1);
    const Tensor y = tape_.New(1, 1, DType::kF32);
    if (named) tape_.Uses(maps_[1]);
    tape_.Record({&kSecretive, {}, y, {}, &maps_[1]});
    if (!named) tape_.Uses(maps_[1]);  // too late
    tape_.Seed(y, 1.0f);
    if (named) {
      tape_.Backward();
    } else {
      EXPECT_THROW(tape_.Backward(), Error);
    }
  }
}

}  // namespace
}  // namespace flashlm
