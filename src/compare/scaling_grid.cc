#include "compare/scaling_grid.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compare/comparison.h"

namespace flashlm {
namespace {

constexpr char kGridFormat[] = "flashlm-scaling-grid";
constexpr int kGridVersion = 1;

// Null: no run of this size and budget has a result.
ScalingCell* BestCell(Scaling& scaling, size_t size, int64_t tokens) {
  ScalingCell* best = nullptr;
  for (ScalingCell& cell : scaling.cells) {
    if (cell.size != size || cell.tokens != tokens || !std::isfinite(cell.result.bits_per_byte.mean)) continue;
    if (best == nullptr || cell.result.bits_per_byte.mean < best->result.bits_per_byte.mean) best = &cell;
  }
  return best;
}

// The run of a size with the largest budget; null: none has a result.
const ScalingCell* Longest(const Scaling& scaling, size_t size) {
  const ScalingCell* longest = nullptr;
  for (const ScalingCell& cell : scaling.cells) {
    if (cell.size == size && cell.best && (longest == nullptr || cell.tokens > longest->tokens)) longest = &cell;
  }
  return longest;
}

// ScalingLaw::overhead, by the straight line through the sizes' seconds per token (least squares).
double Overhead(const Scaling& scaling) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (size_t size = 0; size < scaling.grid.presets.size(); ++size) {
    const ScalingCell* run = Longest(scaling, size);
    if (run == nullptr || !(run->result.tok_per_sec > 0)) continue;
    const double weights = run->weights, seconds = 1 / run->result.tok_per_sec;
    n += 1, x += weights, y += seconds, xx += weights * weights, xy += weights * seconds;
  }
  const double slope = (n * xy - x * y) / (n * xx - x * x), at_zero = (y - slope * x) / n;
  return slope > 0 && at_zero > 0 ? at_zero / slope : 0;
}

Json CellJson(const Scaling& scaling, const ScalingCell& cell) {
  const Aggregate& result = cell.result;
  Json json = {{"preset", NameOfToml(scaling.grid.presets[cell.size])},
               {"weights", cell.weights},
               {"budget", cell.tokens},
               {"tokens_per_step", cell.steps_of},
               {"seeds", result.seeds},
               {"failed", result.failed}};
  if (result.failed > 0) json["error"] = result.error;
  if (result.without_result()) return json;
  json["params"] = result.params;
  json["tokens"] = result.tokens;
  json["val_bits_per_byte"] = result.bits_per_byte.mean;
  json["stderr_seeds"] = result.bits_per_byte.error;
  json["stderr_documents"] = result.stderr_documents;
  json["tok_per_sec"] = result.tok_per_sec;
  json["best"] = cell.best;
  return json;
}

Json PointsJson(const Scaling& scaling) {
  Json points = Json::array();
  size_t next = 0;
  for (const ScalingCell& cell : scaling.cells) {
    if (!cell.best) continue;
    points.push_back({{"preset", NameOfToml(scaling.grid.presets[cell.size])},
                      {"weights", cell.weights},
                      {"tokens", cell.result.tokens},
                      {"unique_tokens", scaling.unique},
                      {"tokens_per_step", cell.steps_of},
                      {"bits_per_byte", cell.result.bits_per_byte.mean},
                      {"predicted", scaling.Predicted(cell)},
                      {"residual", scaling.fit.residuals[next++]}});
  }
  for (const ScalingRun& run : scaling.grid.runs) {
    Json point = FieldsToJson(run);
    point["unique_tokens"] = scaling.unique;
    point["predicted"] = scaling.Predicted(run);
    point["residual"] = scaling.fit.residuals[next++];
    points.push_back(point);
  }
  return points;
}

}  // namespace

Json ToJson(const ScalingGrid& grid) {
  Json runs = Json::array();
  for (const ScalingRun& run : grid.runs) runs.push_back(FieldsToJson(run));
  return {{"format", kGridFormat},
          {"version", kGridVersion},
          {"data", grid.data.folder},
          {"data_fingerprint", grid.data.fingerprint},
          {"text", grid.text},
          {"sets", grid.sets},
          {"seeds", grid.seeds},
          {"presets", grid.presets},
          {"tokens", grid.tokens},
          {"tokens_per_step", grid.steps_of},
          {"runs", runs}};
}

ScalingGrid ScalingGridFromJson(const Json& json, const std::string& where) {
  try {
    if (json.at("format") != kGridFormat || json.at("version") != kGridVersion) {
      throw Error(fmt::format("'{}' is of another version of FlashLM", where), "begin anew, with another --out");
    }
    ScalingGrid grid;
    grid.data = {json.at("data").get<std::string>(), json.at("data_fingerprint").get<std::string>()};
    grid.text = json.at("text").get<std::string>();
    grid.sets = json.at("sets").get<std::vector<std::string>>();
    grid.seeds = static_cast<int>(IntegerAt(json, "seeds"));
    grid.presets = json.at("presets").get<std::vector<std::string>>();
    grid.tokens = json.at("tokens").get<std::vector<int64_t>>();
    grid.steps_of = json.at("tokens_per_step").get<std::vector<int64_t>>();
    for (const Json& run : json.value("runs", Json::array())) {  // grids of before 2026-11-27 have none
      FieldsFromJson(run, where + ": runs", grid.runs.emplace_back());
    }
    return grid;
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' does not describe a grid: {}", where, e.what()), "begin anew, with another --out");
  }
}

void FitBest(Scaling& scaling) {
  for (ScalingCell& cell : scaling.cells) cell.best = false;
  for (size_t size = 0; size < scaling.grid.presets.size(); ++size) {
    for (const int64_t tokens : scaling.grid.tokens) {
      if (ScalingCell* best = BestCell(scaling, size, tokens)) best->best = true;
    }
  }
  std::vector<ScalingPoint> points;
  for (const ScalingCell& cell : scaling.cells) {
    if (!cell.best) continue;
    points.push_back({cell.weights, cell.result.tokens, scaling.unique, cell.result.bits_per_byte.mean});
  }
  for (const ScalingRun& run : scaling.grid.runs) {
    points.push_back({run.weights, run.tokens, scaling.unique, run.bits_per_byte});
  }
  scaling.fit = FitScalingLaw(points);
  scaling.fit.law.overhead = Overhead(scaling);
}

std::vector<ScalingPrediction> PredictAfter(const Scaling& scaling, double seconds) {
  std::vector<ScalingPrediction> predictions;
  for (size_t size = 0; size < scaling.grid.presets.size(); ++size) {
    const ScalingCell* longest = Longest(scaling, size);
    if (longest == nullptr) continue;
    const double tokens = seconds * longest->result.tok_per_sec;
    predictions.push_back({size, tokens, scaling.law().BitsPerByte(longest->weights, tokens, scaling.unique)});
  }
  return predictions;
}

const ScalingPrediction& BestOf(const std::vector<ScalingPrediction>& predictions) {
  return *std::min_element(predictions.begin(), predictions.end(),
                           [](const auto& a, const auto& b) { return a.bits_per_byte < b.bits_per_byte; });
}

Json ToJson(const Scaling& scaling) {
  Json json = {{"format", "flashlm-scaling"}, {"grid", ToJson(scaling.grid)}, {"unique_tokens", scaling.unique}};
  json["machine"] = scaling.machine;
  json["cells"] = Json::array();
  for (const ScalingCell& cell : scaling.cells) json["cells"].push_back(CellJson(scaling, cell));
  json["points"] = PointsJson(scaling);
  json["law"] = FieldsToJson(scaling.law());
  json["held"] = scaling.fit.held;
  json["rms"] = scaling.fit.rms;
  json["predictions"] = Json::array();
  for (const double seconds : kPredictedSeconds) {
    const ScalingPrediction best = BestOf(PredictAfter(scaling, seconds));
    json["predictions"].push_back({{"seconds", seconds},
                                   {"preset", NameOfToml(scaling.grid.presets[best.size])},
                                   {"tokens", best.tokens},
                                   {"bits_per_byte", best.bits_per_byte}});
  }
  return json;
}

}  // namespace flashlm
