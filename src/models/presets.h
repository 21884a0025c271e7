// Presets and recipes: the named configurations that ship inside the binary (presets/*.toml, recipes/*.toml). A preset
// is a model and how to train it; a recipe is how to train any model: lines of [optim] and [train].
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

struct ShippedToml {
  std::string name;
  std::string toml;
};
using Preset = ShippedToml;
using Recipe = ShippedToml;

const std::vector<Preset>& Presets();
const std::vector<Recipe>& Recipes();

// The configuration document {"recipe": NAME, "model": {...}, "train": {...}, "optim": {...}} of a preset, or of a TOML
// file if `name` ends in ".toml". The recipe that a preset names (recipe = "NAME" or "FILE.toml", which lies beside the
// preset) gives the lines that the preset does not write itself. With `recipe` (likewise; not empty) that one takes its
// place, and its lines override the preset's own; a family comes as it is, with its sizes' files beside its own, since
// they have the recipes. Throws UsageError naming the nearest known preset or recipe.
Json LoadPreset(const std::string& name, const std::string& recipe = "");

// Whether a preset's `document` is that of a family: not a model but names of presets of its sizes (train/family.h).
bool IsFamily(const Json& document);
// Throws UsageError for the document of a family.
void RefuseFamily(const Json& document, const std::string& name);

// The [model] of a preset with assignments "model.key=value" applied, for MakeModel. Throws UsageError also for an
// assignment to another section, which would change nothing.
Json LoadPresetModel(const std::string& name, const std::vector<std::string>& assignments);

// For --help: the presets by their recipe, and what each recipe is (the first line of its file, a comment).
std::string PresetsHelp();

}  // namespace flashlm
