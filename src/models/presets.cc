#include "models/presets.h"

#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"

namespace flashlm {
namespace {

bool IsFile(const std::string& name) { return name.ends_with(".toml"); }

// What the TOML `name` means by `other`: what ships under that name, or a file beside it.
std::string Beside(const std::string& name, const std::string& other) {
  return IsFile(other) ? (std::filesystem::path(name).parent_path() / other).string() : other;
}

// `kind`: "preset" or "recipe"; what ships of it lies in the folder of its plural.
Json Load(const std::string& kind, const std::string& name, const std::vector<ShippedToml>& shipped) {
  if (IsFile(name)) return ParseToml(ReadFile(name), name);
  std::vector<std::string> known;
  for (const ShippedToml& one : shipped) {
    if (one.name == name) return ParseToml(one.toml, fmt::format("{}s/{}.toml", kind, name));
    known.push_back(one.name);
  }
  throw UsageError(fmt::format("unknown {} '{}'", kind, name), NearestHint(name, known));
}

Json LoadRecipe(const std::string& name) {
  Json lines = Load("recipe", name, Recipes());
  for (const auto& [section, content] : lines.items()) {
    if (section != "optim" && section != "train") {
      throw UsageError(fmt::format("recipe '{}': '{}' is not for a recipe", name, section),
                       "a recipe holds [optim] and [train], which any model can be trained with");
    }
  }
  return lines;
}

// The recipe that a preset names itself; "": none. That of a file may be a file beside it.
std::string OwnRecipe(const Json& preset, const std::string& name) {
  if (!preset.contains("recipe")) return "";
  if (!preset["recipe"].is_string() || preset["recipe"].get_ref<const std::string&>().empty()) {
    throw UsageError(fmt::format("preset '{}': recipe = {} names none", name, preset["recipe"].dump()),
                     "for example recipe = \"modern\"");
  }
  return Beside(name, preset["recipe"]);
}

// The lines of `lower`, section by section, with those of `upper` in their place or beside them.
Json Overlay(Json lower, const Json& upper) {
  for (const auto& [section, content] : upper.items()) {
    Json& below = lower[section];
    if (below.is_object() && content.is_object()) {
      below.update(content);
    } else {
      below = content;
    }
  }
  return lower;
}

// The sizes of a family may be files beside it.
void FindSizes(const std::string& name, Json& sizes) {
  if (!sizes.is_array()) return;
  for (Json& size : sizes) {
    if (size.is_string()) size = Beside(name, size);
  }
}

}  // namespace

Json LoadPreset(const std::string& name, const std::string& recipe) {
  Json preset = Load("preset", name, Presets());
  if (IsFamily(preset)) {
    FindSizes(name, preset["sizes"]);
    return preset;
  }
  const std::string used = recipe.empty() ? OwnRecipe(preset, name) : recipe;
  preset.erase("recipe");
  if (used.empty()) return preset;
  Json document = {{"recipe", used}};
  const Json lines = LoadRecipe(used);
  document.update(recipe.empty() ? Overlay(lines, preset) : Overlay(preset, lines));
  return document;
}

bool IsFamily(const Json& document) { return document.contains("sizes"); }

void RefuseFamily(const Json& document, const std::string& name) {
  if (!IsFamily(document)) return;
  throw UsageError(fmt::format("'{}' is a family, of which a training budget chooses the size", name),
                   fmt::format("name one of its sizes: {}", document["sizes"].dump()));
}

Json LoadPresetModel(const std::string& name, const std::vector<std::string>& assignments) {
  Json document = LoadPreset(name);
  RefuseFamily(document, name);
  for (const std::string& assignment : assignments) {
    ApplyOverride(assignment, document);
    if (!assignment.starts_with("model.")) {
      throw UsageError(fmt::format("--set {}: only model.KEY=VALUE counts here", assignment),
                       "nothing is trained: [train] and [optim] are not looked at");
    }
  }
  if (!document.contains("model")) throw UsageError(fmt::format("{}: no section [model]", name));
  return document["model"];
}

std::string PresetsHelp() {
  std::map<std::string, std::string> by_recipe;
  for (const Preset& preset : Presets())
    by_recipe[LoadPreset(preset.name).value("recipe", "none")] += " " + preset.name;
  std::string text = "presets: by their recipe\n";
  for (const auto& [recipe, presets] : by_recipe) text += fmt::format("  {:<20}{}\n", recipe, presets);
  text += "\nrecipes: for --recipe\n";
  for (const Recipe& recipe : Recipes()) {
    text += fmt::format("  {:<20} {}\n", recipe.name, recipe.toml.substr(2, recipe.toml.find('\n') - 2));
  }
  return text;
}

}  // namespace flashlm
