// Sparse tables in the optimiser: what a step costs and changes is what it read.
#include "optim/table_rule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "optim/optimizer.h"

namespace flashlm {
namespace {

using Floats = std::vector<float>;

constexpr int kRows = 40, kCols = 6;
const std::vector<int32_t> kRead = {30, 2, 30, 17};

OptimConfig Config(double table_beta1, double table_beta2) {
  OptimConfig config;
  FieldsFromJson({{"lr", 0.01}, {"table_lr", 0.2}, {"table_beta1", table_beta1}, {"table_beta2", table_beta2}}, "optim",
                 config);
  return config;
}

// A matrix and two tables with random values.
struct Bank {
  ParamBank bank;
  Param matrix;
  SparseTable &table, &other;
  Bank()
      : matrix(bank.Add({.name = "w", .shape = {3, 4}, .init = Init::Normal(1)})),
        table(bank.AddTable("table", kRows, kCols, Init::Normal(1))),
        other(bank.AddTable("other", kRows, kCols, Init::Normal(1))) {
    bank.Allocate(true);
    bank.Initialize(1);
  }
  Floats Values() const { return {table.values(), table.values() + table.size()}; }
  void AddGradients(uint64_t seed) {
    Rng rng(seed, Purpose::kTest);
    Floats dy(kRead.size() * kCols);
    for (float& g : dy) g = rng.Normal();
    table.AddGradient(kRead.data(), {dy.data(), DType::kF32, std::ssize(kRead), kCols, kCols});
    for (int64_t i = 0; i < bank.size(); ++i) bank.gradients()[i] = rng.Normal();
  }
};

TEST(TableRule, TheGradientNormIsThatOfAllGradients) {
  Bank b;
  const Optimizer optimizer(Config(0, 1), b.bank);
  b.AddGradients(3);
  double square = 0;
  for (const float g : b.table.DenseGradient()) square += static_cast<double>(g) * g;
  for (int64_t i = 0; i < b.bank.size(); ++i)
    square += static_cast<double>(b.bank.gradients()[i]) * b.bank.gradients()[i];
  EXPECT_NEAR(optimizer.GradientNorm(), std::sqrt(square), 1e-5);
}

TEST(TableRule, OnlyRowsThatWereReadChange) {
  for (const double beta1 : {0.0, 0.9}) {
    Bank b;
    Optimizer optimizer(Config(beta1, 0.95), b.bank);
    const Floats before = b.Values(), others(b.other.values(), b.other.values() + b.other.size());
    for (int64_t update = 1; update <= 3; ++update) {
      b.AddGradients(static_cast<uint64_t>(update));
      optimizer.Update(optimizer.GradientNorm(), 1.0, update);
      EXPECT_TRUE(b.table.touched().empty());
    }
    const Floats after = b.Values();
    for (int row = 0; row < kRows; ++row) {
      const bool read = std::find(kRead.begin(), kRead.end(), row) != kRead.end();
      for (int c = 0; c < kCols; ++c) {
        const auto i = static_cast<size_t>(row * kCols + c);
        EXPECT_EQ(after[i] != before[i], read) << row << " " << c;
      }
    }
    EXPECT_EQ(Floats(b.other.values(), b.other.values() + b.other.size()), others);
  }
}

// Nothing in a step looks at the rest of the table, so that nothing there can be noticed.
TEST(TableRule, NothingLooksAtRowsThatWereNotRead) {
  Bank b;
  Optimizer optimizer(Config(0.9, 0.95), b.bank);
  for (int row = 0; row < kRows; ++row) {
    if (std::find(kRead.begin(), kRead.end(), row) == kRead.end()) b.table.values()[row * kCols] = NAN;
  }
  b.AddGradients(3);
  const double norm = optimizer.GradientNorm();
  EXPECT_TRUE(std::isfinite(norm));
  optimizer.Update(norm, 1.0, 1);
  for (const int row : kRead) {
    for (int c = 0; c < kCols; ++c) EXPECT_TRUE(std::isfinite(b.table.values()[row * kCols + c]));
  }
}

TEST(TableRule, HasItsOwnRateUnderTheCommonScheduleAndClipping) {
  Bank b;
  OptimConfig config = Config(0, 1);
  config.clip = 1;
  Optimizer optimizer(config, b.bank);
  const Floats before = b.Values();
  const int32_t row = 5;
  Floats dy(kCols, 100.0f);
  b.table.AddGradient(&row, {dy.data(), DType::kF32, 1, kCols, kCols});
  optimizer.Update(optimizer.GradientNorm(), 0.5, 1);
  // The first update of a row is the rate, against the gradient's sign: a mean square of 1 after division by its root.
  for (int c = 0; c < kCols; ++c) {
    EXPECT_NEAR(b.table.values()[row * kCols + c], before[static_cast<size_t>(row * kCols + c)] - 0.2 * 0.5, 1e-5);
  }
  // What is remembered is the clipped gradient's.
  const ParamState::TableArray& v = optimizer.state().table_arrays().at(0);
  EXPECT_EQ(v.name, "v.table");
  EXPECT_NEAR(v.data[row], 1.0 / kCols, 1e-5);
}

TEST(TableRule, WithoutARateItLearnsAtTheCommonOne) {
  Bank b;
  OptimConfig config = Config(0, 1);
  config.tables.lr = 0;
  Optimizer optimizer(config, b.bank);
  const Floats before = b.Values();
  b.AddGradients(3);
  optimizer.Update(0, 1.0, 1);
  double square = 0;
  for (int c = 0; c < kCols; ++c) square += std::pow(b.Values()[kCols * 2 + c] - before[kCols * 2 + c], 2);
  EXPECT_NEAR(std::sqrt(square / kCols), 0.01, 1e-5);
}

TEST(TableRule, ADroppedStepLeavesNothing) {
  Bank b;
  Optimizer optimizer(Config(0.9, 0.95), b.bank);
  const Floats before = b.Values();
  b.AddGradients(3);
  b.table.gradients()[2] = NAN;
  EXPECT_FALSE(std::isfinite(optimizer.GradientNorm()));
  optimizer.Discard();
  EXPECT_EQ(b.Values(), before);
  EXPECT_TRUE(b.table.touched().empty());
  EXPECT_EQ(optimizer.GradientNorm(), 0);
  b.AddGradients(4);
  EXPECT_TRUE(std::isfinite(optimizer.GradientNorm()));
}

TEST(TableRule, RemembersWhatItNeedsAndNoMore) {
  struct Case {
    double beta1, beta2;
    std::vector<std::string> names;
  };
  for (const Case& c : {Case{0, 1, {"v"}}, Case{0, 0.95, {"v", "at"}}, Case{0.9, 0.95, {"m", "v", "at"}}}) {
    Bank b;
    const OptimConfig config = Config(c.beta1, c.beta2);
    const Optimizer optimizer(config, b.bank);
    std::vector<std::string> names;
    for (const ParamState::TableArray& array : optimizer.state().table_arrays()) {
      if (array.name.ends_with(".table")) names.push_back(array.name.substr(0, array.name.find('.')));
      EXPECT_EQ(array.shape.size(), array.name.starts_with("m.") ? 2U : 1U);
    }
    EXPECT_EQ(names, c.names);
    EXPECT_EQ(StateSize(config, b.bank), optimizer.state().size());
  }
}

// A dense table and a sparse one with the same values and gradients.
struct Lookups {
  ParamBank bank;
  Param dense;
  SparseTable& sparse;
  explicit Lookups(Role role = Role::kLookup)
      : dense(bank.Add({.name = "values", .shape = {kRows, kCols}, .role = role, .init = Init::Normal(1)})),
        sparse(bank.AddTable("table", kRows, kCols, Init::Normal(1))) {
    bank.Allocate(true);
    bank.Initialize(1);
    std::copy_n(bank.values() + dense.offset, sparse.size(), sparse.values());
  }
  float* Row(int row) { return bank.values() + dense.offset + int64_t{row} * kCols; }
  void AddGradient(int32_t row, float gradient) {
    Floats dy(kCols, gradient);
    sparse.AddGradient(&row, {dy.data(), DType::kF32, 1, kCols, kCols});
    std::copy(dy.begin(), dy.end(), bank.gradients() + dense.offset + int64_t{row} * kCols);
  }
};

OptimConfig ByRow(double beta2) {
  OptimConfig config = Config(0, beta2);
  FieldsFromJson({{"lookup_rule", "rows"}, {"lookup_lr", 0.2}, {"lookup_beta2", beta2}}, "optim", config);
  return config;
}

TEST(LookupRule, IsThatOfSparseTables) {
  for (const double beta2 : {1.0, 0.95}) {
    Lookups both;
    Optimizer optimizer(ByRow(beta2), both.bank);
    for (int64_t update = 1; update <= 5; ++update) {
      both.AddGradient(7, 0.5f);
      if (update % 3 == 1) both.AddGradient(31, -2.0f);
      optimizer.Update(optimizer.GradientNorm(), 1.0, update);
      const Floats sparse(both.sparse.values(), both.sparse.values() + both.sparse.size());
      EXPECT_EQ(Floats(both.Row(0), both.Row(kRows)), sparse) << beta2 << " update " << update;
      for (int64_t i = 0; i < both.bank.size(); ++i) ASSERT_EQ(both.bank.gradients()[i], 0);
    }
    EXPECT_EQ(optimizer.state().Find("m", 0), nullptr);
    EXPECT_EQ(optimizer.state().Find("v", 0), nullptr);
    EXPECT_EQ(StateSize(ByRow(beta2), both.bank), optimizer.state().size());
  }
}

TEST(LookupRule, DecayIsMadeUpForWhenARowIsRead) {
  const auto after = [](double decay) {
    Lookups both;
    OptimConfig config = ByRow(0.95);
    config.embedding_decay = decay;
    Optimizer optimizer(config, both.bank);
    both.AddGradient(7, 0.5f);
    optimizer.Update(0, 1.0, 3);
    return both.Row(7)[0];
  };
  Lookups before;
  const float start = before.Row(7)[0], decayed = start * std::pow(1 - 0.2f * 0.5f, 3.0f);
  EXPECT_NEAR(after(0.5) - after(0), decayed - start, 1e-6);
}

// Wider than high: what is remembered of lines is of rows all the same.
TEST(LookupRule, TakesTablesWithFewRows) {
  ParamBank bank;
  bank.Add({.name = "values", .shape = {2, 9}, .role = Role::kLookup, .init = Init::Zero()});
  bank.Allocate(true);
  Optimizer optimizer(ByRow(1), bank);
  std::fill_n(bank.gradients() + 9, 9, 3.0f);
  optimizer.Update(0, 1.0, 1);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(bank.values()[i], 0);
    EXPECT_NEAR(bank.values()[9 + i], -0.2, 1e-6);
  }
}

TEST(LookupRule, IsAdamWUnlessAskedFor) {
  const auto after = [](Role role) {
    Lookups both(role);
    Optimizer optimizer(Config(0, 1), both.bank);
    both.AddGradient(7, 0.5f);
    optimizer.Update(0, 1.0, 1);
    both.AddGradient(8, 0.5f);
    optimizer.Update(0, 1.0, 2);
    return Floats(both.Row(0), both.Row(kRows));
  };
  EXPECT_EQ(after(Role::kLookup), after(Role::kEmbedding));
}

}  // namespace
}  // namespace flashlm
