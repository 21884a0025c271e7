#include "compare/compare.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/progress.h"
#include "compare/comparison_report.h"
#include "data/shards.h"
#include "eval/evaluate.h"
#include "infer/decode_speed.h"
#include "infer/generate.h"
#include "infer/loaded_model.h"
#include "kernels/gemm/precision.h"
#include "models/presets.h"
#include "train/run_precision.h"
#include "train/trainer.h"

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

Json SettingsOf(const CompareOptions& options) {
  Json settings;
  settings["data"] = options.data;
  settings["text"] = options.text;
  const Budget budget = options.budget.value_or(Budget::Time("5m"));
  settings["budget"] = {{"kind", budget.kind}, {"amount", budget.amount}};
  settings["seed"] = options.seed.value_or(1);
  settings["sets"] = options.sets;
  settings["presets"] = Json::array();
  return settings;
}

// The types of matrix products, measured once, so that all presets get the same.
Json Precisions() {
  return {{"train", NameOf(kernels::ComputeType("auto", kernels::Work::kTraining))},
          {"decode", NameOf(kernels::ComputeType("auto", kernels::Work::kDecoding))}};
}

// What the caller named again; the rest is null.
Json Expected(const CompareOptions& options) {
  Json expected = Json::object();
  if (!options.data.empty()) expected["data"] = options.data;
  if (!options.text.empty()) expected["text"] = options.text;
  if (options.budget) expected["budget"] = {{"kind", options.budget->kind}, {"amount", options.budget->amount}};
  if (options.seed) expected["seed"] = *options.seed;
  if (!options.sets.empty()) expected["sets"] = options.sets;
  return expected;
}

// Adds presets that are not there yet.
void AddPresets(const std::vector<std::string>& presets, Json& settings) {
  for (const std::string& preset : presets) {
    LoadPreset(preset);  // a name that is none is refused before any work
    const Json& known = settings["presets"];
    const auto same_folder = std::find_if(known.begin(), known.end(), [&](const Json& other) {
      return NameOfPreset(other.get<std::string>()) == NameOfPreset(preset);
    });
    if (same_folder == known.end()) {
      settings["presets"].push_back(preset);
    } else if (*same_folder != preset) {
      throw UsageError(fmt::format("'{}' and '{}' have one name", same_folder->get<std::string>(), preset),
                       "each preset gets a folder by its name: rename one file");
    }
  }
}

// The settings of OUT, made or completed from the options.
Json OpenSettings(const CompareOptions& options) {
  const std::string path = SettingsPath(options.out);
  Json settings;
  std::vector<std::string> presets = options.presets;
  if (fs::exists(path)) {
    settings = ReadJsonFile(path);
    RefuseDisagreement(Expected(options), settings, options.out);
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
  if (!settings.contains("precision")) settings["precision"] = Precisions();
  ReadDataMeta(settings.at("data").get<std::string>());
  const std::string text = settings.at("text").get<std::string>();
  if (!text.empty()) MappedFile{text};
  return settings;
}

RunConfig ConfigOf(const Json& settings, const std::string& preset) {
  Json document = LoadPreset(preset);
  for (const Json& set : settings.at("sets")) ApplyOverride(set.get<std::string>(), document);
  RunConfig config = RunConfig::FromDocument(document, preset);
  config.data = settings.at("data").get<std::string>();
  if (config.train.precision == "auto") config.train.precision = settings.at("precision").at("train");
  TakeVocabularyOfData(config);
  config.seed = settings.at("seed").get<uint64_t>();
  config.budget = {settings.at("budget").at("kind").get<std::string>(),
                   settings.at("budget").at("amount").get<double>()};
  return config;
}

// --- one preset, in a process of its own --------------------------------------------------------------------------

struct LoggedStep {
  double tokens, seconds;  // up to and with it; of training alone, without evaluations and checkpoints
  double bits_per_byte;
};

std::vector<LoggedStep> ReadLog(const std::string& path) {
  std::vector<LoggedStep> steps;
  std::istringstream lines(ReadFile(path));
  double seconds = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step")) continue;
    seconds += 1e-3 * json.at("step_ms").get<double>();
    // JSON has no NaN: a loss that was not finite is null there.
    const Json& loss = json.at("bits_per_byte");
    steps.push_back({json.at("tokens").get<double>(), seconds, loss.is_number() ? loss.get<double>() : std::nan("")});
  }
  return steps;
}

// Means over equal runs of steps.
Json CurveOf(const std::vector<LoggedStep>& steps) {
  const size_t points = std::min(steps.size(), kCurvePoints);
  Json curve = Json::array();
  for (size_t p = 0; p < points; ++p) {
    const size_t begin = p * steps.size() / points, end = (p + 1) * steps.size() / points;
    LoggedStep mean{};
    for (size_t i = begin; i < end; ++i) {
      mean.tokens += steps[i].tokens;
      mean.seconds += steps[i].seconds;
      mean.bits_per_byte += steps[i].bits_per_byte;
    }
    const auto count = static_cast<double>(end - begin);
    curve.push_back({{"tokens", mean.tokens / count},
                     {"seconds", mean.seconds / count},
                     {"bits_per_byte", mean.bits_per_byte / count}});
  }
  return curve;
}

// The row of a run that is done.
Json Measure(const Json& settings, const std::string& preset, const std::string& run, const Json& results) {
  LoadedModel loaded = LoadModel(run);
  Model& model = *loaded.model;
  const DType dtype = SessionType(results.at("precision").get<std::string>());
  const DType decoding =
      kernels::ComputeType(settings.at("precision").at("decode").get<std::string>(), kernels::Work::kDecoding);
  const auto count = static_cast<double>(model.bank().ParameterCount());
  Json row;
  row["preset"] = NameOfPreset(preset);
  row["architecture"] = model.architecture();
  row["parameters"] = model.bank().ParameterCount();
  row["ternary_share"] = static_cast<double>(model.bank().TernaryCount()) / count;
  for (const char* key : {"tokens", "steps", "epochs", "skipped_steps", "causal_check_max_abs", "peak_rss_mb", "cpu",
                          "threads", "isa", "precision", "git_revision"}) {
    row[key] = results.at(key);
  }
  row["seconds"] = 60 * results.at("time_min").get<double>();
  const std::vector<LoggedStep> steps = ReadLog(run + "/log.jsonl");
  if (!steps.empty()) row["tokens_per_s"] = steps.back().tokens / steps.back().seconds;
  row["curve"] = CurveOf(steps);
  row["bits_per_byte"] = results.at("val_bits_per_byte");
  row["stderr_bits_per_byte"] = results.at("stderr");
  row["nats_per_token"] = results.at("val_nats");
  row["documents"] = results.at("documents_evaluated");
  const std::string text = settings.at("text").get<std::string>();
  if (!text.empty()) {
    EvalOptions options;
    options.interactive = true;
    const EvalResult eval = EvaluateFile(model, dtype, loaded.tokenizer, text, "", options);
    row["bits_per_byte"] = eval.bits_per_byte();
    row["stderr_bits_per_byte"] = eval.stderr_bits_per_byte;
    row["nats_per_token"] = eval.nats_per_token();
    row["documents"] = eval.documents;
  }
  row["decode_tokens_per_s"] = MeasureDecoding(model, decoding, 1, kDecodedTokens).tokens_per_s;
  Session session(model, decoding);
  GenerateOptions generate;
  generate.max_tokens = kSampleTokens;
  generate.sampler.seed = settings.at("seed").get<int64_t>();
  row["prompt"] = kPrompt;
  row["sample"] = Generate(session, loaded.tokenizer, kPrompt, generate, {}).text;
  return row;
}

// Trains or goes on, then measures. Null if interrupted.
Json TrainAndMeasure(const Json& settings, const std::string& preset, const std::string& run) {
  const RunConfig config = ConfigOf(settings, preset);
  const std::string results_path = run + "/results.json";
  Json results;
  if (fs::exists(results_path)) {
    results = ReadJsonFile(results_path);
  } else {
    const bool begun = fs::exists(run + "/config.toml");
    const TrainSummary summary = begun ? Resume(run, config.ToJson()) : Train(config, run);
    if (!summary.finished) return nullptr;
    results = summary.results;
  }
  return Measure(settings, preset, run, results);
}

// {"row": ...}, {"error": ...} or {"interrupted": true}: what the process of a preset says to its parent.
std::string Report(const Json& settings, const std::string& preset, const std::string& run) {
  Json report;
  try {
    Json row = TrainAndMeasure(settings, preset, run);
    if (row.is_null()) {
      report["interrupted"] = true;
    } else {
      report["row"] = std::move(row);
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
Json Ranked(std::vector<Json> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const Json& a, const Json& b) {
    const auto key = [](const Json& row) {
      return row.contains("error") || !row["bits_per_byte"].is_number() ? HUGE_VAL : row["bits_per_byte"].get<double>();
    };
    return key(a) < key(b);
  });
  return Json(rows);
}

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options) : out_(options.out) {
    settings_ = OpenSettings(options);
    MakeFolder(out_);
    lock_ = FolderLock(out_);
    WriteFileAtomic(SettingsPath(out_), settings_.dump(2) + "\n");
  }

  CompareSummary Go() {
    CompareSummary summary;
    const Json& presets = settings_.at("presets");
    summary.finished = true;
    for (size_t i = 0; i < presets.size() && summary.finished; ++i) {
      const std::string preset = presets[i].get<std::string>();
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
      rows_.push_back(ReadJsonFile(RowPath(run)));
      return true;
    }
    const ChildResult child = RunInChild([&] { return Report(settings_, preset, run); });
    Json report = Json::parse(child.text, nullptr, false);
    if (!child.problem.empty() || !report.is_object()) report = {{"error", child.problem}};
    if (report.contains("interrupted") || Interrupted()) return false;
    if (report.contains("row")) {
      WriteFileAtomic(RowPath(run), report["row"].dump(2) + "\n");
      rows_.push_back(report["row"]);
    } else {
      Say(fmt::format("  failed: {}", report.value("error", "")));
      rows_.push_back({{"preset", NameOfPreset(preset)}, {"error", report.value("error", "")}});
    }
    return true;
  }

  void WriteTables(CompareSummary& summary) const {
    summary.comparison["format"] = "flashlm-comparison";
    summary.comparison["settings"] = settings_;
    summary.comparison["rows"] = Ranked(rows_);
    summary.failed = static_cast<int>(
        std::count_if(rows_.begin(), rows_.end(), [](const Json& row) { return row.contains("error"); }));
    summary.markdown = ComparisonMarkdown(summary.comparison);
    WriteFileAtomic(out_ + "/comparison.json", summary.comparison.dump(2) + "\n");
    WriteFileAtomic(out_ + "/comparison.md", summary.markdown);
    WriteFileAtomic(out_ + "/comparison.html", ComparisonHtml(summary.comparison));
  }

  std::string out_;
  FolderLock lock_;
  Json settings_;
  std::vector<Json> rows_;
};

}  // namespace

CompareSummary Compare(const CompareOptions& options) { return Comparison(options).Go(); }

}  // namespace flashlm
