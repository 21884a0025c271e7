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
  apart.MoveTo(bank_);
  // Of `both` the first row: 4, then 2; `below` is its last: 2, then 4.
  EXPECT_EQ(Gradient(both), (std::vector<float>{3, 3, 3, 1, 1, 1, 5, 5, 5}));
  apart.MoveTo(bank_);
  EXPECT_EQ(Gradient(both), (std::vector<float>{3, 3, 3, 1, 1, 1, 5, 5, 5}));
}

TEST_F(GradientsApartTest, RowsOfATableAreAddedOnceHoweverOftenTheyAreNamed) {
  GradientsApart apart(bank_);
  const int32_t first[] = {3, 1, 3}, second[] = {1};
  float* gradient = apart.OfRows(table_, first, 3);
  for (const int32_t row : first) gradient[2 * row] += 1;
  gradient = apart.OfRows(table_, second, 1);
  gradient[2 * 1 + 1] += 5;
  apart.MoveTo(bank_);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 1, 5, 0, 0, 2, 0}));
  apart.MoveTo(bank_);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{0, 0, 1, 5, 0, 0, 2, 0}));
}

TEST_F(GradientsApartTest, ATableThatIsAlsoAHeadIsAddedAsAWhole) {
  GradientsApart apart(bank_);
  const int32_t rows[] = {2};
  apart.OfRows(table_, rows, 1)[4] += 1;
  std::fill_n(apart.Of(table_), 8, 3.0f);
  apart.OfRows(table_, rows, 1)[4] += 1;
  apart.MoveTo(bank_);
  EXPECT_EQ(Gradient(table_), (std::vector<float>{3, 3, 3, 3, 4, 3, 3, 3}));
}

}  // namespace
}  // namespace flashlm
