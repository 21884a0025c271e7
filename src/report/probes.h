// What `flashlm probe --json` found, kept as RUN/probe.json: accuracy by category, and by difficulty where there is
// one.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/run_record.h"

namespace flashlm {

// Shares from 0 to 1, NaN where the file does not say.
struct ReportedProbe {
  double accuracy, error, chance, items, normalised;  // error: the accuracy's standard error
  Json controls;

  // 95 % of the accuracy.
  double low() const;
  double high() const;
  // (accuracy - chance) / (1 - chance): 0 guesses, 1 is always right.
  double corrected() const;
  double Control(const std::string& name) const;
};

// Of all runs, in the order in which they come.
std::vector<std::string> ProbeCategories(std::span<const RunRecord> runs);
// None if the run has none in this category.
std::optional<ReportedProbe> ProbeOf(const RunRecord& run, const std::string& category);
// By its difficulty k; empty if the category has none.
std::map<int64_t, ReportedProbe> ProbesByK(const RunRecord& run, const std::string& category);
// The part of the training tokens that were texts of probes; none if the file does not say.
std::optional<double> ShareOfProbesRead(const RunRecord& run);

}  // namespace flashlm
