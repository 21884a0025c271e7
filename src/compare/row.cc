#include "compare/row.h"

#include "train/known_fields.h"

namespace flashlm {
namespace {

Json Curve(const std::vector<CurvePoint>& curve) {
  Json json = Json::array();
  for (const CurvePoint& point : curve) {
    json.push_back({{"tokens", point.tokens}, {"seconds", point.seconds}, {"bits_per_byte", point.bits_per_byte}});
  }
  return json;
}

}  // namespace

void ComparisonRow::VisitFields(FieldVisitor& v) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  v.Text("name", name, {}, "of the contender");
  v.Text("preset", preset, {}, "name");
  v.Text("recipe", recipe, {}, "name");
  v.Text("variant", variant, {}, "name");
  v.Real("ternary_share", ternary_share, 0, 1, "of the parameters");
  v.Real("decode_tokens_per_s", decode_tokens_per_s, 0, kAny, "of one stream");
  v.Text("prompt", prompt, {}, "of the sample");
  v.Text("sample", sample, {}, "what the model wrote");
}

Json ToJson(const ComparisonRow& row) {
  Json json = {{"name", row.name}, {"preset", row.preset}, {"recipe", row.recipe}, {"variant", row.variant}};
  json["seed"] = row.result.seed;
  if (row.failed()) {
    json["error"] = row.error;
    return json;
  }
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

}  // namespace flashlm
