// flashlm audit
#include "audit/audit.h"

#include <memory>

#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "train/config.h"

namespace flashlm::cli {
namespace {

struct AuditArguments {
  AuditOptions audit;
  std::string time;
  bool json = false;
};

void Run(const AuditArguments& options) {
  InstallInterruptHandler();
  RefuseStandardOutput("--out", options.audit.out);
  RequireUtf8("--data", options.audit.data);
  AuditOptions audit = options.audit;
  if (!options.time.empty()) audit.seconds = Budget::Time(options.time).amount;
  const AuditSummary summary = RunAudit(audit);
  if (!summary.finished) return SetExitCode(1);
  if (options.json) {
    PrintJson(ToJson(summary.audit));
  } else {
    Print(summary.markdown);
  }
}

}  // namespace

void AddAudit(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "audit", "what the published models reported, and what is true: each of their defects trained and measured");
  auto options = std::make_shared<AuditArguments>();
  verb->add_option("--out", options->audit.out, "folder to make; the same command again goes on with it")->required();
  verb->add_option("--time", options->time,
                   "about how long all of it may take on this machine, as 2m or 30m; 30m without it");
  verb->add_option("--data", options->audit.data,
                   "folder made by: flashlm data prepare; without it the synthetic corpus, prepared in OUT/data");
  verb->add_flag("--json", options->json, "print audit.json instead of the table");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
