// What Muon's products read is the caller's choice, not what the CPU happens to have.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/gemm/precision.h"
#include "optim/optimizer.h"

namespace flashlm {
namespace {

constexpr int kRows = 24, kCols = 16;

// One matrix after one update by Muon whose products read `type`.
std::vector<float> Updated(DType type) {
  ParamBank bank;
  ParamInfo info;
  info.name = "matrix";
  info.shape = {kRows, kCols};
  info.role = Role::kMatrix;
  info.init = Init::Constant(0.0f);
  bank.Add(info);
  bank.Allocate(true);
  Rng rng(3, Purpose::kTest);
  for (int64_t i = 0; i < bank.size(); ++i) bank.gradients()[i] = rng.Normal();
  OptimConfig config;
  config.optimizer = "muon";
  FieldsFromJson({{"muon_lr", 1.0}}, "optim", config);
  config.weight_decay = 0;
  Optimizer optimizer(config, bank, type);
  optimizer.Update(optimizer.GradientNorm(), 1.0, 1);
  return {bank.values(), bank.values() + bank.size()};
}

TEST(MuonType, ProductsReadWhatTheTrainingReads) {
  if (!kernels::MultipliesBf16()) GTEST_SKIP() << "no bf16 products here";
  const std::vector<float> f32 = Updated(DType::kF32), bf16 = Updated(DType::kBF16);
  float largest = 0;
  for (size_t i = 0; i < f32.size(); ++i) largest = std::max(largest, std::abs(f32[i] - bf16[i]));
  EXPECT_GT(largest, 1e-4f);  // the rounding of bf16
  EXPECT_LT(largest, 0.05f);  // and no more than that
}

}  // namespace
}  // namespace flashlm
