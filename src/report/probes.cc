#include "report/probes.h"

#include <algorithm>
#include <cmath>

namespace flashlm {
namespace {

constexpr double kNormal95 = 1.959964;  // of a normal distribution 95 % lie within so many standard deviations

// Null if there is none.
const Json* Find(const RunRecord& run, const std::string& category) {
  const auto categories = run.probes.find("categories");
  if (categories == run.probes.end() || !categories->is_object()) return nullptr;
  const auto probe = categories->find(category);
  return probe == categories->end() || !probe->is_object() ? nullptr : &*probe;
}

ReportedProbe ProbeFrom(const Json& json) {
  return {NumberAt(json, "accuracy"), NumberAt(json, "stderr"),     NumberAt(json, "chance"),
          NumberAt(json, "items"),    NumberAt(json, "normalised"), json.value("controls", Json())};
}

}  // namespace

double ReportedProbe::low() const { return std::isfinite(error) ? std::max(0.0, accuracy - kNormal95 * error) : error; }
double ReportedProbe::high() const {
  return std::isfinite(error) ? std::min(1.0, accuracy + kNormal95 * error) : error;
}
double ReportedProbe::corrected() const { return (accuracy - chance) / (1 - chance); }
double ReportedProbe::Control(const std::string& name) const { return NumberAt(controls, name); }

std::vector<std::string> ProbeCategories(std::span<const RunRecord> runs) {
  std::vector<std::string> names;
  for (const RunRecord& run : runs) {
    const auto categories = run.probes.find("categories");
    if (categories == run.probes.end() || !categories->is_object()) continue;
    for (const auto& [name, probe] : categories->items()) {
      if (probe.is_object() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::optional<ReportedProbe> ProbeOf(const RunRecord& run, const std::string& category) {
  const Json* probe = Find(run, category);
  if (probe == nullptr) return std::nullopt;
  return ProbeFrom(*probe);
}

std::map<int64_t, ReportedProbe> ProbesByK(const RunRecord& run, const std::string& category) {
  std::map<int64_t, ReportedProbe> probes;
  const Json* probe = Find(run, category);
  const auto all = probe == nullptr ? Json() : probe->value("by_k", Json());
  if (!all.is_array()) return probes;
  for (const Json& one : all) {
    const double k = NumberAt(one, "k");
    if (std::isfinite(k)) probes.insert({static_cast<int64_t>(k), ProbeFrom(one)});
  }
  return probes;
}

std::optional<double> ShareOfProbesRead(const RunRecord& run) {
  const Json training = run.probes.is_object() ? run.probes.value("training", Json()) : Json();
  const Json share = training.is_object() ? training.value("share_of_probes", Json()) : Json();
  return share.is_number() ? std::optional(share.get<double>()) : std::nullopt;
}

}  // namespace flashlm
