// One run or many as a page (report/page.h): results, curves over training, probes, samples, settings.
#pragma once

#include <span>
#include <string>

#include "report/run_record.h"

namespace flashlm {

std::string RunReportHtml(std::span<const RunRecord> runs);

// What the page shows, for programs: of each run its results, state and notes; and the charts' data.
Json RunReportJson(std::span<const RunRecord> runs);

}  // namespace flashlm
