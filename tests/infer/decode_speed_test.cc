#include "infer/decode_speed.h"

#include <gtest/gtest.h>

#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

// What a token meets, counted by hand.
TEST(DecodeSpeed, CountsTheWeightsOfAStep) {
  const auto model = [](const char* architecture, const Json& overrides) {
    return TinyModel(FindModel(architecture), overrides);
  };
  const double vocab = TinyTokenizer().vocab_size();
  // Two layers of 32 columns: q, k, v, out and a SwiGLU of 48; the table is the head.
  const double gpt = 2 * (4 * 32 * 32 + 3 * 32 * 48) + vocab * 32;
  EXPECT_EQ(WeightBytesPerStep(*model("gpt", Json::object()), DType::kF32), 4 * gpt);
  EXPECT_EQ(WeightBytesPerStep(*model("gpt", Json::object()), DType::kBF16), 2 * gpt);
  EXPECT_EQ(WeightBytesPerStep(*model("gpt", Json::object()), DType::kI8), gpt);
  // Ternary maps that read int8, at 2 bits; the head is float.
  const auto ternary = model("v5-thunderbolt", {{"activation", "int8"}});
  double trits = 0;
  for (const ParamInfo& info : ternary->bank().infos()) {
    const bool is_ternary = info.quantization.ternary != kernels::Ternary::kNone;
    trits += is_ternary ? static_cast<double>(info.size) : 0;
    EXPECT_TRUE(is_ternary || info.role != Role::kMatrix || info.shape.back() < 16) << info.name;
  }
  const double head = vocab * ternary->config().at("d_model").get<double>();
  EXPECT_GE(WeightBytesPerStep(*ternary, DType::kBF16), 0.25 * trits + 2 * head);
  EXPECT_LE(WeightBytesPerStep(*ternary, DType::kBF16), 0.26 * trits + 2.1 * head);
}

TEST(DecodeSpeed, ReadsAPartOfWhatTheMachineCan) {
  const auto model = TinyModel(FindModel("gpt"));
  const DecodeSpeed speed = MeasureDecoding(*model, DType::kF32, 1, 5);
  EXPECT_GT(speed.share_of_bandwidth, 0);
  EXPECT_LT(speed.share_of_bandwidth, 1.5);
}

}  // namespace
}  // namespace flashlm
