#include "nn/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace flashlm {
namespace {

constexpr int kRows = 3, kWidth = 6, kHidden = 5;
const Init kNormal = Init::Normal(0.5f);

class SwiGluTest : public testing::Test {
 protected:
  // As two parts, or as one whose first half is the gate.
  SwiGluLayer Declare(bool two_parts) {
    const std::vector<LinearPart> gate_up =
        two_parts ? std::vector<LinearPart>{{"gate", kHidden, kNormal}, {"up", kHidden, kNormal}}
                  : std::vector<LinearPart>{{"gate_up", 2 * kHidden, kNormal, 2}};
    const SwiGluLayer layer =
        AddSwiGlu(bank_, AddGain(bank_, "norm", kWidth), gate_up, {"down", kWidth, kNormal}, quantization_);
    bank_.Allocate(true);
    bank_.Initialize(2);
    for (int c = 0; c < kWidth; ++c) bank_.Value(layer.norm)[c] = 1 + 0.25f * static_cast<float>(c);
    Rng rng(3, Purpose::kTest);
    for (int i = 0; i < kRows * kWidth; ++i) h_.push_back(rng.Normal());
    return layer;
  }

  // h + down(silu(gate y) * up y), y = rms_norm(h), in double.
  std::vector<double> Definition(const SwiGluLayer& layer) const {
    const float *gain = bank_.Value(layer.norm), *down = bank_.Value(layer.down);
    const float *gate = bank_.Value(layer.gate_up), *up = gate + kHidden * kWidth;
    std::vector<double> out;
    for (int r = 0; r < kRows; ++r) {
      const float* h = &h_[static_cast<size_t>(r * kWidth)];
      double squares = 0, hidden[kHidden];
      for (int c = 0; c < kWidth; ++c) squares += double{h[c]} * h[c];
      const double inverse = 1 / std::sqrt(squares / kWidth + 1e-6);
      for (int f = 0; f < kHidden; ++f) {
        double g = 0, u = 0;
        for (int c = 0; c < kWidth; ++c) {
          const double y = h[c] * inverse * gain[c];
          g += y * gate[f * kWidth + c];
          u += y * up[f * kWidth + c];
        }
        hidden[f] = g / (1 + std::exp(-g)) * u;
      }
      for (int c = 0; c < kWidth; ++c) {
        double sum = h[c];
        for (int f = 0; f < kHidden; ++f) sum += hidden[f] * down[c * kHidden + f];
        out.push_back(sum);
      }
    }
    return out;
  }

  // Outside training, where nothing is dropped.
  void ExpectDefinition(const SwiGluLayer& layer) {
    WeightPacks packs(bank_);
    Tape tape(bank_, packs, DType::kF32);
    tape.BeginInference(1, kRows, nullptr);
    const Tensor y = SwiGlu(tape, tape.Wrap(h_.data(), kRows, kWidth), layer, /*dropout=*/0.5);
    const std::vector<double> expected = Definition(layer);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(y.f32()[i], expected[i], 1e-5) << i;
  }

  ParamBank bank_;
  Quantization quantization_;
  std::vector<float> h_;
};

TEST_F(SwiGluTest, DeclaresItsMapsAfterTheNorm) {
  quantization_ = {kernels::Ternary::kRow, true};
  const SwiGluLayer layer = Declare(/*two_parts=*/true);
  EXPECT_EQ((std::pair{layer.gate_up.rows, layer.gate_up.cols}), (std::pair{2 * kHidden, kWidth}));
  EXPECT_EQ((std::pair{layer.down.rows, layer.down.cols}), (std::pair{kWidth, kHidden}));
  EXPECT_EQ(bank_.Find("norm.weight")->offset, layer.norm.offset);
  EXPECT_EQ(bank_.Find("gate.weight")->offset, layer.gate_up.offset);
  EXPECT_EQ(bank_.Find("up.weight")->offset, layer.gate_up.offset + kHidden * kWidth);
  EXPECT_EQ(bank_.Find("down.weight")->offset, layer.down.offset);
  for (const char* name : {"gate.weight", "up.weight", "down.weight"}) {
    EXPECT_EQ(bank_.Find(name)->quantization, quantization_) << name;
  }
  EXPECT_EQ(layer.gate_up.quantization, quantization_);
  EXPECT_EQ(layer.down.quantization, quantization_);
}

TEST_F(SwiGluTest, OfTwoPartsEqualsItsDefinition) { ExpectDefinition(Declare(/*two_parts=*/true)); }
TEST_F(SwiGluTest, OfOnePartEqualsItsDefinition) { ExpectDefinition(Declare(/*two_parts=*/false)); }

// In training what `dropout` leaves of the branch is twice as large; the residual connection is never dropped.
TEST_F(SwiGluTest, DropoutIsOfTheBranchAlone) {
  const SwiGluLayer layer = Declare(true);
  WeightPacks packs(bank_);
  Tape tape(bank_, packs, DType::kF32);
  tape.BeginTraining(1, kRows, 1, 1);
  const Tensor y = SwiGlu(tape, tape.Wrap(h_.data(), kRows, kWidth), layer, 0.5);
  const std::vector<double> expected = Definition(layer);
  int dropped = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double branch = y.f32()[i] - double{h_[i]};
    dropped += branch == 0;
    EXPECT_NEAR(branch, branch == 0 ? 0 : 2 * (expected[i] - h_[i]), 1e-5) << i;
  }
  EXPECT_GT(dropped, 0);
  EXPECT_LT(dropped, kRows * kWidth);
}

}  // namespace
}  // namespace flashlm
