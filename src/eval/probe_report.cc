#include "eval/probe_report.h"

#include <fmt/format.h>

namespace flashlm {
namespace {

double Corrected(const ProbeShare& share) {
  return share.items() == 0 ? 0 : (share.accuracy() - share.chance()) / (1 - share.chance());
}

Json ShareToJson(const ProbeShare& share) {
  return {{"accuracy", share.accuracy()},
          {"stderr", share.standard_error()},
          {"chance", share.chance()},
          {"chance_corrected", Corrected(share)},
          {"items", share.items()}};
}

Json CategoryToJson(const ProbeCategoryResult& result) {
  const ProbeScore& all = result.all;
  Json json = ShareToJson(all.by_sum);
  json["normalised"] = all.by_byte.accuracy();
  json["normalised_stderr"] = all.by_byte.standard_error();
  json["normalised_per_token"] = all.by_token.accuracy();
  json["normalised_per_token_stderr"] = all.by_token.standard_error();
  Json controls, errors, removed;
  for (size_t c = 0; c < kProbeControls; ++c) {
    const char* name = NameOf(static_cast<ProbeControl>(c));
    controls[name] = all.controls[c].accuracy();
    errors[name] = all.controls[c].standard_error();
    removed[name] = result.removed_by[c];
  }
  json["controls"] = controls;
  json["controls_stderr"] = errors;
  json["removed"] = result.removed;
  json["removed_by"] = removed;
  if (result.by_k.empty()) return json;
  json["by_k"] = Json::array();
  for (const auto& [k, score] : result.by_k) {
    Json line = {{"k", k}};
    line.update(ShareToJson(score.by_sum));
    json["by_k"].push_back(line);
  }
  return json;
}

std::string Percent(const ProbeShare& share) {
  return fmt::format("{:.1f} ± {:.1f}", 100 * share.accuracy(), 100 * share.standard_error());
}

}  // namespace

Json ProbesToJson(const std::vector<ProbeCategoryResult>& results) {
  Json json = Json::object();
  for (const ProbeCategoryResult& result : results) json[result.category] = CategoryToJson(result);
  return json;
}

std::string ProbesTable(const std::vector<ProbeCategoryResult>& results) {
  constexpr const char* kRow = "{:<11}{:>13}{:>8}{:>11}{:>13}{:>13}{:>13}{:>13}{:>13}{:>13}{:>7}{:>9}\n";
  std::string text = fmt::format(fmt::runtime(kRow), "%", "accuracy", "chance", "corrected", "per byte", "per token",
                                 "untrained", "bigrams", "no context", "shuffled", "items", "removed");
  for (const ProbeCategoryResult& result : results) {
    const ProbeScore& all = result.all;
    text += fmt::format(fmt::runtime(kRow), result.category, Percent(all.by_sum),
                        fmt::format("{:.1f}", 100 * all.by_sum.chance()),
                        fmt::format("{:.1f}", 100 * Corrected(all.by_sum)), Percent(all.by_byte), Percent(all.by_token),
                        Percent(all.controls[0]), Percent(all.controls[1]), Percent(all.controls[2]),
                        Percent(all.controls[3]), all.by_sum.items(), result.removed);
  }
  for (const ProbeCategoryResult& result : results) {
    if (result.by_k.empty()) continue;
    text += fmt::format("{} by k:", result.category);
    for (const auto& [k, score] : result.by_k) {
      text += fmt::format("  {}: {} (chance {:.0f})", k, Percent(score.by_sum), 100 * score.by_sum.chance());
    }
    text += "\n";
  }
  return text;
}

}  // namespace flashlm
