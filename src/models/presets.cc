#include "models/presets.h"

#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"

namespace flashlm {

Json LoadPreset(const std::string& name) {
  if (name.ends_with(".toml")) return ParseToml(ReadFile(name), name);
  std::vector<std::string> known;
  for (const Preset& preset : Presets()) {
    if (preset.name == name) return ParseToml(preset.toml, "presets/" + name + ".toml");
    known.push_back(preset.name);
  }
  throw UsageError(fmt::format("unknown preset '{}'", name), NearestHint(name, known));
}

Json LoadPresetModel(const std::string& name, const std::vector<std::string>& assignments) {
  Json document = LoadPreset(name);
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

}  // namespace flashlm
