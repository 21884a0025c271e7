#include "compare/scaling.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "compare/compare.h"
#include "compare/scaling_report.h"
#include "compare/settings.h"
#include "data/shards.h"
#include "models/presets.h"
#include "models/registry.h"
#include "train/trainer.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokens[] = {500'000, 2'000'000, 6'000'000};
constexpr int64_t kStepsOf[] = {1024, 2048, 4096};

std::string GridPath(const std::string& out) { return out + "/grid.json"; }

// Presets by their names, files from wherever they are asked for; families are their sizes.
std::vector<std::string> SizesOf(const std::vector<std::string>& presets) {
  std::vector<std::string> sizes;
  for (const std::string& preset : presets) {
    RequireUtf8("--presets", preset);
    const Json document = LoadPreset(preset);
    Json names = Json::array({preset});
    if (IsFamily(document)) names = document["sizes"];
    for (const Json& name : names.is_array() ? names : Json::array()) {
      if (!name.is_string()) {
        throw UsageError(fmt::format("{}: sizes holds {}, not a preset's name", preset, name.dump()));
      }
      const auto size = name.get<std::string>();
      sizes.push_back(size.ends_with(".toml") ? AbsolutePath(size) : size);
    }
  }
  return sizes;
}

template <class T, class List>
void Join(const List& more, std::vector<T>& values) {
  for (const T& value : more) {
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
}

// What is asked for, and what is there.
ScalingGrid OpenGrid(const ScalingOptions& options) {
  ScalingGrid grid;
  RequireUtf8("--data", options.data);
  if (const std::string path = GridPath(options.out); fs::exists(path)) {
    grid = ScalingGridFromJson(ReadJsonFile(path), path);
    grid.data = FindData(grid.data, options.data, fmt::format("the grid in '{}'", options.out));
  } else {
    if (options.data.empty()) {
      throw UsageError("scaling needs --data DIR", "make it with: flashlm data prepare --input synthetic --out DIR");
    }
    if (fs::exists(options.out) && !fs::is_empty(options.out)) {
      throw UsageError(fmt::format("'{}' holds something that is no grid", options.out), "choose another --out");
    }
    grid.data = DataIn(options.data);
  }
  Join(SizesOf(options.presets), grid.presets);
  Join(options.tokens, grid.tokens);
  Join(options.steps_of, grid.steps_of);
  if (grid.presets.empty()) grid.presets = SizesOf({"flagship"});
  if (grid.tokens.empty()) Join(kTokens, grid.tokens);
  if (grid.steps_of.empty()) Join(kStepsOf, grid.steps_of);
  std::sort(grid.tokens.begin(), grid.tokens.end());
  std::sort(grid.steps_of.begin(), grid.steps_of.end());
  if (!options.text.empty()) grid.text = AbsolutePath(options.text);
  if (!grid.text.empty() && (!grid.runs.empty() || !options.runs.empty())) {
    throw UsageError("--runs and --text do not go together: runs were scored on the test part of their data",
                     "leave --text out, or begin a grid without it");
  }
  if (!options.sets.empty()) grid.sets = options.sets;
  grid.seeds = options.seeds.value_or(grid.seeds);
  return grid;
}

// Weights that a token meets in products.
double WeightsOf(const Json& model) { return MakeModel(model, false)->WeightsInProducts(); }

ScalingRun FinishedRun(const ScalingGrid& grid, const std::string& folder) {
  const std::string results = folder + "/results.json";
  if (!fs::exists(results)) {
    throw UsageError(fmt::format("--runs: '{}' is no finished run: it has no results.json", folder),
                     "a folder that `train --out` made");
  }
  const RunConfig config = ReadRunConfig(folder);
  if (config.data_fingerprint != grid.data.fingerprint) {
    throw UsageError(fmt::format("--runs: '{}' was not trained on the grid's data", folder),
                     fmt::format("its data was in '{}', the grid's is in '{}'", config.data, grid.data.folder));
  }
  const RunResult result = RunResultFromJson(ReadJsonFile(results), results);
  if (result.tokens <= 0 || result.documents_evaluated <= 0 || !(result.val_bits_per_byte > 0)) {
    throw UsageError(fmt::format("--runs: '{}' came to nothing: it read {} tokens and has {} bits per byte", folder,
                                 result.tokens, result.val_bits_per_byte),
                     "leave it out");
  }
  return {folder,
          result.model,
          WeightsOf(config.model),
          static_cast<double>(result.tokens),
          result.val_bits_per_byte,
          result.tok_per_sec,
          config.train.TokensPerStep(),
          result.documents_evaluated};
}

void JoinRuns(const std::vector<std::string>& folders, const std::string& out, ScalingGrid& grid) {
  for (const std::string& named : folders) {
    RequireUtf8("--runs", named);
    const std::string folder = AbsolutePath(named);
    if (folder.starts_with(AbsolutePath(out) + "/")) {
      throw UsageError(fmt::format("--runs: '{}' is of the grid itself", named), "its runs are points already");
    }
    const bool known =
        std::any_of(grid.runs.begin(), grid.runs.end(), [&](const ScalingRun& run) { return run.folder == folder; });
    if (!known) grid.runs.push_back(FinishedRun(grid, folder));
  }
}

// A size that takes so many tokens a step: micro-batches no larger than the preset's, and as many as it takes.
Contender WithSteps(const ScalingGrid& grid, const std::string& preset, int64_t steps_of) {
  Json document = LoadPreset(preset);
  for (const std::string& set : grid.sets) ApplyOverride(set, document);
  const TrainConfig train = RunConfig::FromDocument(document, preset).train;
  const int64_t sequences = steps_of / train.sequence_length;
  if (sequences * train.sequence_length != steps_of || sequences < 1) {
    throw UsageError(fmt::format("--steps-of {}: not a multiple of the {} tokens that sequences of '{}' have", steps_of,
                                 train.sequence_length, preset),
                     "or --set train.sequence_length=LENGTH");
  }
  int64_t micro_batch = std::min<int64_t>(sequences, train.micro_batch);
  while (sequences % micro_batch != 0) --micro_batch;
  return {
      preset,
      "",
      fmt::format("steps-of-{}", steps_of),
      {fmt::format("train.micro_batch={}", micro_batch), fmt::format("train.accumulate={}", sequences / micro_batch)}};
}

class Scaler {
 public:
  explicit Scaler(const ScalingOptions& options) : out_(options.out) {
    scaling_.grid = OpenGrid(options);
    JoinRuns(options.runs, options.out, scaling_.grid);
    for (const ScalingRun& run : grid().runs) CountDocuments(run.documents);
    for (size_t size = 0; size < grid().presets.size(); ++size) {
      for (const int64_t tokens : grid().tokens) {
        for (const int64_t steps_of : grid().steps_of) scaling_.cells.push_back({size, tokens, steps_of, 0, {}, false});
      }
    }
    scaling_.unique = ReadDataMeta(grid().data.folder).at("train").at("tokens").get<double>();
    Weigh();
    SayWhatIsHeld();
    MakeFolder(out_);
    lock_ = FolderLock(out_);
    WriteFileAtomic(GridPath(out_), ToJson(grid()).dump(2) + "\n");
  }

  ScalingSummary Go() {
    ScalingSummary summary;
    for (const int64_t tokens : grid().tokens) {
      Say(fmt::format("== {} tokens", FormatCount(static_cast<double>(tokens))));
      const CompareSummary part = Compare(OptionsOf(tokens));
      if (!part.finished) return summary;
      summary.failed += part.failed;
      TakeIn(tokens, part.comparison);
    }
    FitBest(scaling_);
    summary.finished = true;
    summary.scaling = scaling_;
    summary.markdown = ScalingMarkdown(scaling_);
    WriteFileAtomic(out_ + "/scaling.json", ToText(ToJson(scaling_), 2) + "\n");
    WriteFileAtomic(out_ + "/scaling.md", summary.markdown);
    WriteFileAtomic(out_ + "/scaling.svg", ScalingSvg(scaling_));
    WriteFileAtomic(out_ + "/family.toml", FamilyToml(scaling_));
    Say(fmt::format("train the size that a budget asks for: flashlm train --preset {}/family.toml --time 10m", out_));
    return summary;
  }

 private:
  const ScalingGrid& grid() const { return scaling_.grid; }

  CompareOptions OptionsOf(int64_t tokens) const {
    CompareOptions options;
    options.data = grid().data.folder;
    options.text = grid().text;
    options.out = fmt::format("{}/tokens-{}", out_, tokens);
    options.budget = Budget{"tokens", static_cast<double>(tokens)};
    options.sets = grid().sets;
    options.seeds = grid().seeds;
    options.go_on = fmt::format("flashlm scaling --out {}", out_);
    for (const std::string& preset : grid().presets) {
      for (const int64_t steps_of : grid().steps_of) options.contenders.push_back(WithSteps(grid(), preset, steps_of));
    }
    return options;
  }

  // Makes a model of every size, so that what is wrong with one or with a setting is said before any work.
  void Weigh() {
    CompareSettings settings;
    for (const int64_t tokens : grid().tokens) settings = OpenSettings(OptionsOf(tokens));
    std::vector<double> weights;
    for (const std::string& preset : grid().presets) {
      const Contender contender = WithSteps(grid(), preset, grid().steps_of.front());
      const RunConfig config = ConfigOf(settings, {contender, settings.seed, ""});
      weights.push_back(WeightsOf(config.model));
    }
    for (ScalingCell& cell : scaling_.cells) cell.weights = weights[cell.size];
  }

  // Also refuses a grid that is too small, before any work.
  void SayWhatIsHeld() const {
    std::vector<ScalingPoint> points;
    for (const ScalingCell& cell : scaling_.cells) {
      if (cell.steps_of != grid().steps_of.front()) continue;
      points.push_back({cell.weights, static_cast<double>(cell.tokens), scaling_.unique, 1});
    }
    for (const ScalingRun& run : grid().runs) points.push_back({run.weights, run.tokens, scaling_.unique, 1});
    std::vector<std::string> held;
    try {
      held = FitScalingLaw(points).held;
    } catch (const Error& e) {
      throw UsageError(e.what(), e.hint());
    }
    if (!held.empty()) Say("note: " + HeldText(held));
  }

  void TakeIn(int64_t tokens, const Comparison& comparison) {
    for (ScalingCell& cell : scaling_.cells) {
      if (cell.tokens != tokens) continue;
      const std::string name = WithSteps(grid(), grid().presets[cell.size], cell.steps_of).Name();
      for (const Aggregate& one : comparison.aggregates) {
        if (one.name == name) cell.result = one;
      }
    }
    for (const ComparisonRow& row : comparison.rows) {
      if (row.failed()) continue;
      const RunResult& result = row.result;
      CountDocuments(result.documents_evaluated);
      scaling_.machine = fmt::format("{}, {} threads, {}", result.cpu, result.threads, result.precision);
    }
  }

  void CountDocuments(int64_t documents) {
    const int64_t fewest = scaling_.fewest_documents;
    scaling_.fewest_documents = fewest == 0 ? documents : std::min(fewest, documents);
    scaling_.most_documents = std::max(scaling_.most_documents, documents);
  }

  std::string out_;
  FolderLock lock_;
  Scaling scaling_;
};

}  // namespace

ScalingSummary Scale(const ScalingOptions& options) { return Scaler(options).Go(); }

}  // namespace flashlm
