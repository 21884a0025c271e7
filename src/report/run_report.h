// One run or many as a page (report/page.h): results, curves over training, probes, samples, settings.
#pragma once

#include <span>
#include <string>

#include "report/run_record.h"

namespace flashlm {

std::string RunReportHtml(std::span<const RunRecord> runs);

// The same while a run goes on: the page asks for LiveReportParts again and again (report/live.js). With its progress.
std::string LiveReportHtml(const RunRecord& run);
// {"title", "body": HTML, "charts"}
Json LiveReportParts(const RunRecord& run);

// What the page shows, for programs: of each run its results, state and notes; and the charts' data.
Json RunReportJson(std::span<const RunRecord> runs);

}  // namespace flashlm
