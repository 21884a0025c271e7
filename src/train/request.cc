#include "train/request.h"

#include <filesystem>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cluster/launch.h"
#include "infer/loaded_model.h"
#include "models/extras.h"
#include "models/presets.h"
#include "train/agreement.h"
#include "train/data_place.h"
#include "train/family.h"
#include "train/trainer.h"

namespace flashlm {
namespace {

// The [model] of a trained model, for a run that starts from it. What was counted beside it is counted anew.
void TakeModel(const std::string& path, Json& document) {
  document["model"] = LoadModel(path).model->config();
  document["model"].erase(kNGramChecksum);
}

RunConfig ConfigOf(const TrainRequest& request) {
  if (!request.start.empty() && request.preset.empty()) {
    throw UsageError("--start needs --preset", "the model is that of --start; the preset says how to train it");
  }
  std::string preset = request.preset.empty() ? "flagship" : request.preset;
  Json document = LoadPreset(preset, request.recipe);
  Budget budget = request.budget.Total().value_or(Budget::Time("10m"));
  if (IsFamily(document)) {
    RefuseRunIn(request.out);  // before the machine is measured
    const SizeChoice choice = ChooseSize(document, preset, {budget, request.recipe, request.data, request.sets, true});
    Say("size: " + choice.why);
    preset = choice.preset;
    document = LoadPreset(preset, request.recipe);
    for (const std::string& assignment : choice.sets) ApplyOverride(assignment, document);
    if (choice.tokens > 0) budget = {"tokens", choice.tokens};
  }
  if (!request.start.empty()) TakeModel(request.start, document);
  for (const std::string& assignment : request.sets) ApplyOverride(assignment, document);
  RunConfig config = RunConfig::FromDocument(document, preset);
  config.data = request.data;
  if (!request.start.empty()) config.start = AbsolutePath(request.start);
  TakeVocabularyOfData(request.sets, config);
  config.seed = request.seed.value_or(1);
  config.budget = budget;
  RefuseIdleSettings(config, request.sets);
  return config;
}

// Whether the budget chooses the size of what is asked for, by measuring how fast it trains here.
bool AsksForFamily(const TrainRequest& request) {
  return IsFamily(LoadPreset(request.preset.empty() ? "flagship" : request.preset));
}

// The same configuration on all ranks; what the machine chooses is rank 0's choice.
RunConfig SharedConfigOf(const TrainRequest& request) {
  Ranks* const ranks = CurrentRanks();
  RunConfig config;
  bool takes = false;  // rank 0's
  Together(ranks, [&] {
    takes = ranks != nullptr && !ranks->first() && AsksForFamily(request);
    if (!takes) config = ConfigOf(request);
  });
  if (ranks == nullptr) return config;
  const std::string text = ranks->Broadcast(ranks->first() ? config.ToJson().dump() : "");
  if (takes) {
    config = RunConfig::FromJson(ParseJson(text, "rank 0"));
    config.data = request.data;
  }
  return config;
}

// What ranks must have been asked for alike; where files and folders lie is each machine's own business.
Json AskedFor(const TrainRequest& request) {
  Json asked = {{"verb", "train"},
                {"preset", std::filesystem::path(request.preset).filename()},
                {"recipe", std::filesystem::path(request.recipe).filename()},
                {"resume", !request.resume.empty()},
                {"start", !request.start.empty()},
                {"time", request.budget.time},
                {"hours", request.budget.hours},
                {"tokens", request.budget.tokens},
                {"steps", request.budget.steps}};
  if (request.seed) asked["seed"] = *request.seed;
  for (const std::string& assignment : request.sets) ApplyOverride(assignment, asked);
  return asked;
}

// What was named again beside the run to resume, in the form of RunConfig::ToJson; Resume refuses what differs.
Json Expected(const TrainRequest& request) {
  Json expected = Json::object();
  if (!request.preset.empty()) {
    // First what matters most: a checkpoint of one architecture is of no use to another.
    const Json document = LoadPreset(request.preset);
    if (!IsFamily(document)) {
      expected["model"]["architecture"] = document.at("model").value("architecture", Json());
      expected["preset"] = request.preset;
    }
  }
  if (!request.recipe.empty()) expected["recipe"] = request.recipe;
  if (request.seed) expected["seed"] = *request.seed;
  for (const std::string& assignment : request.sets) ApplyOverride(assignment, expected);
  return expected;
}

}  // namespace

std::optional<BudgetChange> BudgetWords::Change() const {
  const int given = !time.empty() + !hours.empty() + !tokens.empty() + !steps.empty();
  if (given > 1) throw UsageError("more than one of --time, --hours, --tokens and --steps", "a run has one budget");
  const auto change = [](const std::string& text, Budget (*parse)(const std::string&)) {
    const bool added = text.starts_with('+');
    return BudgetChange{parse(added ? text.substr(1) : text), added};
  };
  if (!time.empty()) return change(time, Budget::Time);
  if (!hours.empty()) return change(hours, Budget::Hours);
  if (!tokens.empty()) return change(tokens, Budget::Tokens);
  if (!steps.empty()) return change(steps, Budget::Steps);
  return std::nullopt;
}

std::optional<Budget> BudgetWords::Total() const {
  const std::optional<BudgetChange> change = Change();
  if (!change) return std::nullopt;
  if (change->added) throw UsageError("a budget with a + is for a run that goes on", "leave out the +");
  return change->budget;
}

TrainSummary TrainAsRequested(const TrainRequest& request, RunHooks hooks) {
  if (Ranks* const ranks = CurrentRanks()) {
    Json asked;
    ranks->Together([&] { asked = AskedFor(request); });
    RequireSameRequest(*ranks, asked);
  }
  const std::optional<BudgetChange> budget = request.budget.Change();  // what is wrong with it is said first
  if (request.seed && *request.seed > INT64_MAX) {  // config.toml, and the sampler, have signed numbers
    throw UsageError(fmt::format("--seed {}: out of range", *request.seed), "0 to 9223372036854775807");
  }
  if (!request.resume.empty()) {
    if (!request.out.empty()) throw UsageError("--out and --resume together", "--resume RUN goes on in RUN");
    if (!request.start.empty()) throw UsageError("--start and --resume together", "a run goes on from its checkpoint");
    return Resume(request.resume, {Expected(request), request.data, budget}, std::move(hooks));
  }
  if (request.data.empty() || request.out.empty()) {
    throw UsageError("train needs --data DIR and --out RUN, or --resume RUN",
                     "make the data with: flashlm data prepare --input synthetic --out DIR");
  }
  RefuseStandardOutput("--out", request.out);
  return Train(SharedConfigOf(request), request.out, std::move(hooks));
}

}  // namespace flashlm
