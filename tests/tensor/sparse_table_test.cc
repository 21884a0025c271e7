#include "tensor/sparse_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "tensor/param_bank.h"

namespace flashlm {
namespace {

using Floats = std::vector<float>;
using Rows = std::vector<int32_t>;

constexpr int kRows = 50, kCols = 5;

Floats Normals(size_t n, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  Floats values(n);
  for (float& v : values) v = rng.Normal();
  return values;
}

// Adds a gradient for `rows` to the table and to a dense array.
void Add(SparseTable& table, const Rows& rows, uint64_t seed, Floats& dense) {
  Floats dy = Normals(rows.size() * kCols, seed);
  table.AddGradient(rows.data(), {dy.data(), DType::kF32, std::ssize(rows), kCols, kCols});
  for (size_t n = 0; n < rows.size(); ++n) {
    for (size_t c = 0; c < kCols; ++c) dense[static_cast<size_t>(rows[n]) * kCols + c] += dy[n * kCols + c];
  }
}

Rows Touched(const SparseTable& table) { return {table.touched().begin(), table.touched().end()}; }

TEST(SparseTable, SumsTheGradientsOfTheRowsThatWereReadAlone) {
  SparseTable table("t", kRows, kCols);
  table.Allocate(true);
  for (int step = 0; step < 3; ++step) {  // a step leaves nothing to the next one
    Floats dense(kRows * kCols);
    Add(table, {7, 3, 7, 49, 7}, 1, dense);  // a row several times in one call
    Add(table, {0, 3, 12, 0}, 2, dense);     // and in the next micro-batch
    EXPECT_EQ(Touched(table), Rows({7, 3, 49, 0, 12}));
    EXPECT_EQ(table.gradient_size(), 5 * kCols);
    const Floats ours = table.DenseGradient();
    for (size_t i = 0; i < dense.size(); ++i) ASSERT_NEAR(ours[i], dense[i], 1e-6) << i;
    table.ClearGradients();
    EXPECT_TRUE(table.touched().empty());
    EXPECT_EQ(table.DenseGradient(), Floats(kRows * kCols));
  }
}

TEST(SparseTable, GradientsDoNotDependOnThreads) {
  constexpr int kWide = 200;
  const int threads = ThreadCount();
  std::vector<Floats> results;
  for (const int count : {1, 2, 3}) {
    SetThreadCount(count);
    SparseTable table("t", kRows, kWide);
    table.Allocate(true);
    Rows rows(3000);
    Rng rng(3, Purpose::kTest);
    for (int32_t& row : rows) row = static_cast<int32_t>(rng.Below(kRows));
    Floats dy = Normals(rows.size() * kWide, 4);
    table.AddGradient(rows.data(), {dy.data(), DType::kF32, std::ssize(rows), kWide, kWide});
    results.push_back(table.DenseGradient());
    EXPECT_EQ(Touched(table).front(), rows.front());
  }
  SetThreadCount(threads);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(SparseTable, LoadedForInferenceTakesNoGradient) {
  SparseTable table("t", kRows, kCols);
  table.Allocate(false);
  Floats dy(kCols);
  const int32_t row = 0;
  EXPECT_THROW(table.AddGradient(&row, {dy.data(), DType::kF32, 1, kCols, kCols}), Error);
}

TEST(ParamBankTables, LieBesideTheFlatArrays) {
  ParamBank plain, with;
  for (ParamBank* bank : {&plain, &with}) {
    bank->Add({.name = "a", .shape = {3, 5}, .init = Init::Normal(1)});
    if (bank == &with) bank->AddTable("table", kRows, kCols, Init::Normal(0.5f));
    bank->Add({.name = "b", .shape = {7}, .init = Init::Normal(1)});
    bank->Allocate(true);
    bank->Initialize(9);
  }
  ASSERT_EQ(with.size(), plain.size());
  EXPECT_TRUE(std::equal(plain.values(), plain.values() + plain.size(), with.values()));
  EXPECT_EQ(with.TableCount(), kRows * kCols);
  EXPECT_EQ(with.ParameterCount(), plain.ParameterCount() + kRows * kCols);
  EXPECT_EQ(with.Find("table"), nullptr);
  const SparseTable& table = *with.tables()[0];
  double square = 0;
  for (int64_t i = 0; i < table.size(); ++i) square += table.values()[i] * table.values()[i];
  EXPECT_NEAR(std::sqrt(square / static_cast<double>(table.size())), 0.5, 0.1);
}

TEST(ParamBankTables, NamesAreUnique) {
  ParamBank bank;
  bank.AddTable("x", 2, 2, Init::Zero());
  EXPECT_THROW(bank.AddTable("x", 2, 2, Init::Zero()), Error);
  EXPECT_THROW(bank.Add({.name = "x", .shape = {2}, .init = {}}), Error);
  bank.Allocate(false);
  EXPECT_THROW(bank.AddTable("y", 2, 2, Init::Zero()), Error);
}

}  // namespace
}  // namespace flashlm
