// The settings of a comparison: made from what the caller says, or read from OUT/settings.json and completed.
#pragma once

#include "compare/compare.h"

namespace flashlm {

std::string SettingsPath(const std::string& out);

// Throws UsageError or Error if the options, the data, or the name of a preset, recipe or setting is not right, or if
// they do not agree with what the comparison in `options.out` has. Writes nothing.
CompareSettings OpenSettings(const CompareOptions& options);

// One training of a contender.
struct PlannedRun {
  Contender contender;
  uint64_t seed = 1;
  std::string folder;  // within OUT: the contender's name, and for all seeds but the first .seed_SEED
};

// Seed by seed, so that a comparison that is interrupted has something of every contender.
std::vector<PlannedRun> PlanRuns(const CompareSettings& settings);

RunConfig ConfigOf(const CompareSettings& settings, const PlannedRun& run);

// Writes into the run's row whose it is, all but the recipe of a preset that was given none.
void Identify(const PlannedRun& run, ComparisonRow& row);

}  // namespace flashlm
