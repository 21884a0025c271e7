// The tables of a report of runs (report/run_report.h), as HTML.
#pragma once

#include <span>
#include <string>

#include "report/run_record.h"

namespace flashlm {

// "finished", or how far it has come: "unfinished: step 300, 42 % of 10:00".
std::string StateOf(const RunRecord& run);

std::string ResultsTable(std::span<const RunRecord> runs);
// Accuracy with its interval, chance and controls, by category; "" if no run has probes.
std::string ProbesTable(std::span<const RunRecord> runs);
// What differs between the runs' settings; "" for one run.
std::string DifferencesTable(std::span<const RunRecord> runs);

}  // namespace flashlm
