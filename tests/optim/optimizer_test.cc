#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "optim/orthogonal.h"

namespace flashlm {
namespace {

std::vector<float> RandomMatrix(int rows, int cols, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<float> x(static_cast<size_t>(rows * cols));
  for (float& value : x) value = rng.Normal();
  return x;
}

// Singular values by one-sided Jacobi rotations (Hestenes): rows are turned pairwise until all are
// orthogonal; their lengths are the singular values.
std::vector<double> SingularValues(const std::vector<float>& x, int rows, int cols) {
  const bool wide = rows <= cols;
  const size_t n = static_cast<size_t>(wide ? rows : cols), m = static_cast<size_t>(wide ? cols : rows);
  std::vector<std::vector<double>> a(n, std::vector<double>(m));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < m; ++j) a[i][j] = wide ? x[i * m + j] : x[j * n + i];
  }
  const auto dot = [m](const std::vector<double>& p, const std::vector<double>& q) {
    double sum = 0;
    for (size_t j = 0; j < m; ++j) sum += p[j] * q[j];
    return sum;
  };
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        const double pq = dot(a[p], a[q]);
        if (std::abs(pq) < 1e-14) continue;
        const double angle = 0.5 * std::atan2(2 * pq, dot(a[p], a[p]) - dot(a[q], a[q]));
        const double c = std::cos(angle), s = std::sin(angle);
        for (size_t j = 0; j < m; ++j) {
          const double u = a[p][j], v = a[q][j];
          a[p][j] = c * u + s * v;
          a[q][j] = c * v - s * u;
        }
      }
    }
  }
  std::vector<double> values;
  for (const std::vector<double>& row : a) values.push_back(std::sqrt(dot(row, row)));
  return values;
}

ParamInfo Info(const std::string& name, const std::vector<int>& shape, Role role, int stacked = 1) {
  ParamInfo info;
  info.name = name;
  info.shape = shape;
  info.role = role;
  info.init = Init::Constant(1.0f);
  info.stacked = stacked;
  return info;
}

// One parameter of every role, all ones.
struct AllRoles {
  ParamBank bank;
  Param matrix, embedding, vector, head;
  AllRoles() {
    matrix = bank.Add(Info("matrix", {8, 6}, Role::kMatrix));
    embedding = bank.Add(Info("embedding", {10, 6}, Role::kEmbedding));
    vector = bank.Add(Info("vector", {6}, Role::kVector));
    head = bank.Add(Info("head", {1, 6}, Role::kValueHead));
    bank.Allocate(true);
    bank.Initialize(1);
  }
  std::vector<float> Values() const { return {bank.values(), bank.values() + bank.size()}; }
  void FillGradients(float value) { std::fill_n(bank.gradients(), bank.size(), value); }
  static bool IsZero(const ParamState& state) {
    return std::all_of(state.arrays().begin(), state.arrays().end(), [](const ParamState::Array& array) {
      return std::all_of(array.data.get(), array.data.get() + array.size, [](float m) { return m == 0; });
    });
  }
  bool GradientsAreZero() const {
    return std::all_of(bank.gradients(), bank.gradients() + bank.size(), [](float g) { return g == 0; });
  }
};

// Sets what a rule or a schedule brings along, by its key.
void Set(OptimConfig& config, const std::string& key, const Json& value) {
  FieldsFromJson({{key, value}}, "optim", config);
}

OptimConfig Config(const std::string& optimizer) {
  OptimConfig config;
  config.optimizer = optimizer;
  config.lr = 0.05;
  config.weight_decay = 0;
  return config;
}

TEST(AdamWTest, FindsTheMinimumOfAQuadratic) {
  AllRoles p;
  Optimizer optimizer(Config("adamw"), p.bank);
  const std::vector<float> target = RandomMatrix(1, static_cast<int>(p.bank.size()), 3);
  constexpr int kUpdates = 400;
  for (int64_t update = 1; update <= kUpdates; ++update) {
    for (const ParamInfo& info : p.bank.infos()) {
      for (int64_t i = info.offset; i < info.offset + info.size; ++i) {
        p.bank.gradients()[i] = 3 * (p.bank.values()[i] - target[static_cast<size_t>(i)]);
      }
    }
    const uint64_t version = p.bank.version();
    optimizer.Update(optimizer.GradientNorm(), 1.0 - static_cast<double>(update) / kUpdates, update);
    EXPECT_GT(p.bank.version(), version);  // packed copies of the weights have to be renewed
    ASSERT_TRUE(p.GradientsAreZero());
  }
  for (const ParamInfo& info : p.bank.infos()) {
    for (int64_t i = info.offset; i < info.offset + info.size; ++i) {
      EXPECT_NEAR(p.bank.values()[i], target[static_cast<size_t>(i)], 1e-2) << info.name;
    }
  }
}

TEST(AdamWTest, RolesHaveTheirRates) {
  AllRoles p;
  OptimConfig config = Config("adamw");
  config.embedding_lr = 0.02;
  config.vector_lr = 0.01;
  Optimizer optimizer(config, p.bank);
  p.FillGradients(0.5f);
  // The first update of AdamW is the rate itself, against the gradient's sign.
  optimizer.Update(optimizer.GradientNorm(), 0.5, 1);
  EXPECT_NEAR(*p.bank.Value(p.matrix), 1 - 0.025, 1e-5);
  EXPECT_NEAR(*p.bank.Value(p.embedding), 1 - 0.01, 1e-5);
  EXPECT_NEAR(*p.bank.Value(p.vector), 1 - 0.005, 1e-5);
  EXPECT_NEAR(*p.bank.Value(p.head), 1 - 0.025, 1e-5);
}

// A model's own factor for a parameter multiplies the rate of its role, under every rule; neighbours keep theirs.
TEST(OptimizerTest, AParameterMayLearnFasterThanItsRole) {
  constexpr double kScale = 4;
  for (const char* rule : {"adamw", "muon"}) {
    ParamBank bank;
    for (const char* name : {"slow", "fast"}) {
      const double scale = name[0] == 'f' ? kScale : 1;
      for (ParamInfo info : {Info("table", {4, 4}, Role::kEmbedding), Info("gain", {16}, Role::kVector),
                             Info("matrix", {4, 4}, Role::kMatrix)}) {
        info.name = fmt::format("{}.{}", name, info.name);
        info.lr_scale = scale;
        bank.Add(info);
      }
    }
    bank.Allocate(true);  // values are zero
    OptimConfig config = Config(rule);
    Set(config, "muon_lr", 0.1);
    Optimizer optimizer(config, bank);
    const std::vector<float> gradient = RandomMatrix(1, 16, 3);
    for (const ParamInfo& info : bank.infos()) std::copy_n(gradient.data(), 16, bank.gradients() + info.offset);
    optimizer.Update(optimizer.GradientNorm(), 1.0, 1);
    for (const char* what : {"table", "gain", "matrix"}) {
      const float* slow = bank.values() + bank.Find(fmt::format("slow.{}", what))->offset;
      const float* fast = bank.values() + bank.Find(fmt::format("fast.{}", what))->offset;
      for (int i = 0; i < 16; ++i) EXPECT_FLOAT_EQ(fast[i], static_cast<float>(kScale) * slow[i]) << rule << what;
      EXPECT_NE(slow[0], 0);
    }
  }
}

TEST(OptimizerTest, OnlyMatricesDecay) {
  for (const char* name : {"adamw", "muon"}) {
    AllRoles p;
    OptimConfig config = Config(name);
    config.weight_decay = 0.1;
    Set(config, "muon_lr", config.lr);
    Optimizer optimizer(config, p.bank);
    optimizer.Update(0, 0.5, 1);  // without a gradient nothing but decay moves a value
    EXPECT_NEAR(*p.bank.Value(p.matrix), 1 - 0.05 * 0.5 * 0.1, 1e-6) << name;
    for (const Param& other : {p.embedding, p.vector, p.head}) EXPECT_EQ(*p.bank.Value(other), 1.0f) << name;
  }
}

TEST(OptimizerTest, DiscardLeavesValuesAndMoments) {
  for (const char* name : {"adamw", "muon"}) {
    AllRoles p;
    Optimizer optimizer(Config(name), p.bank);
    const std::vector<float> before = p.Values();
    p.FillGradients(NAN);
    EXPECT_FALSE(std::isfinite(optimizer.GradientNorm()));
    optimizer.Discard();
    EXPECT_EQ(p.Values(), before);
    EXPECT_TRUE(p.GradientsAreZero());
    EXPECT_TRUE(AllRoles::IsZero(optimizer.state()));
  }
}

TEST(MuonTest, SingularValuesComeNearOne) {
  struct Shape {
    int rows, cols;
  };
  for (const Shape& shape : {Shape{16, 16}, Shape{48, 16}, Shape{16, 48}, Shape{33, 7}, Shape{1, 20}}) {
    std::vector<float> x = RandomMatrix(shape.rows, shape.cols, 5);
    for (float& value : x) value *= 1e-3f;  // the scale does not matter
    Orthogonalize(x.data(), shape.rows, shape.cols, {});
    for (double value : SingularValues(x, shape.rows, shape.cols)) {
      EXPECT_GT(value, 0.6) << shape.rows << " x " << shape.cols;
      EXPECT_LT(value, 1.3) << shape.rows << " x " << shape.cols;
    }
  }
}

TEST(MuonTest, KeepsTheDirections) {
  // A diagonal matrix has unit vectors as singular vectors; only its values may change, and not their signs.
  constexpr int kSize = 4;
  std::vector<float> x(kSize * kSize);
  for (int i = 0; i < kSize; ++i) x[static_cast<size_t>(i * kSize + i)] = (i % 2 == 0 ? 1.0f : -1.0f) * (0.3f + i);
  Orthogonalize(x.data(), kSize, kSize, {});
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      const float wanted = i != j ? 0.0f : i % 2 == 0 ? 1.0f : -1.0f;
      EXPECT_NEAR(x[static_cast<size_t>(i * kSize + j)], wanted, i == j ? 0.4 : 1e-6) << i << ' ' << j;
    }
  }
}

TEST(MuonTest, ZeroStaysZero) {
  std::vector<float> x(12 * 5);
  Orthogonalize(x.data(), 12, 5, {});
  EXPECT_EQ(x, std::vector<float>(12 * 5));
}

TEST(MuonTest, StackedPartsAreOrthogonalisedApart) {
  constexpr int kParts = 3, kRows = 16, kCols = 16;
  constexpr double kMuonRate = 0.02;
  const std::vector<float> gradient = RandomMatrix(kParts * kRows, kCols, 7);
  // The bank's values after one update from one gradient, with the matrix as one tensor or as three.
  const auto updated = [&](int tensors, int stacked) {
    ParamBank bank;
    for (int i = 0; i < tensors; ++i) {
      bank.Add(Info("m" + std::to_string(i), {kParts * kRows / tensors, kCols}, Role::kMatrix, stacked));
    }
    bank.Allocate(true);
    OptimConfig config = Config("muon");
    Set(config, "muon_lr", kMuonRate);
    Optimizer optimizer(config, bank);
    std::copy(gradient.begin(), gradient.end(), bank.gradients());
    // A part of very different size must not change what becomes of the others.
    for (int i = 0; i < kRows * kCols; ++i) bank.gradients()[i] *= 1000;
    optimizer.Update(1, 1, 1);
    EXPECT_TRUE(std::all_of(bank.gradients(), bank.gradients() + bank.size(), [](float g) { return g == 0; }));
    return std::vector<float>(bank.values(), bank.values() + bank.size());
  };
  EXPECT_EQ(updated(1, kParts), updated(kParts, 1));
  EXPECT_NE(updated(1, 1), updated(kParts, 1));
  const std::vector<float> values = updated(1, kParts);
  for (int part = 0; part < kParts; ++part) {
    const auto begin = values.begin() + part * kRows * kCols;
    for (double value : SingularValues({begin, begin + kRows * kCols}, kRows, kCols)) {
      EXPECT_GT(value, 0.6 * kMuonRate);
      EXPECT_LT(value, 1.3 * kMuonRate);
    }
  }
}

TEST(MuonTest, FindsTheMinimumOfAQuadratic) {
  AllRoles p;
  OptimConfig config = Config("muon");
  Set(config, "muon_lr", 0.05);
  Optimizer optimizer(config, p.bank);
  const std::vector<float> target = RandomMatrix(1, static_cast<int>(p.bank.size()), 3);
  constexpr int kUpdates = 1000;
  double distance = 0;
  for (int64_t update = 1; update <= kUpdates; ++update) {
    distance = 0;
    for (int64_t i = 0; i < int64_t{p.matrix.rows} * p.matrix.cols; ++i) {
      const float off = p.bank.Value(p.matrix)[i] - target[static_cast<size_t>(i)];
      p.bank.Gradient(p.matrix)[i] = off;
      distance = std::max(distance, static_cast<double>(std::abs(off)));
    }
    optimizer.Update(optimizer.GradientNorm(), 1.0 - static_cast<double>(update) / kUpdates, update);
  }
  EXPECT_LT(distance, 1e-2);
}

TEST(ScheduleTest, WarmsUpThenFallsAlongACosine) {
  OptimConfig config;
  config.schedule = "cosine";
  config.warmup_fraction = 0.1;
  config.final_lr_fraction = 0.2;
  EXPECT_GT(ScheduleFactor(config, 0), 0);  // the first update counts
  EXPECT_LT(ScheduleFactor(config, 0), 0.02);
  EXPECT_NEAR(ScheduleFactor(config, 0.05), 0.5, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 0.1), 1.0, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 0.55), 0.6, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 1.0), 0.2, 1e-12);
  for (double f = 0.1; f < 1; f += 0.01) EXPECT_GT(ScheduleFactor(config, f), ScheduleFactor(config, f + 0.01));
}

TEST(ScheduleTest, HoldsThenFallsAlongALine) {
  OptimConfig config;
  config.schedule = "linear";
  config.warmup_fraction = 0;
  Set(config, "decay_fraction", 0.4);
  config.final_lr_fraction = 0;
  EXPECT_EQ(ScheduleFactor(config, 0), 1.0);
  EXPECT_NEAR(ScheduleFactor(config, 0.6), 1.0, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 0.8), 0.5, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 1.0), 0.0, 1e-12);
  Set(config, "decay_fraction", 0);
  EXPECT_EQ(ScheduleFactor(config, 1.0), 1.0);
  config.schedule = "constant";
  EXPECT_EQ(ScheduleFactor(config, 0.99), 1.0);
}

TEST(ScheduleTest, FallsWithAPowerOfWhatIsLeft) {
  OptimConfig config;
  config.schedule = "power";
  config.warmup_fraction = 0;
  Set(config, "power_fraction", 0.4);
  Set(config, "power_exponent", 1.5);
  config.final_lr_fraction = 0.2;
  for (double f : {0.0, 0.3, 0.6}) EXPECT_NEAR(ScheduleFactor(config, f), 1.0, 1e-12);
  EXPECT_NEAR(ScheduleFactor(config, 0.9), 0.2 + 0.8 * 0.125, 1e-12);  // (1/4)^1.5
  EXPECT_NEAR(ScheduleFactor(config, 1.0), 0.2, 1e-12);
}

TEST(ScheduleTest, BeyondTheBudgetItStaysAtTheEnd) {
  for (const char* schedule : {"cosine", "linear", "constant", "power"}) {
    OptimConfig config;
    config.schedule = schedule;
    EXPECT_EQ(ScheduleFactor(config, 1.7), ScheduleFactor(config, 1.0)) << schedule;
    EXPECT_EQ(ScheduleFactor(config, -1), ScheduleFactor(config, 0)) << schedule;
    config.warmup_fraction = 1;  // nothing but warm-up
    EXPECT_TRUE(std::isfinite(ScheduleFactor(config, 1.0))) << schedule;
  }
}

}  // namespace
}  // namespace flashlm
