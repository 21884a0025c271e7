#include "compare/comparison.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "base/error.h"

namespace flashlm {
namespace {

// 3: rows are of runs, of which a contender may have several; before there were recipes, variants and seeds.
constexpr int kVersion = 3;

bool IsPlain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || byte >= 0x80 || std::string_view("._-+=,").find(c) != std::string_view::npos;
}

// As a file is called everywhere: what is not a letter or digit becomes '_'. A file of settings goes by its name.
std::string FileName(const std::string& name) {
  std::string safe = NameOfToml(name);
  for (char& c : safe) {
    if (!IsPlain(c)) c = '_';
  }
  if (safe.starts_with('.') || safe.starts_with('-')) safe[0] = '_';
  return safe;
}

Json ToJson(const Contender& contender) {
  return {{"name", contender.Name()},
          {"preset", contender.preset},
          {"recipe", contender.recipe},
          {"variant", contender.variant},
          {"sets", contender.sets}};
}

Contender ContenderFromJson(const Json& json) {
  return {json.at("preset").get<std::string>(), json.at("recipe").get<std::string>(),
          json.at("variant").get<std::string>(), json.at("sets").get<std::vector<std::string>>()};
}

}  // namespace

std::string NameOfToml(const std::string& name) {
  return name.ends_with(".toml") ? std::filesystem::path(name).stem().string() : name;
}

std::string Contender::Name() const {
  std::string name = FileName(preset);
  if (!recipe.empty()) name += "+" + FileName(recipe);
  if (!variant.empty()) name += "+" + FileName(variant);
  return name;
}

Json ToJson(const CompareSettings& settings) {
  Json json;
  json["version"] = kVersion;
  json["data"] = settings.data;
  json["data_fingerprint"] = settings.data_fingerprint;
  json["text"] = settings.text;
  json["text_sha256"] = settings.text_sha256;
  json["budget"] = settings.budget.ToJson();
  json["seed"] = settings.seed;
  json["seeds"] = settings.seeds;
  json["sets"] = settings.sets;
  json["precision"] = {{"train", settings.train_precision},
                       {"products", settings.train_products},
                       {"updates", settings.train_update_products},
                       {"decode", settings.decode_precision}};
  json["sizes"] = Json::object();
  for (const auto& [family, size] : settings.sizes) json["sizes"][family] = size.ToJson();
  json["contenders"] = Json::array();
  for (const Contender& contender : settings.contenders) json["contenders"].push_back(ToJson(contender));
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
    settings.seed = static_cast<uint64_t>(IntegerAt(json, "seed"));
    settings.seeds = static_cast<int>(IntegerAt(json, "seeds"));
    settings.sets = json.at("sets").get<std::vector<std::string>>();
    settings.train_precision = json.at("precision").at("train").get<std::string>();
    settings.train_products = json["precision"].value("products", settings.train_precision);
    settings.train_update_products = json["precision"].value("updates", "auto");
    settings.decode_precision = json.at("precision").at("decode").get<std::string>();
    const Json sizes = json.value("sizes", Json::object());
    for (const auto& [family, size] : sizes.items()) settings.sizes[family] = SizeChoice::FromJson(size);
    for (const Json& contender : json.at("contenders")) settings.contenders.push_back(ContenderFromJson(contender));
    return settings;
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' does not describe a comparison: {}", where, e.what()),
                "compare anew, with another --out");
  }
}

Comparison Conclude(CompareSettings settings, std::vector<ComparisonRow> rows) {
  Comparison comparison{std::move(settings), std::move(rows), {}};
  comparison.aggregates = AggregateRows(comparison.rows);
  std::map<std::string, size_t> rank;
  for (const Aggregate& one : comparison.aggregates) rank.emplace(one.name, rank.size());
  std::stable_sort(comparison.rows.begin(), comparison.rows.end(), [&](const auto& a, const auto& b) {
    return std::pair(rank[a.name], a.result.seed) < std::pair(rank[b.name], b.result.seed);
  });
  return comparison;
}

Json ToJson(const Comparison& comparison) {
  Json json;
  json["format"] = "flashlm-comparison";
  json["settings"] = ToJson(comparison.settings);
  json["aggregates"] = Json::array();
  for (const Aggregate& one : comparison.aggregates) json["aggregates"].push_back(ToJson(one));
  json["rows"] = Json::array();
  for (const ComparisonRow& row : comparison.rows) json["rows"].push_back(ToJson(row));
  return json;
}

}  // namespace flashlm
