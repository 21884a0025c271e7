// Operations that work through their rows in blocks: many rows give what their pieces give, each less than a block. The
// references (op_check.h) take too long for that many rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/ops.h"
#include "base/rng.h"
#include "kernels/reasoning/ref.h"

namespace flashlm {
namespace {

std::vector<float> Normals(int64_t n, uint64_t stream, float scale = 1) {
  Rng rng(5, Purpose::kTest, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = scale * rng.Normal();
  return values;
}

// Inputs of an operation, row by row, and what arrives there; y from all rows at once or from pieces.
struct Rows {
  struct Input {
    int cols;
    std::vector<float> values, gradient;
  };
  std::vector<Input> inputs;
  std::vector<float> y, parameters;  // gradients of the latter

  // Runs `op(tape, inputs)` on `piece` rows at a time; `prefilled`: the inputs have had a gradient before.
  template <class Op>
  void Run(ParamBank& bank, int rows, int piece, bool prefilled, const Op& op) {
    WeightPacks packs(bank);
    Tape tape(bank, packs, DType::kF32);
    std::fill_n(bank.gradients(), bank.size(), 0.0f);
    for (Input& input : inputs) input.gradient.clear();
    y.clear();
    for (int begin = 0; begin < rows; begin += piece) {
      const int count = std::min(piece, rows - begin);
      tape.BeginTraining(1, count, 1, 1);
      std::vector<Tensor> tensors;
      for (Input& input : inputs) {
        tensors.push_back(tape.Wrap(input.values.data() + int64_t{begin} * input.cols, count, input.cols));
      }
      const Tensor out = op(tape, tensors);
      y.insert(y.end(), out.f32(), out.f32() + int64_t{count} * out.cols);
      const std::vector<float> upstream = Normals(int64_t{rows} * out.cols, 9);
      tape.Seed(out, upstream.data() + int64_t{begin} * out.cols);
      for (size_t i = 0; prefilled && i < inputs.size(); ++i) {
        tape.Seed(tensors[i], inputs[i].values.data() + int64_t{begin} * inputs[i].cols);
      }
      tape.Backward();
      for (size_t i = 0; i < inputs.size(); ++i) {
        const auto* gradient = static_cast<const float*>(tape.GradientOf(tensors[i]).data);
        inputs[i].gradient.insert(inputs[i].gradient.end(), gradient, gradient + int64_t{count} * inputs[i].cols);
      }
    }
    parameters.assign(bank.gradients(), bank.gradients() + bank.size());
  }
};

void ExpectNear(const std::vector<float>& ours, const std::vector<float>& expected, double tolerance) {
  ASSERT_EQ(ours.size(), expected.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_NEAR(ours[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << i;
  }
}

template <class Op>
void ExpectWholeEqualsPieces(ParamBank& bank, int rows, int piece, std::vector<Rows::Input> inputs, const Op& op) {
  Rows whole{std::move(inputs), {}, {}}, pieces = whole;
  for (const bool prefilled : {false, true}) {
    whole.Run(bank, rows, rows, prefilled, op);
    pieces.Run(bank, rows, piece, prefilled, op);
    ExpectNear(whole.y, pieces.y, 1e-5);
    for (size_t i = 0; i < whole.inputs.size(); ++i) {
      ExpectNear(whole.inputs[i].gradient, pieces.inputs[i].gradient, 1e-5);
    }
    ExpectNear(whole.parameters, pieces.parameters, 1e-4);
  }
}

// 300 tokens: tasks of 64 rows, products of 64 with padding; 20 at a time: one task, products without.
TEST(RowBlocksTest, RoutedExperts) {
  constexpr int kRows = 300, kExperts = 3, kWidth = 8, kHidden = 12;
  ParamBank bank;
  std::vector<Expert> experts;
  for (int k = 0; k < kExperts; ++k) {
    const auto add = [&](const char* name, int rows, int cols) {
      return bank.Add({fmt::format("{}{}", name, k), {rows, cols}, Role::kMatrix, Init::Normal(0.5f)});
    };
    experts.push_back({add("up", kHidden, kWidth), add("down", kWidth, kHidden)});
  }
  bank.Allocate(true);
  bank.Initialize(3);
  ExpectWholeEqualsPieces(
      bank, kRows, 20, {{kWidth, Normals(kRows * kWidth, 1), {}}, {kExperts, Normals(kRows * kExperts, 2), {}}},
      [&](Tape& tape, const std::vector<Tensor>& in) { return RoutedExperts(tape, in[0], in[1], experts.data()); });
}

// A reasoning engine of width 6; blocks have 256 tokens.
class ReasoningBlocksTest : public testing::Test {
 protected:
  static constexpr int kRows = 600, kWidth = 6, kOperations = 4, kSlots = 3;

  ReasoningBlocksTest() {
    const Quantization ternary{kernels::Ternary::kScaleGradient, false};
    const auto add = [&](const char* name, int rows, int cols, const Init& init, Quantization quantization = {}) {
      return bank_.Add({name, {rows, cols}, Role::kMatrix, init, 1, quantization});
    };
    const Init normal = Init::Normal(0.7f), one = Init::Constant(1);
    params_.router = add("router", kOperations, kWidth, normal, ternary);
    params_.operations = add("operations", kOperations * kWidth, kWidth, normal, ternary);
    params_.classifier = add("classifier", kernels::kDepthChoices, kWidth, normal, ternary);
    params_.read_key = add("read_key", kWidth, kWidth, normal);
    params_.mix = add("mix", kWidth, 2 * kWidth, normal);
    params_.gain = add("gain", 1, kWidth, one);
    params_.bias = add("bias", 1, kWidth, normal);
    params_.write_gate = add("write_gate", 1, kWidth, normal);
    params_.write_value = add("write_value", kWidth, kWidth, normal);
    params_.write_key = add("write_key", kWidth, kWidth, normal);
    params_.write_scale = add("write_scale", 1, 1, one);
    params_.slots = add("slots", kSlots, kWidth, normal);
    bank_.Allocate(true);
    bank_.Initialize(4);
  }

  ParamBank bank_;
  ReasoningParams params_;
  kernels::ReasoningPack pack_;
};

// Without noise, which is drawn by a token's place in the batch.
TEST_F(ReasoningBlocksTest, WholeEqualsPieces) {
  for (const int depth : {0, 3}) {
    ExpectWholeEqualsPieces(bank_, kRows, 100, {{kWidth, Normals(kRows * kWidth, 1), {}}},
                            [&](Tape& tape, const std::vector<Tensor>& in) {
                              return Reasoning(tape, in[0], params_, {kOperations, kSlots, depth, 0}, pack_).state;
                            });
  }
}

// With noise, forward, against the definition: the state and what is reported beside it.
TEST_F(ReasoningBlocksTest, NoiseAndSumsGoByTheTokensPlace) {
  std::vector<float> r = Normals(kRows * kWidth, 1);
  WeightPacks packs(bank_);
  Tape tape(bank_, packs, DType::kF32);
  tape.BeginTraining(1, kRows, 1, 1);
  const ReasoningResult ours =
      Reasoning(tape, tape.Wrap(r.data(), kRows, kWidth), params_, {kOperations, kSlots, 0, 2}, pack_);

  const auto values = [&](const Param& p) {
    const float* v = bank_.Value(p);
    std::vector<double> wide(v, v + int64_t{p.rows} * p.cols);
    if (p.quantization.ternary == kernels::Ternary::kNone) return wide;
    const std::vector<double> given = wide;
    kernels::ref::Ternarize(p.quantization.ternary, given.data(), p.rows, p.cols, wide.data());
    return wide;
  };
  std::vector<std::vector<double>> held;
  const auto map = [&](const Param& p) { return held.emplace_back(values(p)).data(); };
  const kernels::ReasoningMaps<const double> maps{
      map(params_.router),      map(params_.operations), map(params_.classifier),  map(params_.read_key),
      map(params_.mix),         map(params_.gain),       map(params_.bias),        map(params_.write_gate),
      map(params_.write_value), map(params_.write_key),  map(params_.write_scale), map(params_.slots)};
  const std::vector<double> wide(r.begin(), r.end());
  std::vector<double> y(wide.size()), usage, shares;
  kernels::ref::Reasoning<double>({.rows = kRows,
                                   .width = kWidth,
                                   .operations = kOperations,
                                   .slots = kSlots,
                                   .training = true,
                                   .noise = 2,
                                   .key = MakePhiloxKey(1, Purpose::kRouting),
                                   .step = 1},
                                  maps, wide.data(), y.data(), usage, shares);
  ExpectNear({ours.state.f32(), ours.state.f32() + kRows * kWidth}, {y.begin(), y.end()}, 1e-4);
  ExpectNear({ours.usage.f32(), ours.usage.f32() + kOperations}, {usage.begin(), usage.end()}, 1e-5);
  ExpectNear({ours.shares, ours.shares + kOperations}, {shares.begin(), shares.end()}, 1e-5);
}

}  // namespace
}  // namespace flashlm
