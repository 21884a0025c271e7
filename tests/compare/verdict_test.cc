#include "compare/verdict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace flashlm {
namespace {

TEST(Spread, MeanAndItsStandardError) {
  const std::vector<double> values = {0.8, 0.7, 0.9};
  const Spread spread = SpreadOf(values);
  EXPECT_EQ(spread.count, 3);
  EXPECT_NEAR(spread.mean, 0.8, 1e-12);
  EXPECT_NEAR(spread.error, 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isnan(SpreadOf(std::vector<double>{0.8}).error)) << "one value says nothing about others";
  EXPECT_TRUE(std::isnan(SpreadOf({}).mean));
}

// The two-sided 5 % and 1 % points of tables.
TEST(TwoSidedP, IsThatOfTheTables) {
  struct Entry {
    int freedom;
    double at_5_percent, at_1_percent;
  };
  for (const auto& [freedom, five, one] : {Entry{1, 12.7062, 63.6567},
                                           {2, 4.3027, 9.9248},
                                           {3, 3.1824, 5.8409},
                                           {4, 2.7764, 4.6041},
                                           {5, 2.5706, 4.0321},
                                           {9, 2.2622, 3.2498},
                                           {10, 2.2281, 3.1693},
                                           {30, 2.0423, 2.7500},
                                           {101, 1.9837, 2.6254}}) {
    EXPECT_NEAR(TwoSidedP(five, freedom), 0.05, 2e-5) << freedom;
    EXPECT_NEAR(TwoSidedP(-one, freedom), 0.01, 1e-5) << freedom;
    EXPECT_EQ(TwoSidedP(0, freedom), 1) << freedom;
  }
}

// Seeds differ by more than the rows do; paired, the rows are told apart all the same.
TEST(Judge, PairsBySeed) {
  const std::vector<double> own = {0.80, 0.90, 0.70}, other = {0.812, 0.910, 0.714};
  const Verdict verdict = Judge(own, other, "x");
  EXPECT_NEAR(verdict.difference.mean, -0.012, 1e-12);
  EXPECT_NEAR(verdict.difference.error, 0.002 / std::sqrt(3.0), 1e-12);
  EXPECT_NEAR(verdict.p, 0.0091, 1e-4);  // t = -10.39, 2 degrees of freedom
  EXPECT_TRUE(verdict.apart());
  EXPECT_EQ(ToString(verdict), "better than x by 0.0120 ± 0.0012 (3 seeds)");
  EXPECT_EQ(ToString(Judge(other, own, "y")), "worse than y by 0.0120 ± 0.0012 (3 seeds)");
}

TEST(Judge, SaysWhatCannotBeToldApart) {
  const std::vector<double> own = {0.80, 0.90, 0.70}, other = {0.81, 0.88, 0.72};
  EXPECT_EQ(ToString(Judge(own, other, "x")), "cannot be told apart from x (better by 0.0033 ± 0.0120, 3 seeds)");
  // With two seeds a difference needs to be 12.7 times its error.
  const std::vector<double> two = {0.80, 0.80}, near_two = {0.81, 0.812};
  EXPECT_FALSE(Judge(two, near_two, "x").apart());
  EXPECT_TRUE(Judge(two, std::vector<double>{0.81, 0.8101}, "x").apart());
  EXPECT_FALSE(Judge(own, own, "x").apart()) << "equal rows: 0 ± 0";
}

TEST(Judge, SaysWhereNothingCanBeSaid) {
  const std::vector<double> own = {0.80}, other = {0.812};
  EXPECT_EQ(ToString(Judge(own, other, "x")),
            "better than x by 0.0120, of which one seed cannot say whether it is chance");
  EXPECT_FALSE(Judge(own, other, "x").apart());
  EXPECT_EQ(ToString(Judge({}, {}, "x")), "no seed in common with x");
  const std::vector<double> diverged = {0.8, std::nan("")}, sound = {0.8, 0.8};
  EXPECT_EQ(ToString(Judge(diverged, sound, "x")), "not comparable with x: bits per byte are not finite");
}

}  // namespace
}  // namespace flashlm
