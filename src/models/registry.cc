#include "models/registry.h"

#include "base/error.h"
#include "models/extras.h"

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

namespace {

// Takes what every architecture can carry out of a model's own fields.
NgramTablesConfig TakeTables(Json& fields) {
  NgramTablesConfig config;
  TakeFields(fields, "model", config);
  config.Validate();
  return config;
}

}  // namespace

void Model::AddTables(const NgramTablesConfig& config, bool takes_input) {
  if (!config_.contains("d_model")) {
    throw UsageError(fmt::format("model.table_*: {} has no d_model, to which tables are added", architecture_));
  }
  const int width = config_.at("d_model").get<int>();
  if (config.place == "output") {
    output_tables_ = std::make_unique<NgramTables>(bank_, "output_tables", config, width);
  } else if (takes_input) {
    input_tables_ = std::make_unique<NgramTables>(bank_, "input_tables", config, width);
  } else {
    throw UsageError(fmt::format("model.table_place = input: {} has no place for n-gram tables there", architecture_),
                     "every architecture has one at table_place=output");
  }
}

std::unique_ptr<Model> MakeModel(const Json& config, bool for_training) {
  if (!config.is_object() || !config.contains("architecture") || !config["architecture"].is_string()) {
    throw UsageError("the model configuration names no architecture", "it needs architecture = \"...\" in [model]");
  }
  const std::string architecture = config["architecture"].get<std::string>();
  const ModelEntry& entry = FindModel(architecture);
  Json fields = config;
  fields.erase("architecture");
  const ModelExtras extras = TakeExtras(fields);
  const NgramTablesConfig tables = TakeTables(fields);
  std::unique_ptr<Model> model = entry.make(fields);
  extras.Write(fields);
  model->architecture_ = entry.name;
  model->config_["architecture"] = entry.name;
  for (const auto& [key, value] : fields.items()) model->config_[key] = value;
  // After the architecture's own parameters, which stay where they were.
  if (extras.ngram_order > 0) {
    if (!fields.contains("d_model")) {
      throw UsageError(fmt::format("model.ngram_order: {} has no d_model, which the gate reads", entry.name));
    }
    model->ngram_ =
        std::make_unique<NGramGate>(model->bank_, extras.ngram_order, model->vocab(), fields.at("d_model").get<int>());
  }
  if (tables.on()) {  // after the architecture's own parameters; its configuration stays as it is without them
    model->AddTables(tables, entry.input_tables);
    model->config_.update(FieldsToJson(tables));
  }
  model->bank_.Allocate(for_training);
  return model;
}

Prediction Model::Predict(Tape& tape, const int32_t* tokens, const int64_t* positions) {
  Prediction prediction = Forward(tape, tokens);
  if (output_tables_ != nullptr) {
    const Tensor hidden = output_tables_->AddTo(tape, tokens, ToF32(tape, prediction.hidden));
    prediction.hidden = ToComputeType(tape, hidden);
  }
  if (ngram_ != nullptr) prediction.ngram = ngram_->Listen(tape, tokens, positions, prediction.hidden);
  return prediction;
}

void Model::SetNGrams(std::shared_ptr<const NGramModel> model, std::shared_ptr<const LeftOut> left_out) {
  FLASHLM_CHECK(ngram_ != nullptr, "{} was made without n-grams", architecture_);
  const std::string checksum = model->checksum();
  const std::string expected = config_.value(kNGramChecksum, "");
  if (model->order() != ngram_->order() || model->vocab() != vocab() || (!expected.empty() && checksum != expected)) {
    throw Error(
        fmt::format("counted {}-grams of {} tokens ({:.12}) are not those of the model: {}-grams of {} ({:.12})",
                    model->order(), model->vocab(), checksum, ngram_->order(), vocab(), expected),
        "they belong to another run, or to other training data");
  }
  config_[kNGramChecksum] = checksum;
  ngram_->Set(std::move(model), std::move(left_out));
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
