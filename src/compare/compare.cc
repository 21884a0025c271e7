#include "compare/compare.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "base/progress.h"
#include "compare/comparison_report.h"
#include "eval/evaluate.h"
#include "infer/decode_speed.h"
#include "infer/generate.h"
#include "infer/loaded_model.h"
#include "kernels/gemm/precision.h"
#include "models/presets.h"
#include "train/data_place.h"
#include "train/run_precision.h"
#include "train/trainer.h"
#include "train/validation.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr char kPrompt[] = "Once upon a time";
constexpr int kSampleTokens = 120, kDecodedTokens = 256;
constexpr size_t kCurvePoints = 160;

// The preset of a .toml file goes by the name of the file.
std::string NameOfPreset(const std::string& preset) {
  return preset.ends_with(".toml") ? fs::path(preset).stem().string() : preset;
}

std::string SettingsPath(const std::string& out) { return out + "/settings.json"; }
std::string RowPath(const std::string& run) { return run + "/comparison.json"; }

// --- what is compared ---------------------------------------------------------------------------------------------

CompareSettings SettingsOf(const CompareOptions& options) {
  CompareSettings settings;
  const DataPlace data = DataIn(options.data);
  settings.data = data.folder;
  settings.data_fingerprint = data.fingerprint;
  if (!options.text.empty()) {
    settings.text = AbsolutePath(options.text);
    settings.text_sha256 = Sha256OfFile(options.text);
  }
  settings.budget = options.budget.value_or(Budget::Time("5m"));
  settings.seed = options.seed.value_or(1);
  settings.sets = options.sets;
  settings.train_precision = NameOf(kernels::ComputeType("auto", kernels::Work::kTraining));
  settings.decode_precision = NameOf(kernels::ComputeType("auto", kernels::Work::kDecoding));
  return settings;
}

// What the caller named again; the rest is null.
Json Expected(const CompareOptions& options) {
  Json expected = Json::object();
  if (!options.text.empty()) expected["text_sha256"] = Sha256OfFile(options.text);
  if (options.budget) expected["budget"] = options.budget->ToJson();
  if (options.seed) expected["seed"] = *options.seed;
  if (!options.sets.empty()) expected["sets"] = options.sets;
  return expected;
}

// Data and text may have moved since; they must be the same.
void FindAgain(const CompareOptions& options, CompareSettings& settings) {
  const std::string whose = fmt::format("the comparison in '{}'", options.out);
  settings.data = FindData({settings.data, settings.data_fingerprint}, options.data, whose).folder;
  if (!options.text.empty()) settings.text = AbsolutePath(options.text);
  if (settings.text.empty()) return;
  if (!fs::exists(settings.text)) {
    throw Error(fmt::format("the text of {} is no longer '{}'", whose, settings.text),
                "say where it is now: --text NEW_PLACE");
  }
  if (Sha256OfFile(settings.text) != settings.text_sha256) {
    throw Error(fmt::format("'{}' has changed since {} was begun", settings.text, whose),
                "put it back, or compare anew with another --out");
  }
}

// Adds presets that are not there yet.
void AddPresets(const std::vector<std::string>& presets, CompareSettings& settings) {
  for (const std::string& preset : presets) {
    LoadPreset(preset);  // a name that is none is refused before any work
    std::vector<std::string>& known = settings.presets;
    const auto same_folder = std::find_if(known.begin(), known.end(), [&](const std::string& other) {
      return NameOfPreset(other) == NameOfPreset(preset);
    });
    if (same_folder == known.end()) {
      known.push_back(preset);
    } else if (*same_folder != preset) {
      throw UsageError(fmt::format("'{}' and '{}' have one name", *same_folder, preset),
                       "each preset gets a folder by its name: rename one file");
    }
  }
}

// What could not be kept in settings.json, or not be read again by every preset.
void RefuseNames(const CompareOptions& options) {
  RequireUtf8("--data", options.data);
  RequireUtf8("--text", options.text);
  for (const std::string& preset : options.presets) RequireUtf8("--presets", preset);
  if (fs::exists(options.text) && !fs::is_regular_file(options.text)) {
    throw UsageError(fmt::format("--text '{}' is not a regular file, and every preset reads it again", options.text),
                     "write the text to a file and give that");
  }
}

// The settings of OUT, made or completed from the options.
CompareSettings OpenSettings(const CompareOptions& options) {
  const std::string path = SettingsPath(options.out);
  CompareSettings settings;
  std::vector<std::string> presets = options.presets;
  RefuseNames(options);
  if (!options.text.empty()) MappedFile{options.text};  // must be readable
  if (fs::exists(path)) {
    settings = CompareSettingsFromJson(ReadJsonFile(path), path);
    FindAgain(options, settings);
    RefuseDisagreement(Expected(options), ToJson(settings), options.out);
  } else {
    if (options.data.empty()) {
      throw UsageError("compare needs --data DIR", "make it with: flashlm data prepare --input synthetic --out DIR");
    }
    if (fs::exists(options.out) && !fs::is_empty(options.out)) {
      throw UsageError(fmt::format("'{}' holds something that is no comparison", options.out), "choose another --out");
    }
    settings = SettingsOf(options);
    for (const Preset& preset : Presets()) {
      if (options.presets.empty()) presets.push_back(preset.name);
    }
  }
  AddPresets(presets, settings);
  return settings;
}

RunConfig ConfigOf(const CompareSettings& settings, const std::string& preset) {
  Json document = LoadPreset(preset);
  for (const std::string& set : settings.sets) ApplyOverride(set, document);
  RunConfig config = RunConfig::FromDocument(document, preset);
  config.data = settings.data;
  config.data_fingerprint = settings.data_fingerprint;
  if (config.train.precision == "auto") config.train.precision = settings.train_precision;
  TakeVocabularyOfData(settings.sets, config);
  config.seed = settings.seed;
  config.budget = settings.budget;
  return config;
}

// --- one preset, in a process of its own --------------------------------------------------------------------------

// Every step, up to and with it.
std::vector<CurvePoint> ReadLog(const std::string& path) {
  std::vector<CurvePoint> steps;
  std::istringstream lines(ReadFile(path));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step")) continue;
    // JSON has no NaN: a loss that was not finite is null there.
    const Json& loss = json.at("bits_per_byte");
    steps.push_back({json.at("tokens").get<double>(), json.at("seconds").get<double>(),
                     loss.is_number() ? loss.get<double>() : std::nan("")});
  }
  return steps;
}

// Means over equal runs of steps.
std::vector<CurvePoint> CurveOf(const std::vector<CurvePoint>& steps) {
  const size_t points = std::min(steps.size(), kCurvePoints);
  std::vector<CurvePoint> curve;
  for (size_t p = 0; p < points; ++p) {
    const size_t begin = p * steps.size() / points, end = (p + 1) * steps.size() / points;
    CurvePoint mean;
    for (size_t i = begin; i < end; ++i) {
      mean.tokens += steps[i].tokens;
      mean.seconds += steps[i].seconds;
      mean.bits_per_byte += steps[i].bits_per_byte;
    }
    const auto count = static_cast<double>(end - begin);
    curve.push_back({mean.tokens / count, mean.seconds / count, mean.bits_per_byte / count});
  }
  return curve;
}

// The row of a run that is done: of its best model, as a user meets it. results.json has the last one's figures, which
// most often is the best.
ComparisonRow Measure(const CompareSettings& settings, const std::string& preset, const std::string& run,
                      const RunResult& of_last) {
  const LoadedModel loaded = LoadModel(run);
  Model& model = *loaded.model;
  const DType dtype = SessionType(of_last.precision);
  const DType decoding = kernels::ComputeType(settings.decode_precision, kernels::Work::kDecoding);
  ComparisonRow row;
  row.preset = NameOfPreset(preset);
  row.result = of_last;
  row.ternary_share =
      static_cast<double>(model.bank().TernaryCount()) / static_cast<double>(model.bank().ParameterCount());
  row.curve = CurveOf(ReadLog(run + "/log.jsonl"));
  if (loaded.step != of_last.measured_step) row.result.SetCausality(model, dtype, of_last.causal_check_tokens);
  if (!settings.text.empty()) {
    EvalOptions options;
    options.interactive = true;
    const EvalResult eval = EvaluateFile(model, dtype, loaded.tokenizer, settings.text, "", options);
    row.result.SetEvaluation(eval, loaded.step, settings.text);
  } else if (loaded.step != of_last.measured_step) {
    const Validation validation(settings.data);
    const auto documents = static_cast<size_t>(of_last.documents_evaluated);
    const EvalResult eval = Evaluate(model, dtype, loaded.tokenizer, validation.test().first(documents));
    row.result.SetEvaluation(eval, loaded.step, validation.test_name());
  }
  row.decode_tokens_per_s = MeasureDecoding(model, decoding, 1, kDecodedTokens).tokens_per_s;
  Session session(model, decoding);
  GenerateOptions generate;
  generate.max_tokens = kSampleTokens;
  generate.sampler.seed = static_cast<int64_t>(settings.seed);
  row.prompt = kPrompt;
  row.sample = Generate(session, loaded.tokenizer, kPrompt, generate, {}).text;
  return row;
}

// Trains or goes on, then measures. Null if interrupted.
std::optional<ComparisonRow> TrainAndMeasure(const CompareSettings& settings, const std::string& preset,
                                             const std::string& run) {
  const std::string results_path = run + "/results.json";
  RunResult results;
  if (fs::exists(results_path)) {
    results = RunResultFromJson(ReadJsonFile(results_path), results_path);
  } else {
    const RunConfig config = ConfigOf(settings, preset);
    const bool begun = fs::exists(run + "/config.toml");
    Json expected = config.ToJson();
    expected.erase("data");  // may have moved since
    const TrainSummary summary = begun ? Resume(run, {expected, config.data, {}}) : Train(config, run);
    if (!summary.finished) return std::nullopt;
    results = summary.results;
  }
  return Measure(settings, preset, run, results);
}

// {"row": ...}, {"error": ...} or {"interrupted": true}: what the process of a preset says to its parent.
std::string Report(const CompareSettings& settings, const std::string& preset, const std::string& run) {
  Json report;
  try {
    const std::optional<ComparisonRow> row = TrainAndMeasure(settings, preset, run);
    if (row) {
      report["row"] = ToJson(*row);
    } else {
      report["interrupted"] = true;
    }
  } catch (const Error& e) {
    // An interrupted evaluation is an Error; it is not the preset that failed.
    if (Interrupted()) {
      report["interrupted"] = true;
    } else {
      report["error"] = e.OneLine();
    }
  } catch (const std::bad_alloc&) {
    report["error"] = "out of memory";
  } catch (const std::exception& e) {
    report["error"] = e.what();
  }
  return report.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// --- all of them --------------------------------------------------------------------------------------------------

// Best first, then what failed; equal ones as they were asked for.
void Rank(std::vector<ComparisonRow>& rows) {
  const auto key = [](const ComparisonRow& row) {
    const double bits = row.result.val_bits_per_byte;
    return row.failed() || std::isnan(bits) ? HUGE_VAL : bits;
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const ComparisonRow& a, const ComparisonRow& b) { return key(a) < key(b); });
}

class Comparing {
 public:
  explicit Comparing(const CompareOptions& options) : out_(options.out) {
    settings_ = OpenSettings(options);
    MakeFolder(out_);
    lock_ = FolderLock(out_);
    WriteFileAtomic(SettingsPath(out_), ToJson(settings_).dump(2) + "\n");
  }

  CompareSummary Go() {
    CompareSummary summary;
    const std::vector<std::string>& presets = settings_.presets;
    summary.finished = true;
    for (size_t i = 0; i < presets.size() && summary.finished; ++i) {
      const std::string& preset = presets[i];
      Say(fmt::format("[{}/{}] {}", i + 1, presets.size(), NameOfPreset(preset)));
      summary.finished = !Interrupted() && One(preset);
      if (summary.finished) WriteTables(summary);
    }
    if (!summary.finished) {
      Say(fmt::format("interrupted. Go on with: flashlm compare --out {} --resume", out_));
    } else {
      Say(fmt::format("{} presets compared, {} failed: {}/comparison.html", rows_.size(), summary.failed, out_));
    }
    return summary;
  }

 private:
  // False if interrupted.
  bool One(const std::string& preset) {
    const std::string run = out_ + "/" + NameOfPreset(preset);
    if (fs::exists(RowPath(run))) {
      Say("  done before");
      rows_.push_back(ComparisonRowFromJson(ReadJsonFile(RowPath(run)), RowPath(run)));
      return true;
    }
    const ChildResult child = RunInChild([&] { return Report(settings_, preset, run); });
    Json report = Json::parse(child.text, nullptr, false);
    if (!child.problem.empty() || !report.is_object()) report = {{"error", child.problem}};
    if (report.contains("interrupted") || Interrupted()) return false;
    if (report.contains("row")) {
      WriteFileAtomic(RowPath(run), report["row"].dump(2) + "\n");
      rows_.push_back(ComparisonRowFromJson(report["row"], RowPath(run)));
    } else {
      ComparisonRow row;
      row.preset = NameOfPreset(preset);
      row.error = report.value("error", "");
      if (row.error.empty()) row.error = "for no reason that it said";
      Say(fmt::format("  failed: {}", row.error));
      rows_.push_back(row);
    }
    return true;
  }

  void WriteTables(CompareSummary& summary) const {
    summary.comparison = {settings_, rows_};
    Rank(summary.comparison.rows);
    summary.failed =
        static_cast<int>(std::count_if(rows_.begin(), rows_.end(), [](const auto& r) { return r.failed(); }));
    summary.markdown = ComparisonMarkdown(summary.comparison);
    WriteFileAtomic(out_ + "/comparison.json", ToJson(summary.comparison).dump(2) + "\n");
    WriteFileAtomic(out_ + "/comparison.md", summary.markdown);
    WriteFileAtomic(out_ + "/comparison.html", ComparisonHtml(summary.comparison));
  }

  std::string out_;
  FolderLock lock_;
  CompareSettings settings_;
  std::vector<ComparisonRow> rows_;
};

}  // namespace

CompareSummary Compare(const CompareOptions& options) { return Comparing(options).Go(); }

}  // namespace flashlm
