// flashlm inspect
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/verbs.h"
#include "infer/describe.h"
#include "infer/loaded_model.h"
#include "models/presets.h"
#include "optim/optimizer.h"
#include "train/config.h"

namespace flashlm::cli {
namespace {

struct InspectArguments {
  std::string folder, preset, recipe;
  std::vector<std::string> sets;
  bool json = false;
};

void Run(const InspectArguments& options) {
  if (options.folder.empty() == options.preset.empty()) {
    throw UsageError("inspect needs a run or model folder, or --preset NAME");
  }
  if (options.preset.empty() && !options.sets.empty()) throw UsageError("--set changes a preset, not a trained model");
  if (options.preset.empty() && !options.recipe.empty()) {
    throw UsageError("--recipe is for a preset, not for a trained model");
  }
  std::unique_ptr<Model> model;
  std::string preset = options.preset, recipe;
  OptimConfig optim;  // of a folder that does not say: what a preset without [optim] has
  if (options.preset.empty()) {
    LoadedModel loaded = LoadModel(options.folder);
    const Json::json_pointer trained_with("/run/optim");
    if (loaded.trainer_state.contains(trained_with)) {
      FieldsFromJson(loaded.trainer_state.at(trained_with), "optim", optim);
      preset = loaded.trainer_state.at("run").value("preset", "");
      recipe = loaded.trainer_state.at("run").value("recipe", "");
    }
    model = std::move(loaded.model);
  } else {
    model = MakeModel(LoadPresetModel(options.preset, options.sets), false);
    const RunConfig config = RunConfig::FromDocument(LoadPreset(preset, options.recipe), preset);
    optim = config.optim;
    recipe = config.recipe;
    model->bank().Initialize(1);
  }
  Json json;
  json["preset"] = preset;
  json["recipe"] = recipe;
  json.update(DescribeModel(*model, StateSize(optim, model->bank())));
  if (options.json) return PrintJson(json);
  Print(DescriptionTable(json) + (recipe.empty() ? "" : fmt::format("recipe: {}\n", recipe)));
}

}  // namespace

void AddInspect(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("inspect", "parameters, ternary weights and memory of a preset or a trained model");
  auto options = std::make_shared<InspectArguments>();
  verb->add_option("folder", options->folder, "run folder, checkpoint, model folder or packed file");
  verb->add_option("--preset", options->preset, "a preset instead, freshly initialised");
  verb->add_option("--recipe", options->recipe, "a recipe instead of the preset's: what its optimiser remembers");
  AddSettings(*verb, options->sets, "change a setting of the preset, as model.n_layers=8; repeatable");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
