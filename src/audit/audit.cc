#include "audit/audit.h"

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/prepare.h"
#include "kernels/isa.h"
#include "train/data_place.h"

namespace flashlm {
namespace {

constexpr int kOwnVocab = 1024;
constexpr int kSampleTokens = 100, kCounted = 8;
constexpr char kPrompt[] = "Once upon a time";

class Auditing {
 public:
  explicit Auditing(const AuditOptions& options) : out_(options.out) {
    const Stopwatch watch;
    const bool begun = Exists(FileIn(out_, "settings.json"));
    if (!begun) RefuseWhatIsWrong(options);
    MakeFolder(out_);
    lock_ = FolderLock(out_);
    begun ? GoOn(options) : Begin(options, watch);
    audit_.source = ReadDataMeta(DataFolder()).value("source", "");
    audit_.machine = fmt::format("{}, {} threads, {}", kernels::CpuName(), ThreadCount(), audit_.plan.precision);
  }

  AuditSummary Go() {
    AuditSummary summary;
    summary.finished = true;
    const std::vector<AuditCase>& cases = AuditCases();
    for (size_t i = 0; i < cases.size() && summary.finished; ++i) {
      const std::string place = fmt::format("[{}/{}] {}", i + 1, cases.size(), cases[i].title);
      summary.finished = !Interrupted() && One(cases[i], place);
      if (summary.finished) summary.markdown = Write();
    }
    ShowStatus("");
    Say(summary.finished ? fmt::format("{} models audited: {}/audit.html", cases.size(), out_)
                         : fmt::format("interrupted. Go on with: flashlm audit --out {}", out_));
    summary.audit = audit_;
    return summary;
  }

 private:
  std::string DataFolder() const { return audit_.plan.data.empty() ? FileIn(out_, "data") : audit_.plan.data; }

  // Of one that is to begin.
  void RefuseWhatIsWrong(const AuditOptions& options) const {
    const double seconds = options.seconds.value_or(kAuditSeconds);
    if (seconds < kFewestAuditSeconds) {
      throw UsageError(fmt::format("--time {:g}s is too short for {} models", seconds, AuditCases().size()),
                       "2m shows something, 30m is the default");
    }
    if (!options.data.empty()) DataFingerprint(options.data);
    if (!IsFolder(out_)) return;
    for (const auto& entry : std::filesystem::directory_iterator(out_)) {
      const std::string name = entry.path().filename().string();
      // What an audit has that was interrupted before it had a plan.
      if (name == "data" || name == "data.tmp" || name == ".lock") continue;
      throw UsageError(fmt::format("'{}' holds something else than an audit: {}", out_, name),
                       "choose a new folder with --out");
    }
  }

  void Begin(const AuditOptions& options, const Stopwatch& watch) {
    AuditPlan& plan = audit_.plan;
    plan.seconds = options.seconds.value_or(kAuditSeconds);
    if (options.data.empty()) {
      PrepareOptions prepare;
      prepare.out = FileIn(out_, "data");
      prepare.vocab = kOwnVocab;
      PrepareData(prepare);
    } else {
      plan.data = AbsolutePath(options.data);
    }
    plan.data_fingerprint = DataFingerprint(DataFolder());
    plan.vocab = TokenData(DataFolder(), "valid").vocab_size();
    const double needed = watch.Seconds() + FitIntoTime(plan.seconds - watch.Seconds(), plan);
    WriteFileAtomic(FileIn(out_, "settings.json"), ToText(ToJson(plan), 2) + "\n");
    Say(fmt::format("{} models of the same size, each: {} steps on text, {} on random tokens, {} sequences scored",
                    AuditCases().size(), plan.steps, plan.random_steps, plan.sequences));
    if (needed > 1.1 * plan.seconds) {
      Say(fmt::format("less would show nothing: this takes about {} here, not {}", FormatDuration(needed),
                      FormatDuration(plan.seconds)));
    }
  }

  void GoOn(const AuditOptions& options) {
    const std::string path = FileIn(out_, "settings.json");
    audit_.plan = AuditPlanFromJson(ReadJsonFile(path), path);
    AuditPlan& plan = audit_.plan;
    if (options.seconds && *options.seconds != plan.seconds) {
      throw UsageError(fmt::format("--time {} does not agree with the audit in '{}', which has {}",
                                   FormatDuration(*options.seconds), out_, FormatDuration(plan.seconds)),
                       "leave it out to go on, or start another audit with another --out");
    }
    const DataPlace kept{plan.data.empty() ? AbsolutePath(DataFolder()) : plan.data, plan.data_fingerprint};
    const std::string found = FindData(kept, options.data, fmt::format("the audit in '{}'", out_)).folder;
    if (!options.data.empty()) plan.data = found;
  }

  // False if interrupted.
  bool One(const AuditCase& one, const std::string& place) {
    const std::string folder = FileIn(FileIn(out_, "runs"), one.name), path = FileIn(folder, "result.json");
    Say(place);
    if (Exists(path)) {
      Say("  done before");
      audit_.results.push_back(AuditResultFromJson(ReadJsonFile(path), path));
      return true;
    }
    MakeFolder(folder);
    const std::optional<AuditResult> result = Measure(one, folder, place);
    if (!result) return false;
    WriteFileAtomic(path, ToText(ToJson(*result), 2) + "\n");
    audit_.results.push_back(*result);
    return true;
  }

  // Null if interrupted.
  std::optional<AuditResult> Measure(const AuditCase& one, const std::string& folder, const std::string& place) const {
    const AuditPlan& plan = audit_.plan;
    const TextRun run = TrainOnText(one, plan, DataFolder(), folder, place);
    if (!run.finished) return std::nullopt;
    Model& model = *run.model;
    AuditResult result;
    result.name = one.name;
    result.parameters = model.bank().ParameterCount();
    result.tokens = run.tokens;
    result.seconds = run.seconds;
    result.curve = run.curve;
    result.reported_offset = one.defects.double_shift ? 2 : 1;

    const Tokenizer tokenizer = Tokenizer::Load(DataFolder() + "/tokenizer.json");
    const AuditText text(TokenData(DataFolder(), "valid"), tokenizer, plan.sequences, AuditPlan::kLength);
    const auto reported = ReadAtOnce(model, text, result.reported_offset);
    const auto truth = reported ? ReadByPrefix(model, text, place) : std::nullopt;
    const auto random = truth ? TrainOnRandomTokens(one.defects, plan.random_steps, place) : std::nullopt;
    const auto counted = random ? CountOn(one.defects, kCounted) : std::nullopt;
    if (!counted) return std::nullopt;
    result.reported = *reported;
    result.truth = *truth;
    result.random = *random;
    result.counted = *counted;
    result.leak = LeakOf(model, AuditPlan::kLength / 2);
    result.prompt = kPrompt;
    result.sample = WriteSample(model, tokenizer, kPrompt, AuditPlan::kLength, kSampleTokens);
    return result;
  }

  // Returns the Markdown.
  std::string Write() const {
    std::string markdown = AuditMarkdown(audit_);
    WriteFileAtomic(FileIn(out_, "audit.json"), ToText(ToJson(audit_), 2) + "\n");
    WriteFileAtomic(FileIn(out_, "audit.md"), markdown);
    WriteFileAtomic(FileIn(out_, "audit.html"), AuditHtml(audit_));
    WriteFileAtomic(FileIn(out_, "audit.svg"), AuditSvg(audit_));
    return markdown;
  }

  std::string out_;
  FolderLock lock_;
  Audit audit_;
};

}  // namespace

AuditSummary RunAudit(const AuditOptions& options) { return Auditing(options).Go(); }

}  // namespace flashlm
