// The audit of what was published (docs/audit.md): a small model with each defect, with all of them and with none is
// trained on the same text, and its figures are shown side by side: what it reports of itself, what is true, and the
// tests that tell one from the other.
//
// OUT/settings.json is the plan, OUT/runs/CASE a model's checkpoint and, when it is done, its result.json; OUT/data the
// text, if no other was named. OUT/audit.{json,md,html,svg} are written anew whenever a model is done.
#pragma once

#include <optional>
#include <string>

#include "audit/audit_report.h"

namespace flashlm {

struct AuditOptions {
  std::string out, data;          // data: folder that `data prepare` made; "": the synthetic corpus, prepared in `out`
  std::optional<double> seconds;  // for all of it; 30 minutes without it
};

struct AuditSummary {
  bool finished = false;  // false: interrupted; the same call goes on
  Audit audit;
  std::string markdown;  // as in audit.md
};

constexpr double kAuditSeconds = 1800, kFewestAuditSeconds = 10;

// Starts an audit or goes on with the one in `out`, whose time and data must be the same where they are named again.
// Throws UsageError or Error before any work if something is not right.
AuditSummary RunAudit(const AuditOptions& options);

}  // namespace flashlm
