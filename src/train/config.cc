#include "train/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/progress.h"
#include "models/presets.h"

namespace flashlm {
namespace {

struct Unit {
  const char* suffix;
  double factor;
};

// Sums terms such as "1h30m"; every number needs a unit unless `bare_allowed`.
double ParseUnits(const std::string& option, const std::string& text, const std::vector<Unit>& units,
                  bool bare_allowed) {
  const std::string hint = units[0].suffix == std::string("h") ? "for example 10m, 2h or 1h30m" : "for example 10M";
  double total = 0;
  const char* at = text.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    const double number = std::strtod(at, &end);
    const Unit* unit = nullptr;
    for (const Unit& candidate : units) {
      if (*end == candidate.suffix[0]) unit = &candidate;
    }
    const bool bare = bare_allowed && *end == '\0' && at == text.c_str();
    if (end == at || !std::isfinite(number) || number < 0 || (unit == nullptr && !bare)) {
      throw UsageError(fmt::format("{} {}: not understood", option, text), hint);
    }
    total += number * (unit != nullptr ? unit->factor : 1.0);
    at = end + (unit != nullptr ? 1 : 0);
  }
  if (!(total > 0)) throw UsageError(fmt::format("{} {}: must be more than nothing", option, text), hint);
  return total;
}

}  // namespace

Budget Budget::Time(const std::string& text) {
  return {"time", ParseUnits("--time", text, {{"h", 3600}, {"m", 60}, {"s", 1}}, false)};
}

Budget Budget::Hours(const std::string& text) {
  char* end = nullptr;
  const double hours = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(hours > 0) || !std::isfinite(hours)) {
    throw UsageError(fmt::format("--hours {}: must be a number above 0", text), "for example 2 or 0.5");
  }
  return {"time", 3600 * hours};
}

Budget Budget::Tokens(const std::string& text) {
  const double tokens =
      std::floor(ParseUnits("--tokens", text, {{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}}, true));
  constexpr double kMost = 1e15;
  if (!(tokens >= 1 && tokens <= kMost)) {
    throw UsageError(fmt::format("--tokens {}: must be from 1 to {:.0f}", text, kMost), "for example 500k or 10M");
  }
  return {"tokens", tokens};
}

Budget Budget::Steps(const std::string& text) {
  constexpr int64_t kMost = int64_t{1} << 30;
  int64_t steps = 0;
  const char* end = text.data() + text.size();
  const auto [at, code] = std::from_chars(text.data(), end, steps);
  if (code != std::errc() || at != end || steps < 1 || steps > kMost) {
    throw UsageError(fmt::format("--steps {}: must be a whole number from 1 to {}", text, kMost), "for example 500");
  }
  return {"steps", static_cast<double>(steps)};
}

double Budget::Fraction(double seconds, int64_t tokens, int64_t steps) const {
  const double done = kind == "time" ? seconds : static_cast<double>(kind == "tokens" ? tokens : steps);
  return std::min(1.0, done / amount);
}

std::string Budget::ToString() const {
  if (kind == "time") return FormatDuration(amount);
  return fmt::format("{} {}", kind == "tokens" ? FormatCount(amount) : fmt::format("{:.0f}", amount), kind);
}

Json Budget::ToJson() const { return {{"kind", kind}, {"amount", amount}}; }

Budget Budget::FromJson(const Json& json) {
  return {json.at("kind").get<std::string>(), json.at("amount").get<double>()};
}

Json Extension::ToJson() const {
  Json json = budget.ToJson();
  json["from_step"] = from_step;
  json["schedule_begin"] = schedule_begin;
  json["warmup"] = warmup;
  return json;
}

Extension Extension::FromJson(const Json& json) {
  return {Budget::FromJson(json), IntegerAt(json, "from_step"), json.at("schedule_begin").get<double>(),
          json.at("warmup").get<bool>()};
}

double RunConfig::ScheduleFraction(double seconds, int64_t tokens, int64_t steps) const {
  const Extension schedule = Schedule();
  const std::string& kind = schedule.budget.kind;
  const double done = kind == "time" ? seconds : static_cast<double>(kind == "tokens" ? tokens : steps);
  const double begin = schedule.schedule_begin;
  const double fraction = std::clamp((done - begin) / (schedule.budget.amount - begin), 0.0, 1.0);
  return schedule.warmup ? fraction : std::max(fraction, optim.warmup_fraction);
}

RunConfig RunConfig::FromDocument(const Json& document, const std::string& preset) {
  RunConfig config;
  config.preset = preset;
  RefuseFamily(document, preset);
  for (const auto& [section, content] : document.items()) {
    if (section == "model") {
      config.model = content;
    } else if (section == "optim") {
      FieldsFromJson(content, "optim", config.optim);
    } else if (section == "train") {
      FieldsFromJson(content, "train", config.train);
    } else if (section == "recipe") {
      config.recipe = content.get<std::string>();
    } else if (section == "phases") {
      config.phases = PhasesFromJson(content, preset);
    } else {
      throw UsageError(fmt::format("{}: unknown section [{}]", preset, section),
                       NearestHint(section, {"model", "optim", "train", "phases"}));
    }
  }
  if (config.model.is_null()) throw UsageError(fmt::format("{}: no section [model]", preset));
  config.optim.Validate();
  config.train.amplification.Validate();
  config.train.cluster.Validate();
  if (config.train.phases > static_cast<int>(config.phases.size())) {
    throw UsageError(
        fmt::format("{}: train.phases = {}, but it has {} phases", preset, config.train.phases, config.phases.size()),
        "a [[phases]] table for each (docs/spec/training.md), 0 for none, -1 for all");
  }
  if (config.train.phases >= 0) config.phases.resize(static_cast<size_t>(config.train.phases));
  return config;
}

Json RunConfig::ToJson() const {
  Json json;
  json["preset"] = preset;
  if (!recipe.empty()) json["recipe"] = recipe;
  json["data"] = data;
  if (!data_fingerprint.empty()) json["data_fingerprint"] = data_fingerprint;
  json["seed"] = seed;
  if (!start.empty()) json["start"] = start;
  json["budget"] = budget.ToJson();
  if (!extensions.empty()) json["extensions"] = Json::array();
  for (const Extension& extension : extensions) json["extensions"].push_back(extension.ToJson());
  json["model"] = model;
  json["optim"] = FieldsToJson(optim);
  json["train"] = FieldsToJson(train);
  if (!phases.empty()) json["phases"] = Json::array();
  for (const Phase& phase : phases) json["phases"].push_back(phase.ToJson());
  return json;
}

RunConfig RunConfig::FromJson(const Json& json) {
  RunConfig config;
  config.preset = json.at("preset").get<std::string>();
  config.recipe = json.value("recipe", "");
  config.data = json.at("data").get<std::string>();
  config.data_fingerprint = json.value("data_fingerprint", "");
  config.seed = static_cast<uint64_t>(IntegerAt(json, "seed"));
  config.start = json.value("start", "");
  config.budget = Budget::FromJson(json.at("budget"));
  for (const Json& extension : json.value("extensions", Json::array())) {
    config.extensions.push_back(Extension::FromJson(extension));
  }
  config.model = json.at("model");
  FieldsFromJson(json.at("optim"), "optim", config.optim);
  FieldsFromJson(json.at("train"), "train", config.train);
  config.phases = PhasesFromJson(json.value("phases", Json::array()), "config.toml");
  return config;
}

}  // namespace flashlm
