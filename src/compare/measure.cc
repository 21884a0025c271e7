#include "compare/measure.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "eval/evaluate.h"
#include "infer/decode_speed.h"
#include "infer/generate.h"
#include "infer/loaded_model.h"
#include "kernels/gemm/precision.h"
#include "train/run_machine.h"
#include "train/trainer.h"
#include "train/validation.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr char kPrompt[] = "Once upon a time";
constexpr int kSampleTokens = 120, kDecodedTokens = 256;
constexpr size_t kCurvePoints = 160;

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
ComparisonRow Measure(const CompareSettings& settings, const std::string& folder, const RunResult& of_last) {
  const LoadedModel loaded = LoadModel(folder);
  Model& model = *loaded.model;
  const DType dtype = SessionType(of_last.precision);
  const DType decoding = kernels::ComputeType(settings.decode_precision, kernels::Work::kDecoding);
  ComparisonRow row;
  row.result = of_last;
  row.recipe = NameOfToml(loaded.trainer_state.at("run").value("recipe", ""));
  row.ternary_share =
      static_cast<double>(model.bank().TernaryCount()) / static_cast<double>(model.bank().ParameterCount());
  row.curve = CurveOf(ReadLog(folder + "/log.jsonl"));
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

// Null if interrupted.
std::optional<ComparisonRow> TrainAndMeasure(const CompareSettings& settings, const PlannedRun& run,
                                             const std::string& folder) {
  const std::string results_path = folder + "/results.json";
  RunResult results;
  if (fs::exists(results_path)) {
    results = RunResultFromJson(ReadJsonFile(results_path), results_path);
  } else {
    const RunConfig config = ConfigOf(settings, run);
    const bool begun = fs::exists(folder + "/config.toml");
    Json expected = config.ToJson();
    expected.erase("data");  // may have moved since
    const TrainSummary summary = begun ? Resume(folder, {expected, config.data, {}}) : Train(config, folder);
    if (!summary.finished) return std::nullopt;
    results = summary.results;
  }
  return Measure(settings, folder, results);
}

}  // namespace

std::string TrainAndReport(const CompareSettings& settings, const PlannedRun& run, const std::string& folder) {
  Json report;
  try {
    std::optional<ComparisonRow> row = TrainAndMeasure(settings, run, folder);
    if (row) {
      Identify(run, *row);
      report["row"] = ToJson(*row);
    } else {
      report["interrupted"] = true;
    }
  } catch (const Error& e) {
    // An interrupted evaluation is an Error; it is not the run that failed.
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
  return ToText(report);
}

}  // namespace flashlm
