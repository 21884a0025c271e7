// flashlm report
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "report/run_report.h"

namespace flashlm::cli {
namespace {

struct ReportArguments {
  std::vector<std::string> runs;
  std::string out;
  bool json = false;
};

void Run(const ReportArguments& options) {
  if (options.out.empty() && !options.json) throw UsageError("report needs --out FILE.html, or --json");
  if (options.out == "-" && options.json) {
    throw UsageError("--out - and --json together", "both are written to standard output; name a file for one");
  }
  if (std::filesystem::is_directory(options.out)) {
    throw UsageError(fmt::format("--out '{}' is a folder", options.out), "name a file in it, as report.html");
  }
  for (const std::string& run : options.runs) {
    for (const char* part : {"config.toml", "log.jsonl", "samples.txt", "results.json", "probe.json"}) {
      RefuseOverwriting("--out", options.out, {{run + "/" + part}});
    }
  }
  const std::vector<RunRecord> runs = ReadRuns(options.runs);
  for (const RunRecord& run : runs) {
    for (const std::string& note : run.notes) Say(fmt::format("{}: {}", run.name, note));
  }
  if (!options.out.empty()) WriteFileAtomic(options.out, RunReportHtml(runs));
  if (options.json) return PrintJson(RunReportJson(runs));
  if (options.out != "-") Say(fmt::format("{} run{}: {}", runs.size(), runs.size() == 1 ? "" : "s", options.out));
}

}  // namespace

void AddReport(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("report", "one page of one run or many: curves, results, probes, samples");
  auto options = std::make_shared<ReportArguments>();
  verb->add_option("runs", options->runs, "run folders, finished or not")->required();
  verb->add_option("--out", options->out, "the page to write: one file that needs nothing else; -: standard output");
  verb->add_flag("--json", options->json, "print what the page shows as JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
