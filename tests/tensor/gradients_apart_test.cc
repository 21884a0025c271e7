#include "tensor/gradients_apart.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace flashlm {
namespace {

class GradientsApartTest : public testing::Test {
 protected:
  GradientsApartTest() { bank_.Allocate(true); }

  // What the bank has of p, row after row.
  std::vector<float> Gradient(const Param& p) const {
    return {bank_.Gradient(p), bank_.Gradient(p) + int64_t{p.rows} * p.cols};
  }

  ParamBank bank_;
  const Param table_ = bank_.Add({"table", {4, 2}, Role::kEmbedding, Init::Zero()});
  const Param matrix_ = bank_.Add({"matrix", {2, 3}, Role::kMatrix, Init::Zero()});
  const Param below_ = bank_.Add({"below", {1, 3}, Role::kMatrix, Init::Zero()}, true);
};

TEST_F(GradientsApartTest, AreAddedToTheBanksAndZeroAfterwards) {
  GradientsApart apart(bank_);
  const Param both{matrix_.offset, 3, 3};
  std::fill_n(bank_.Gradient(both), 9, 1.0f);
  for (int pass = 0; pass < 2; ++pass) {  // in any order of the handles
    std::fill_n(apart.Of(pass == 0 ? below_ : both), 3, 2.0f);
    std::fill_n(apart.Of(pass == 0 ? both : below_), 3, 4.0f);
  }
  apart.MoveTo(bank_, 0);
  // Of `both` the first row: 4, then 2; `below` is its last: 2, then 4.
  EXPECT_EQ(Gradient(both), (std::vector<float>{3, 3, 3, 1, 1, 1, 5, 5, 5}));
  apart.MoveTo(bank_, 0);
  EXPECT_EQ(Gradient(both), (std::vector<float>{3, 3, 3, 1, 1, 1, 5, 5, 5}));
}

TEST_F(GradientsApartTest, RowsOfATableAreAddedOnceHoweverOftenTheyAreNamed) {
  GradientsApart apart(bank_);
  const int32_t first[] = {3, 1, 3}, second[] = {1};
  float* gradient = apart.OfRows(table_, first, 3);
  for (const int32_t row : first) gradient[2 * row] += 1;
  gradient = apart.OfRows(table_, second, 1);
  gradient[2 * 1 + 1] += 5;
  apart.MoveTo(bank_, 0);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 1, 5, 0, 0, 2, 0}));
  apart.MoveTo(bank_, 0);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 1, 5, 0, 0, 2, 0}));
}

TEST_F(GradientsApartTest, ATableThatIsAlsoAHeadIsAddedAsAWhole) {
  GradientsApart apart(bank_);
  const int32_t rows[] = {2};
  apart.OfRows(table_, rows, 1)[4] += 1;
  std::fill_n(apart.Of(table_), 8, 3.0f);
  apart.OfRows(table_, rows, 1)[4] += 1;
  apart.MoveTo(bank_, 0);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{3, 3, 3, 3, 4, 3, 3, 3}));
}

// A cut through a table's row and one through a matrix: each part takes what lies in it, and leaves the others.
TEST_F(GradientsApartTest, PartsAreMovedOneByOne) {
  const int64_t in_table = table_.offset + 3, in_matrix = matrix_.offset + 4;
  GradientsApart apart(bank_, {0, in_table, in_matrix, bank_.size()}),
      other(bank_, {0, in_table, in_matrix, bank_.size()});
  const int32_t rows[] = {1, 3};
  const auto fill = [&](GradientsApart& some) {
    float* const table = some.OfRows(table_, rows, 2);
    table[2] = 1, table[3] = 2, table[6] = 3;
    std::fill_n(some.Of(matrix_), 6, 4.0f);
  };
  fill(apart);
  fill(other);
  other.MoveTo(apart, 1);
  apart.MoveTo(bank_, 1);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 0, 4, 0, 0, 6, 0}));
  EXPECT_EQ(Gradient(matrix_), (std::vector<float>{8, 8, 8, 8, 0, 0}));
  other.MoveTo(apart, 2);
  other.MoveTo(apart, 0);
  apart.MoveTo(bank_, 2);
  apart.MoveTo(bank_, 0);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 2, 4, 0, 0, 6, 0}));
  EXPECT_EQ(Gradient(matrix_), (std::vector<float>(6, 8.0f)));
  EXPECT_TRUE(std::all_of(other.data(), other.data() + bank_.size(), [](float g) { return g == 0; }));
  fill(apart);
  apart.Clear();
  EXPECT_TRUE(std::all_of(apart.data(), apart.data() + bank_.size(), [](float g) { return g == 0; }));
}

}  // namespace
}  // namespace flashlm
