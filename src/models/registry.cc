#include "models/registry.h"

#include "base/error.h"

namespace flashlm {
namespace {

std::vector<ModelEntry>& Entries() {
  static std::vector<ModelEntry> entries;
  return entries;
}

}  // namespace

void RegisterModel(ModelEntry entry) { Entries().push_back(std::move(entry)); }

const std::vector<ModelEntry>& RegisteredModels() { return Entries(); }

const ModelEntry& FindModel(const std::string& name) {
  std::vector<std::string> known;
  for (const ModelEntry& entry : Entries()) {
    if (entry.name == name) return entry;
    known.push_back(entry.name);
  }
  throw UsageError(fmt::format("unknown architecture '{}'", name), NearestHint(name, known));
}

std::unique_ptr<Model> MakeModel(const Json& config, bool for_training) {
  if (!config.is_object() || !config.contains("architecture") || !config["architecture"].is_string()) {
    throw UsageError("the model configuration names no architecture", "it needs architecture = \"...\" in [model]");
  }
  const std::string architecture = config["architecture"].get<std::string>();
  const ModelEntry& entry = FindModel(architecture);
  Json fields = config;
  fields.erase("architecture");
  std::unique_ptr<Model> model = entry.make(fields);
  model->architecture_ = entry.name;
  model->config_["architecture"] = entry.name;
  for (const auto& [key, value] : fields.items()) model->config_[key] = value;
  model->bank_.Allocate(for_training);
  return model;
}

void Model::SetDepth(int depth) {
  throw UsageError(fmt::format("depth {}: {} has no depth to choose", depth, architecture_), "leave it out");
}

double Model::TrainingFlopsPerToken() const {
  double weights = 0;
  for (const ParamInfo& info : bank_.infos()) {
    if (info.role == Role::kMatrix || info.role == Role::kEmbedding) weights += static_cast<double>(info.size);
  }
  return 6.0 * weights;
}

}  // namespace flashlm
