// flashlm inspect
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "cli/verbs.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "models/presets.h"
#include "train/config.h"

namespace flashlm::cli {
namespace {

struct Options {
  std::string folder, preset;
  bool json = false;
};

Json Describe(const Options& options, Model& model) {
  Json json;
  json["preset"] = options.preset;
  json["architecture"] = model.architecture();
  json["parameters"] = model.bank().ParameterCount();
  json["ternary_parameters"] = model.bank().TernaryCount();
  const auto mb = [&](double floats) { return floats * 4 * static_cast<double>(model.bank().size()) / 1048576; };
  json["memory_mb"] = {{"parameters", mb(1)}, {"training", mb(4)}};
  json["training_flops_per_token"] = model.TrainingFlopsPerToken();
  json["config"] = model.config();
  for (const ParamInfo& info : model.bank().infos()) {
    json["tensors"].push_back({{"name", info.name},
                               {"shape", info.shape},
                               {"parameters", info.size},
                               {"role", NameOf(info.role)},
                               {"bytes", info.size * 4}});
  }
  return json;
}

void Run(const Options& options) {
  if (options.folder.empty() == options.preset.empty()) {
    throw UsageError("inspect needs a run or model folder, or --preset NAME");
  }
  const Json config = options.preset.empty() ? OpenCheckpoint(options.folder, OpenFor::kInference).config
                                             : LoadPreset(options.preset).at("model");
  const std::unique_ptr<Model> model = MakeModel(config, false);
  const Json json = Describe(options, *model);
  if (options.json) return PrintJson(json);
  std::string table = fmt::format("{:<44}{:>14}{:>12}  {}\n", "tensor", "shape", "parameters", "role");
  for (const Json& tensor : json["tensors"]) {
    table += fmt::format("{:<44}{:>14}{:>12}  {}\n", tensor["name"].get<std::string>(), tensor["shape"].dump(),
                         tensor["parameters"].get<int64_t>(), tensor["role"].get<std::string>());
  }
  Print(fmt::format("{}{}: {} parameters (0 ternary), {:.0f} MB as f32, {:.0f} MB with gradients and moments, {:.1f} "
                    "MFLOP per trained token\n",
                    table, model->architecture(), model->bank().ParameterCount(),
                    json["memory_mb"]["parameters"].get<double>(), json["memory_mb"]["training"].get<double>(),
                    model->TrainingFlopsPerToken() / 1e6));
}

}  // namespace

void AddInspect(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("inspect", "parameters and memory of a preset or a trained model");
  auto options = std::make_shared<Options>();
  verb->add_option("folder", options->folder, "run folder, checkpoint or model folder");
  verb->add_option("--preset", options->preset, "a preset instead");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
