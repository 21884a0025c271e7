// A tensor may have any number of readers, in any order: a residual block in which every operation of the set reads
// the same normalised tensor has the same gradients in every order, those of its parts added up.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "autograd/ops.h"
#include "base/rng.h"
#include "kernels/isa.h"

namespace flashlm {
namespace {

constexpr int kBatch = 2, kLength = 9, kRows = kBatch * kLength, kWidth = 24;

// A reader of h [N,C] whose result is again [N,C].
struct Reader {
  const char* name;
  std::function<Tensor(Tape&, const Tensor& h)> read;
};

class ReadersTest : public testing::TestWithParam<DType> {
 protected:
  ReadersTest() : packs_(bank_) {
    const auto add = [&](const char* name, int rows, int cols) {
      return bank_.Add({name, {rows, cols}, Role::kMatrix, Init::Normal(0.3f)});
    };
    gain_ = add("gain", 1, kWidth);
    const Param map = add("map", kWidth, kWidth), decay = add("decay", 1, kWidth / 2),
                kernel = add("kernel", kWidth / 2, 3), gains = add("gains", 1, kWidth / 3), mix = add("mix", 1, kWidth);
    const auto twice = [](Tape& tape, const Tensor& half) { return PairWithPast(tape, half, 1); };
    readers_ = {
        {"linear", [=](Tape& tape, const Tensor& h) { return Linear(tape, h, map); }},
        {"swiglu", [=](Tape& tape, const Tensor& h) { return twice(tape, SwiGlu(tape, h)); }},
        {"geglu", [=](Tape& tape, const Tensor& h) { return twice(tape, GeGlu(tape, h)); }},
        {"relu_squared", [=](Tape& tape, const Tensor& h) { return ReluSquared(tape, h); }},
        {"silu", [=](Tape& tape, const Tensor& h) { return Silu(tape, h); }},
        {"sigmoid_gate", [=](Tape& tape, const Tensor& h) { return SigmoidGate(tape, h, h); }},
        {"gate_mix", [=](Tape& tape, const Tensor& h) { return GateMix(tape, h, Silu(tape, h), h); }},
        {"head_norm", [=](Tape& tape, const Tensor& h) { return HeadNorm(tape, h, gains); }},
        {"token_shift", [=](Tape& tape, const Tensor& h) { return TokenShift(tape, h, mix); }},
        {"attention",
         [=](Tape& tape, const Tensor& h) {
           return WindowAttention(tape, h, h, h, {3, kWidth / 3, 4});
         }},
        {"decay_scan", [=](Tape& tape, const Tensor& h) { return twice(tape, DecayScan(tape, h, decay)); }},
        {"gated_conv", [=](Tape& tape, const Tensor& h) { return twice(tape, GatedConv(tape, h, kernel)); }},
        {"columns",
         [=](Tape& tape, const Tensor& h) {
           return twice(tape, SwiGlu(tape, Tape::Columns(PairWithPast(tape, h, 2), kWidth / 2, kWidth)));
         }},
    };
    bank_.Allocate(true);
    bank_.Initialize(11);
    tape_ = std::make_unique<Tape>(bank_, packs_, GetParam());
    Rng rng(12, Purpose::kTest);
    for (int i = 0; i < kRows * kWidth; ++i) {
      input_.push_back(rng.Normal());
      upstream_.push_back(rng.Normal());
    }
  }

  static bool CanRun() { return GetParam() == DType::kF32 || kernels::HasNativeBf16(); }

  // y = x + sum of readers of norm(x), in this order -> dL/dx.
  std::vector<float> Gradient(const std::vector<size_t>& order) {
    tape_->BeginTraining(kBatch, kLength, 1, 1);
    const Tensor x = tape_->Wrap(input_.data(), kRows, kWidth);
    const Tensor h = RmsNorm(*tape_, x, gain_);
    Tensor y = x;
    for (const size_t i : order) y = AddDropout(*tape_, y, readers_[i].read(*tape_, h), 0);
    tape_->Seed(y, upstream_.data());
    tape_->Backward();
    const auto* gradient = static_cast<const float*>(tape_->GradientOf(x).data);
    return {gradient, gradient + input_.size()};
  }

  ParamBank bank_;
  WeightPacks packs_;
  std::unique_ptr<Tape> tape_;
  Param gain_;
  std::vector<Reader> readers_;
  std::vector<float> input_, upstream_;
};

TEST_P(ReadersTest, EveryPairInBothOrders) {
  if (!CanRun()) GTEST_SKIP() << "no bf16 products in this instruction set";
  const float tolerance = GetParam() == DType::kBF16 ? 0.1f : 2e-5f;
  const std::vector<float> alone = Gradient({});
  for (size_t i = 0; i < readers_.size(); ++i) {
    const std::vector<float> first = Gradient({i});
    for (size_t j = 0; j < readers_.size(); ++j) {
      const std::vector<float> second = Gradient({j}), both = Gradient({i, j});
      for (size_t e = 0; e < both.size(); ++e) {
        ASSERT_NEAR(both[e], first[e] + second[e] - alone[e], tolerance * (1 + std::abs(both[e])))
            << readers_[i].name << " then " << readers_[j].name << ", element " << e;
      }
    }
  }
}

TEST_P(ReadersTest, AllAtOnceInRotatedOrders) {
  if (!CanRun()) GTEST_SKIP() << "no bf16 products in this instruction set";
  std::vector<size_t> order(readers_.size());
  std::iota(order.begin(), order.end(), 0);
  const std::vector<float> alone = Gradient({});
  std::vector<double> sum(alone.begin(), alone.end());
  for (const size_t i : order) {
    const std::vector<float> part = Gradient({i});
    for (size_t e = 0; e < sum.size(); ++e) sum[e] += double{part[e]} - alone[e];
  }
  const double tolerance = GetParam() == DType::kBF16 ? 0.2 : 1e-4;
  for (int reversed = 0; reversed < 2; ++reversed) {
    for (size_t turn = 0; turn < order.size(); ++turn) {
      const std::vector<float> gradient = Gradient(order);
      for (size_t e = 0; e < sum.size(); ++e) {
        ASSERT_NEAR(gradient[e], sum[e], tolerance * (1 + std::abs(sum[e]))) << "turn " << turn;
      }
      std::rotate(order.begin(), order.begin() + 1, order.end());
    }
    std::reverse(order.begin(), order.end());
  }
}

// Scratch is lent, not allocated anew: after the second step nothing grows.
TEST_P(ReadersTest, MemoryIsSteady) {
  if (!CanRun()) GTEST_SKIP() << "no bf16 products in this instruction set";
  std::vector<size_t> order(readers_.size());
  std::iota(order.begin(), order.end(), 0);
  Gradient(order);
  Gradient(order);
  const int64_t grown = tape_->grow_events();
  Gradient(order);
  EXPECT_EQ(tape_->grow_events(), grown);
}

INSTANTIATE_TEST_SUITE_P(Types, ReadersTest, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace flashlm
