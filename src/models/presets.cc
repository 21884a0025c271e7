#include "models/presets.h"

#include "base/error.h"
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

}  // namespace flashlm
