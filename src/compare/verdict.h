// Whether two rows of a comparison differ by more than chance: paired over the seeds that both were trained with.
#pragma once

#include <limits>
#include <span>
#include <string>

#include "base/json.h"

namespace flashlm {

// Mean of independent values and its standard error, which is NaN below two values (null in JSON).
struct Spread {
  int count = 0;
  double mean = std::numeric_limits<double>::quiet_NaN();
  double error = std::numeric_limits<double>::quiet_NaN();
};
Spread SpreadOf(std::span<const double> values);

// Probability of a Student's t of `freedom` >= 1 degrees of freedom that is as far from 0 as `t`, on either side
// (Abramowitz and Stegun, 26.7.3 and 26.7.4).
double TwoSidedP(double t, int freedom);

// How a row's bits per byte compare with another's.
struct Verdict {
  static constexpr double kLevel = 0.05;  // rows are told apart below this p

  std::string against;                                  // the other row
  Spread difference;                                    // this row's less the other's, seed by seed
  double p = std::numeric_limits<double>::quiet_NaN();  // of such a difference by chance; NaN below two seeds

  bool apart() const { return p < kLevel; }
};

// `own` and `other`: bits per byte of the seeds that both rows have, in the same order.
Verdict Judge(std::span<const double> own, std::span<const double> other, const std::string& against);

// "better than X by 0.012 ± 0.004 (3 seeds)", "cannot be told apart from X (...)", or why nothing can be said.
std::string ToString(const Verdict& verdict);

Json ToJson(const Verdict& verdict);

}  // namespace flashlm
