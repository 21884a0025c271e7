#include "compare/comparison.h"

#include "base/error.h"
#include "train/known_fields.h"

namespace flashlm {
namespace {

// 2: rows have the names of results.json, and their figures are those of `best` on the test part.
constexpr int kVersion = 2;

Json Curve(const std::vector<CurvePoint>& curve) {
  Json json = Json::array();
  for (const CurvePoint& point : curve) {
    json.push_back({{"tokens", point.tokens}, {"seconds", point.seconds}, {"bits_per_byte", point.bits_per_byte}});
  }
  return json;
}

}  // namespace

Json ToJson(const CompareSettings& settings) {
  Json json;
  json["version"] = kVersion;
  json["data"] = settings.data;
  json["data_fingerprint"] = settings.data_fingerprint;
  json["text"] = settings.text;
  json["text_sha256"] = settings.text_sha256;
  json["budget"] = settings.budget.ToJson();
  json["seed"] = settings.seed;
  json["sets"] = settings.sets;
  json["precision"] = {{"train", settings.train_precision}, {"decode", settings.decode_precision}};
  json["presets"] = settings.presets;
  return json;
}

CompareSettings CompareSettingsFromJson(const Json& json, const std::string& where) {
  if (!json.is_object() || json.value("version", Json()) != kVersion) {
    throw Error(
        fmt::format("'{}' is of another version of FlashLM, whose figures do not compare with this one's", where),
        "compare anew, with another --out");
  }
  try {
    CompareSettings settings;
    settings.data = json.at("data").get<std::string>();
    settings.data_fingerprint = json.at("data_fingerprint").get<std::string>();
    settings.text = json.at("text").get<std::string>();
    settings.text_sha256 = json.at("text_sha256").get<std::string>();
    settings.budget = Budget::FromJson(json.at("budget"));
    settings.seed = json.at("seed").get<uint64_t>();
    settings.sets = json.at("sets").get<std::vector<std::string>>();
    settings.train_precision = json.at("precision").at("train").get<std::string>();
    settings.decode_precision = json.at("precision").at("decode").get<std::string>();
    settings.presets = json.at("presets").get<std::vector<std::string>>();
    return settings;
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' does not describe a comparison: {}", where, e.what()),
                "compare anew, with another --out");
  }
}

void ComparisonRow::VisitFields(FieldVisitor& v) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  v.Text("preset", preset, {}, "name");
  v.Real("ternary_share", ternary_share, 0, 1, "of the parameters");
  v.Real("decode_tokens_per_s", decode_tokens_per_s, 0, kAny, "of one stream");
  v.Text("prompt", prompt, {}, "of the sample");
  v.Text("sample", sample, {}, "what the model wrote");
}

Json ToJson(const ComparisonRow& row) {
  if (row.failed()) return {{"preset", row.preset}, {"error", row.error}};
  Json json = {{"preset", row.preset}};
  json.update(ToJson(row.result));
  json.update(FieldsToJson(row));
  json["curve"] = Curve(row.curve);
  return json;
}

ComparisonRow ComparisonRowFromJson(const Json& json, const std::string& where) {
  ComparisonRow row;
  KnownFieldsFromJson(json, where, row);
  row.result = RunResultFromJson(json, where);
  row.error = json.value("error", "");
  for (const Json& point : json.value("curve", Json::array())) {
    // JSON has no NaN: a loss that was not finite is null there.
    const Json& loss = point.at("bits_per_byte");
    row.curve.push_back({point.at("tokens").get<double>(), point.at("seconds").get<double>(),
                         loss.is_number() ? loss.get<double>() : RunResult::kUnknown});
  }
  return row;
}

Json ToJson(const Comparison& comparison) {
  Json json;
  json["format"] = "flashlm-comparison";
  json["settings"] = ToJson(comparison.settings);
  json["rows"] = Json::array();
  for (const ComparisonRow& row : comparison.rows) json["rows"].push_back(ToJson(row));
  return json;
}

}  // namespace flashlm
