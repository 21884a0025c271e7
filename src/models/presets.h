// Presets: the named configurations that ship inside the binary (presets/*.toml).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

struct Preset {
  std::string name;
  std::string toml;
};

const std::vector<Preset>& Presets();

// The configuration document {"model": {...}, "train": {...}, "optim": {...}} of a preset, or of a TOML file if `name`
// ends in ".toml". Throws UsageError naming the nearest known preset.
Json LoadPreset(const std::string& name);

// The [model] of a preset with assignments "model.key=value" applied, for MakeModel. Throws UsageError also for an
// assignment to another section, which would change nothing.
Json LoadPresetModel(const std::string& name, const std::vector<std::string>& assignments);

}  // namespace flashlm
