#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/registry.h"

namespace flashlm {
namespace {

constexpr int kWidth = 64, kTokens = 32;
constexpr double kDropout = 0.4;

// The hidden rows [kTokens, kWidth] of one block whose branch `left_out` is zero.
std::vector<float> HiddenOf(const std::vector<std::string>& left_out) {
  const Json config = {{"architecture", "gpt"}, {"vocab", 32},      {"d_model", kWidth},  {"n_layers", 1},
                       {"n_heads", 4},          {"window", 9},      {"d_ff", 48},         {"zero_init_outputs", false},
                       {"embed_std", 0.15},     {"init_std", 0.15}, {"dropout", kDropout}};
  const std::unique_ptr<Model> model = MakeModel(config, true);
  model->bank().Initialize(5);
  for (const std::string& name : left_out) {
    const ParamInfo& info = *model->bank().Find(name);
    std::fill_n(model->bank().values() + info.offset, info.size, 0.0f);
  }
  Tape tape(model->bank(), model->packs(), DType::kF32);
  std::vector<int32_t> tokens(kTokens);
  std::iota(tokens.begin(), tokens.end(), 0);
  tape.BeginTraining(1, kTokens, 1, 1);
  const Prediction prediction = model->Forward(tape, tokens.data());
  const float* hidden = prediction.hidden.f32();
  return {hidden, hidden + kTokens * kWidth};
}

// Where a branch is dropped the residual stream is what it was, and the last norm divides all of a row by one number.
TEST(Gpt, DropsBothBranches) {
  const std::string attention = "blocks.0.attn.out.weight", mlp = "blocks.0.ffn.down.weight";
  const std::vector<float> stream = HiddenOf({attention, mlp});
  for (const std::string& other : {attention, mlp}) {
    const std::vector<float> hidden = HiddenOf({other});
    int dropped = 0;
    for (int t = 0; t < kTokens; ++t) {
      std::vector<float> ratios(kWidth);
      for (int c = 0; c < kWidth; ++c) ratios[c] = hidden[t * kWidth + c] / stream[t * kWidth + c];
      std::sort(ratios.begin(), ratios.end());
      long most = 0;
      for (const float ratio : ratios) {
        most = std::max<long>(most, std::count_if(ratios.begin(), ratios.end(), [&](float r) {
                                return std::abs(r - ratio) <= 1e-5f * std::abs(ratio);
                              }));
      }
      dropped += static_cast<int>(most);
    }
    EXPECT_NEAR(dropped, kDropout * kTokens * kWidth, 0.1 * kTokens * kWidth) << "without " << other;
  }
}

}  // namespace
}  // namespace flashlm
