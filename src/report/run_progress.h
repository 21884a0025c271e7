// How far a run has come, of one that is under way.
#pragma once

#include <cmath>
#include <string>

#include "report/run_record.h"

namespace flashlm {

struct RunProgress {
  std::string budget;         // "10:00", "10.00 M tokens"; "" if the configuration does not say
  double share = NAN;         // of the budget that is done
  double seconds_left = NAN;  // of training, at the rate of the last steps
  double tokens_per_s = NAN;  // the same steps'
};

// Of the budget in force: the last extension's, or that which the run was begun with.
RunProgress ProgressOf(const RunRecord& run);

// As a bar and a line: step, part done, time left, throughput, phase. Says where its page stands to live.js.
std::string ProgressHtml(const RunRecord& run);

}  // namespace flashlm
