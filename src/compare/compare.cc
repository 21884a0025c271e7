#include "compare/compare.h"

#include <algorithm>
#include <filesystem>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "compare/comparison_report.h"
#include "compare/measure.h"
#include "compare/settings.h"

namespace flashlm {
namespace {

std::string RowPath(const std::string& folder) { return folder + "/comparison.json"; }

class Comparing {
 public:
  explicit Comparing(const CompareOptions& options)
      : out_(options.out),
        go_on_(options.go_on.empty() ? fmt::format("flashlm compare --out {} --resume", out_) : options.go_on) {
    settings_ = OpenSettings(options);
    MakeFolder(out_);
    lock_ = FolderLock(out_);
    WriteFileAtomic(SettingsPath(out_), ToJson(settings_).dump(2) + "\n");
  }

  CompareSummary Go() {
    CompareSummary summary;
    const std::vector<PlannedRun> runs = PlanRuns(settings_);
    summary.finished = true;
    for (size_t i = 0; i < runs.size() && summary.finished; ++i) {
      const std::string seed = settings_.seeds > 1 ? fmt::format(", seed {}", runs[i].seed) : "";
      Say(fmt::format("[{}/{}] {}{}", i + 1, runs.size(), runs[i].contender.Name(), seed));
      summary.finished = !Interrupted() && One(runs[i]);
      if (summary.finished) WriteTables(summary);
    }
    if (!summary.finished) {
      Say("interrupted. Go on with: " + go_on_);
    } else {
      Say(fmt::format("{} runs compared, {} failed: {}/comparison.html", rows_.size(), summary.failed, out_));
    }
    return summary;
  }

 private:
  // False if interrupted.
  bool One(const PlannedRun& run) {
    const std::string folder = out_ + "/" + run.folder, path = RowPath(folder);
    if (std::filesystem::exists(path)) {
      Say("  done before");
      rows_.push_back(ComparisonRowFromJson(ReadJsonFile(path), path));
      return true;
    }
    const ChildResult child = RunInChild([&] { return TrainAndReport(settings_, run, folder); });
    Json report = Json::parse(child.text, nullptr, false);
    if (!child.problem.empty() || !report.is_object()) report = {{"error", child.problem}};
    if (report.contains("interrupted") || Interrupted()) return false;
    if (report.contains("row")) {
      WriteFileAtomic(path, report["row"].dump(2) + "\n");
      rows_.push_back(ComparisonRowFromJson(report["row"], path));
    } else {
      ComparisonRow row;
      Identify(run, row);
      row.error = report.value("error", "");
      if (row.error.empty()) row.error = "for no reason that it said";
      Say(fmt::format("  failed: {}", row.error));
      rows_.push_back(row);
    }
    return true;
  }

  void WriteTables(CompareSummary& summary) const {
    summary.comparison = Conclude(settings_, rows_);
    summary.failed =
        static_cast<int>(std::count_if(rows_.begin(), rows_.end(), [](const auto& r) { return r.failed(); }));
    summary.markdown = ComparisonMarkdown(summary.comparison);
    WriteFileAtomic(out_ + "/comparison.json", ToJson(summary.comparison).dump(2) + "\n");
    WriteFileAtomic(out_ + "/comparison.md", summary.markdown);
    WriteFileAtomic(out_ + "/comparison.html", ComparisonHtml(summary.comparison));
  }

  std::string out_, go_on_;
  FolderLock lock_;
  CompareSettings settings_;
  std::vector<ComparisonRow> rows_;
};

}  // namespace

CompareSummary Compare(const CompareOptions& options) { return Comparing(options).Go(); }

}  // namespace flashlm
