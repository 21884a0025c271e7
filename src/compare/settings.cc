#include "compare/settings.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "base/progress.h"
#include "kernels/gemm/precision.h"
#include "models/model.h"
#include "models/presets.h"
#include "train/data_place.h"
#include "train/family.h"
#include "train/run_machine.h"
#include "train/trainer.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestName = 200;  // of 255 that a file's may have: a run's seed goes behind it

CompareSettings SettingsOf(const CompareOptions& options) {
  CompareSettings settings;
  const DataPlace data = DataIn(options.data);
  settings.data = data.folder;
  settings.data_fingerprint = data.fingerprint;
  if (!options.text.empty()) {
    settings.text = AbsolutePath(options.text);
    settings.text_sha256 = Sha256OfFile(options.text);
  }
  settings.budget = options.budget.value_or(Budget::Time("5m"));
  settings.seed = options.seed.value_or(1);
  settings.sets = options.sets;
  TrainConfig train;
  ResolvePrecision(train);
  settings.train_precision = train.precision;
  settings.train_products = train.products;
  settings.train_update_products = train.update_products;
  settings.decode_precision = NameOf(kernels::ComputeType("auto", kernels::Work::kDecoding));
  return settings;
}

// What the caller named again; the rest is null.
Json Expected(const CompareOptions& options) {
  Json expected = Json::object();
  if (!options.text.empty()) expected["text_sha256"] = Sha256OfFile(options.text);
  if (options.budget) expected["budget"] = options.budget->ToJson();
  if (options.seed) expected["seed"] = *options.seed;
  if (!options.sets.empty()) expected["sets"] = options.sets;
  return expected;
}

// Data and text may have moved since; they must be the same.
void FindAgain(const CompareOptions& options, CompareSettings& settings) {
  const std::string whose = fmt::format("the comparison in '{}'", options.out);
  settings.data = FindData({settings.data, settings.data_fingerprint}, options.data, whose).folder;
  if (!options.text.empty()) settings.text = AbsolutePath(options.text);
  if (settings.text.empty()) return;
  if (!fs::exists(settings.text)) {
    throw Error(fmt::format("the text of {} is no longer '{}'", whose, settings.text),
                "say where it is now: --text NEW_PLACE");
  }
  if (Sha256OfFile(settings.text) != settings.text_sha256) {
    throw Error(fmt::format("'{}' has changed since {} was begun", settings.text, whose),
                "put it back, or compare anew with another --out");
  }
}

// What could not be kept in settings.json, or not be read again by every run.
void RefuseNames(const CompareOptions& options) {
  RequireUtf8("--data", options.data);
  RequireUtf8("--text", options.text);
  for (const std::string& preset : options.presets) RequireUtf8("--presets", preset);
  for (const std::string& recipe : options.recipes) RequireUtf8("--recipes", recipe);
  for (const std::string& variant : options.variants) RequireUtf8("--variant", variant);
  if (fs::exists(options.text) && !fs::is_regular_file(options.text)) {
    throw UsageError(fmt::format("--text '{}' is not a regular file, and every preset reads it again", options.text),
                     "write the text to a file and give that");
  }
}

struct Variant {
  std::string name;
  std::vector<std::string> sets;
};

// "NAME: key=value key=value"
Variant ParseVariant(const std::string& text) {
  const size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  name.erase(0, name.find_first_not_of(' '));
  name.erase(name.find_last_not_of(' ') + 1);
  if (colon == std::string::npos || name.empty()) {
    throw UsageError(fmt::format("--variant '{}': expected NAME: section.key=value ...", text),
                     "for example --variant \"wide: model.d_model=320\"; \"as it is:\" changes nothing");
  }
  Variant variant{name, {}};
  std::istringstream words(text.substr(colon + 1));
  for (std::string word; words >> word;) variant.sets.push_back(word);
  return variant;
}

std::vector<std::string> PresetsSoFar(const CompareSettings& settings) {
  std::vector<std::string> presets;
  for (const Contender& contender : settings.contenders) {
    if (std::find(presets.begin(), presets.end(), contender.preset) == presets.end()) {
      presets.push_back(contender.preset);
    }
  }
  return presets;
}

// All presets that ship but families, whose sizes are among them.
std::vector<std::string> AllPresets() {
  std::vector<std::string> names;
  for (const Preset& preset : Presets()) {
    if (!IsFamily(LoadPreset(preset.name))) names.push_back(preset.name);
  }
  return names;
}

// ChooseSize in a process of its own: it trains for a moment, and the runs to come are forked from this one.
SizeChoice ChooseSizeApart(const Json& family, const std::string& preset, const SizeRequest& request) {
  const ChildResult child = RunInChild([&] {
    Json answer;
    try {
      answer = ChooseSize(family, preset, request).ToJson();
    } catch (const Error& e) {
      answer = {{"error", e.what()}, {"hint", e.hint()}};
    }
    return answer.dump();
  });
  if (!child.problem.empty()) throw Error(fmt::format("{}: no size was chosen: {}", preset, child.problem));
  const Json answer = Json::parse(child.text);
  if (answer.contains("error")) throw UsageError(answer.at("error"), answer.at("hint"));
  return SizeChoice::FromJson(answer);
}

// A family takes part in the size that the budget asks for here: chosen once, then kept, by the settings of all.
SizeChoice SizeFor(const std::string& preset, const std::string& recipe, CompareSettings& settings) {
  const Json document = LoadPreset(preset);
  if (!IsFamily(document)) return {preset, {}, ""};
  const std::string name = NameOfToml(preset);
  if (!settings.sizes.contains(name)) {
    settings.sizes[name] = ChooseSizeApart(document, preset, {settings.budget, recipe, settings.data, settings.sets});
    Say("size: " + settings.sizes[name].why);
  }
  return settings.sizes[name];
}

// Every preset with every recipe in every variant. Presets that are not named are those so far, or all.
std::vector<Contender> ContendersOf(const CompareOptions& options, CompareSettings& settings) {
  if (!options.contenders.empty()) return options.contenders;
  std::vector<std::string> presets = options.presets, recipes = options.recipes;
  const bool none_named = presets.empty() && recipes.empty() && options.variants.empty();
  if (none_named && !settings.contenders.empty()) return {};
  if (presets.empty()) presets = settings.contenders.empty() ? AllPresets() : PresetsSoFar(settings);
  if (recipes.empty()) recipes = {""};
  std::vector<Variant> variants;
  for (const std::string& text : options.variants) variants.push_back(ParseVariant(text));
  if (variants.empty()) variants.emplace_back();
  std::vector<Contender> contenders;
  for (const std::string& preset : presets) {
    const SizeChoice size = SizeFor(preset, recipes.front(), settings);
    for (const std::string& recipe : recipes) {
      for (const auto& [name, sets] : variants) {
        contenders.push_back({size.preset, recipe, name, size.sets});
        contenders.back().sets.insert(contenders.back().sets.end(), sets.begin(), sets.end());
      }
    }
  }
  return contenders;
}

std::string Describe(const Contender& contender) {
  std::string text = "preset " + contender.preset;
  if (!contender.recipe.empty()) text += ", recipe " + contender.recipe;
  if (!contender.variant.empty()) text += ", variant " + contender.variant;
  for (const std::string& set : contender.sets) text += " " + set;
  return text;
}

// Those of all and the contender's own, which come last and so count.
std::vector<std::string> SetsOf(const CompareSettings& settings, const Contender& contender) {
  std::vector<std::string> sets = settings.sets;
  sets.insert(sets.end(), contender.sets.begin(), contender.sets.end());
  return sets;
}

// A contender's settings applied; what is equal for all is not in it.
RunConfig ConfigOf(const CompareSettings& settings, const Contender& contender) {
  Json document = LoadPreset(contender.preset, contender.recipe);
  for (const std::string& set : SetsOf(settings, contender)) ApplyOverride(set, document);
  return RunConfig::FromDocument(document, contender.preset);
}

// What is wrong with its settings is said before any work.
void RefuseWrongSettings(const CompareSettings& settings, const Contender& contender) {
  try {
    RunConfig config = ConfigOf(settings, contender);
    RefuseIdleSettings(config, SetsOf(settings, contender));
    // A preset that is wrong itself fails alone, when its turn comes; a variant's settings are the caller's.
    if (contender.sets.empty()) return;
    config.data = settings.data;
    TakeVocabularyOfData(SetsOf(settings, contender), config);
    MakeModel(config.model, false);
  } catch (const UsageError& e) {
    throw UsageError(fmt::format("{}: {}", contender.Name(), e.what()), e.hint());
  }
}

// Adds those that are not there yet.
void AddContenders(const std::vector<Contender>& contenders, CompareSettings& settings) {
  for (const Contender& contender : contenders) {
    const std::string name = contender.Name();
    std::vector<Contender>& known = settings.contenders;
    const auto same = std::find_if(known.begin(), known.end(), [&](const Contender& c) { return c.Name() == name; });
    if (same != known.end()) {
      if (*same == contender) continue;
      throw UsageError(fmt::format("'{}' is the name of two: {}; and {}", name, Describe(*same), Describe(contender)),
                       "each gets a folder by its name: rename one");
    }
    if (name.size() > kLongestName) {
      throw UsageError(fmt::format("'{}': a name of {} bytes", name, name.size()),
                       fmt::format("a folder is called by it: at most {}", kLongestName));
    }
    RefuseWrongSettings(settings, contender);
    known.push_back(contender);
  }
}

void AddSeeds(const CompareOptions& options, CompareSettings& settings) {
  const int seeds = options.seeds.value_or(settings.seeds);
  if (seeds < settings.seeds) {
    throw UsageError(fmt::format("--seeds {}: the comparison in '{}' has {}", seeds, options.out, settings.seeds),
                     "they can become more, not fewer");
  }
  settings.seeds = seeds;
}

}  // namespace

std::string SettingsPath(const std::string& out) { return out + "/settings.json"; }

CompareSettings OpenSettings(const CompareOptions& options) {
  const std::string path = SettingsPath(options.out);
  CompareSettings settings;
  RefuseNames(options);
  if (!options.text.empty()) MappedFile{options.text};  // must be readable
  if (fs::exists(path)) {
    settings = CompareSettingsFromJson(ReadJsonFile(path), path);
    FindAgain(options, settings);
    RefuseDisagreement(Expected(options), ToJson(settings), options.out);
  } else {
    if (options.data.empty()) {
      throw UsageError("compare needs --data DIR", "make it with: flashlm data prepare --input synthetic --out DIR");
    }
    if (fs::exists(options.out) && !fs::is_empty(options.out)) {
      throw UsageError(fmt::format("'{}' holds something that is no comparison", options.out), "choose another --out");
    }
    settings = SettingsOf(options);
  }
  AddContenders(ContendersOf(options, settings), settings);
  AddSeeds(options, settings);
  PlanRuns(settings);  // refuses what cannot be told apart
  return settings;
}

std::vector<PlannedRun> PlanRuns(const CompareSettings& settings) {
  std::vector<PlannedRun> runs;
  std::set<std::string> taken = {"settings.json", "comparison.json", "comparison.md", "comparison.html"};
  for (int s = 0; s < settings.seeds; ++s) {
    const uint64_t seed = settings.seed + static_cast<uint64_t>(s);
    for (const Contender& contender : settings.contenders) {
      const std::string folder = contender.Name() + (s == 0 ? "" : fmt::format(".seed_{}", seed));
      if (!taken.insert(folder).second) {
        throw UsageError(fmt::format("two would be called '{}' in the comparison's folder", folder), "rename one");
      }
      runs.push_back({contender, seed, folder});
    }
  }
  return runs;
}

RunConfig ConfigOf(const CompareSettings& settings, const PlannedRun& run) {
  const Contender& contender = run.contender;
  RunConfig config = ConfigOf(settings, contender);
  config.data = settings.data;
  config.data_fingerprint = settings.data_fingerprint;
  if (config.train.precision == "auto" && config.train.products == "auto") {
    config.train.precision = settings.train_precision;
    config.train.products = settings.train_products;
    if (config.train.update_products == "auto") config.train.update_products = settings.train_update_products;
  }
  TakeVocabularyOfData(SetsOf(settings, contender), config);
  config.seed = run.seed;
  config.budget = settings.budget;
  return config;
}

void Identify(const PlannedRun& run, ComparisonRow& row) {
  row.name = run.contender.Name();
  row.preset = NameOfToml(run.contender.preset);
  row.variant = run.contender.variant;
  if (!run.contender.recipe.empty()) row.recipe = NameOfToml(run.contender.recipe);
  row.result.seed = run.seed;
}

}  // namespace flashlm
