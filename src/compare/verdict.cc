#include "compare/verdict.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "base/error.h"

namespace flashlm {

Spread SpreadOf(std::span<const double> values) {
  Spread spread;
  spread.count = static_cast<int>(values.size());
  if (values.empty()) return spread;
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  spread.mean = sum / n;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.error = std::sqrt(squares / (n - 1) / n);
  return spread;
}

double TwoSidedP(double t, int freedom) {
  FLASHLM_CHECK(freedom >= 1, "a t of {} degrees of freedom", freedom);
  const bool odd = freedom % 2 == 1;
  const double angle = std::atan(std::abs(t) / std::sqrt(freedom));
  const double cosine = std::cos(angle), sine = std::sin(angle);
  double term = odd ? cosine : 1, sum = freedom == 1 ? 0 : term;
  for (int k = odd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  const double inside = odd ? 2 * std::numbers::inv_pi * (angle + sine * sum) : sine * sum;
  return 1 - inside;
}

Verdict Judge(std::span<const double> own, std::span<const double> other, const std::string& against) {
  FLASHLM_CHECK(own.size() == other.size(), "{} seeds against {}", own.size(), other.size());
  std::vector<double> differences(own.size());
  for (size_t i = 0; i < own.size(); ++i) differences[i] = own[i] - other[i];
  Verdict verdict{against, SpreadOf(differences)};
  const Spread& difference = verdict.difference;
  if (difference.count < 2) return verdict;
  // Equal rows differ by 0 ± 0: the quotient says nothing, and they are as near as can be.
  verdict.p = difference.mean == 0 ? 1 : TwoSidedP(difference.mean / difference.error, difference.count - 1);
  return verdict;
}

std::string ToString(const Verdict& verdict) {
  const auto& [seeds, mean, error] = verdict.difference;
  if (seeds == 0) return fmt::format("no seed in common with {}", verdict.against);
  if (!std::isfinite(mean)) return fmt::format("not comparable with {}: bits per byte are not finite", verdict.against);
  const char* side = mean < 0 ? "better" : "worse";
  const double size = std::abs(mean);
  if (seeds == 1) {
    return fmt::format("{} than {} by {:.4f}, of which one seed cannot say whether it is chance", side, verdict.against,
                       size);
  }
  if (verdict.apart()) {
    return fmt::format("{} than {} by {:.4f} ± {:.4f} ({} seeds)", side, verdict.against, size, error, seeds);
  }
  return fmt::format("cannot be told apart from {} ({} by {:.4f} ± {:.4f}, {} seeds)", verdict.against, side, size,
                     error, seeds);
}

Json ToJson(const Verdict& verdict) {
  return {{"text", ToString(verdict)},
          {"against", verdict.against},
          {"difference", verdict.difference.mean},
          {"stderr", verdict.difference.error},
          {"seeds", verdict.difference.count},
          {"p", verdict.p},
          {"apart", verdict.apart()}};
}

}  // namespace flashlm
