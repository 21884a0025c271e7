#include "report/run_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/progress.h"
#include "report/page.h"

namespace flashlm {
namespace {

constexpr size_t kLastSteps = 50;  // that tell the rate

Json BudgetOf(const Json& config) {
  const auto extensions = config.find("extensions");
  const bool extended = extensions != config.end() && extensions->is_array() && !extensions->empty();
  return extended ? extensions->back() : config.value("budget", Json());
}

double AmountAt(const Moment& moment, const std::string& kind) {
  if (kind == "time") return moment.seconds;
  return static_cast<double>(kind == "tokens" ? moment.tokens : moment.step);
}

}  // namespace

RunProgress ProgressOf(const RunRecord& run) {
  RunProgress progress;
  const Json budget = BudgetOf(run.config);
  const double amount = NumberAt(budget, "amount");
  const std::string kind = TextAt(budget, "kind");
  const std::vector<Moment>& moments = run.log.steps.moments();
  if (moments.empty()) return progress;
  const Moment& last = moments.back();
  const Moment first = moments.size() > kLastSteps ? moments[moments.size() - 1 - kLastSteps] : Moment{};
  const double seconds = last.seconds - first.seconds;
  if (seconds > 0) progress.tokens_per_s = static_cast<double>(last.tokens - first.tokens) / seconds;
  if (!(amount > 0)) return progress;
  progress.budget = kind == "time" ? FormatDuration(amount) : FormatCount(amount) + " " + kind;
  const double done = AmountAt(last, kind), rate = (done - AmountAt(first, kind)) / seconds;
  progress.share = done / amount;
  if (seconds > 0 && rate > 0) progress.seconds_left = std::max(0.0, (amount - done) / rate);
  return progress;
}

std::string ProgressHtml(const RunRecord& run) {
  const RunProgress progress = ProgressOf(run);
  const std::vector<Moment>& moments = run.log.steps.moments();
  std::string line =
      moments.empty() ? "no step yet" : fmt::format("step {}", Grouped(static_cast<double>(moments.back().step)));
  if (std::isfinite(progress.share) && !run.finished()) {
    line += fmt::format(", {:.0f} % of {}", 100 * progress.share, progress.budget);
  }
  if (run.finished()) line += ", finished";
  if (std::isfinite(progress.seconds_left) && !run.finished()) {
    line += fmt::format(", {} of training left", FormatDuration(progress.seconds_left));
  }
  if (std::isfinite(progress.tokens_per_s)) line += fmt::format(", {} tokens/s", Grouped(progress.tokens_per_s));
  if (!run.log.phases.empty()) line += fmt::format(", phase {}", run.log.phases.back().number);
  const double share = run.finished() ? 1 : std::isfinite(progress.share) ? std::min(1.0, progress.share) : 0;
  return fmt::format(
      "<p><progress max=\"1\" value=\"{:.4f}\" aria-label=\"part of the budget that is done\"></progress> {} "
      "<span class=\"soft\" id=\"live\" role=\"status\"></span></p>\n",
      share, ForHtml(line));
}

}  // namespace flashlm
