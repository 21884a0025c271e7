#include "train/family.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "data/shards.h"
#include "kernels/gemm/precision.h"
#include "models/presets.h"
#include "train/step.h"
#include "train/throughput.h"
#include "train/trainer.h"

namespace flashlm {
namespace {

struct Size {
  std::string preset;
  RunConfig config;
  int64_t parameters = 0;
  double weights = 0;            // that a token meets in products
  double seconds_per_token = 0;  // of training
};

RunConfig SizeConfig(const Json& document, const std::string& preset, const SizeRequest& request) {
  RunConfig config = RunConfig::FromDocument(document, preset);
  config.data = request.data;
  TakeVocabularyOfData(request.sets, config);
  return config;
}

// `repeated`: settings that hold where a text is read again and again, which need not be now.
std::vector<Size> SizesOf(const Json& family, const std::string& name, const SizeRequest& request,
                          const std::vector<std::string>& repeated) {
  const Json& names = family["sizes"];
  std::vector<Size> sizes;
  for (const Json& preset : names.is_array() ? names : Json::array()) {
    if (!preset.is_string())
      throw UsageError(fmt::format("{}: sizes holds {}, not a preset's name", name, preset.dump()));
    Size size;
    size.preset = preset.get<std::string>();
    Json document = LoadPreset(size.preset, request.recipe);
    RefuseFamily(document, size.preset);
    for (const std::string& assignment : request.sets) ApplyOverride(assignment, document);
    size.config = SizeConfig(document, size.preset, request);
    const std::unique_ptr<Model> model = MakeModel(size.config.model, false);
    size.parameters = model->bank().ParameterCount();
    size.weights = model->WeightsInProducts();
    if (!repeated.empty()) {  // what is wrong with them is said now
      for (const std::string& setting : repeated) ApplyOverride(setting, document);
      MakeModel(SizeConfig(document, size.preset, request).model, false);
    }
    sizes.push_back(std::move(size));
  }
  if (sizes.empty())
    throw UsageError(fmt::format("{}: sizes names no preset", name), "for example sizes = [\"small\"]");
  std::sort(sizes.begin(), sizes.end(), [](const Size& a, const Size& b) { return a.weights < b.weights; });
  return sizes;
}

// What a family says beside its sizes.
struct Rules {
  ScalingLaw law;
  double repeated_from = HUGE_VAL;    // epochs
  std::vector<std::string> repeated;  // settings from there on
  double enough_epochs = HUGE_VAL, enough_tokens = 0;

  // Reading more of a text of `unique` tokens buys nothing.
  double Enough(double unique) const { return std::max(enough_epochs * unique, enough_tokens); }
};

Rules ReadRules(const Json& family, const std::string& name) {
  const auto refuse = [&](const std::string& what) {
    throw UsageError(
        fmt::format("{}: {}", name, what),
        "a family has sizes, [law], and [repeated] with epochs, enough_epochs, enough_tokens, and [repeated.model], "
        "[repeated.optim], [repeated.train]");
  };
  Rules rules;
  for (const auto& [section, content] : family.items()) {
    if (section == "law") {
      FieldsFromJson(content, "law", rules.law);
    } else if (section == "repeated") {
      if (!content.is_object() || !content.contains("epochs") || !content["epochs"].is_number()) {
        refuse("[repeated] without a number of epochs");
      }
      const auto positive = [&refuse, &repeated = content](const char* key, double otherwise) {
        if (!repeated.contains(key)) return otherwise;
        const double value = repeated[key].is_number() ? repeated[key].get<double>() : 0;
        if (!(value > 0 && std::isfinite(value))) refuse(fmt::format("[repeated] {} is not a number above 0", key));
        return value;
      };
      rules.repeated_from = content["epochs"].get<double>();
      if (!(rules.repeated_from >= 0)) refuse("[repeated] epochs is below 0");
      rules.enough_epochs = positive("enough_epochs", HUGE_VAL);
      rules.enough_tokens = positive("enough_tokens", 0);
      if (content.contains("enough_tokens") && !content.contains("enough_epochs")) {
        refuse("[repeated] has enough_tokens without enough_epochs");
      }
      for (const auto& [part, settings] : content.items()) {
        if (part == "epochs" || part == "enough_epochs" || part == "enough_tokens") continue;
        if (!settings.is_object()) refuse(fmt::format("[repeated] has no '{}'", part));
        for (const auto& [key, value] : settings.items()) {
          rules.repeated.push_back(
              fmt::format("{}.{}={}", part, key, value.is_string() ? value.get<std::string>() : value.dump()));
        }
      }
    } else if (section != "sizes") {
      refuse(fmt::format("a family has no section [{}]", section));
    }
  }
  return rules;
}

SizeChoice Choice(const Rules& rules, const SizeRequest& request, const Size& size, double epochs, std::string why) {
  SizeChoice choice{size.preset, {}, std::move(why), 0};
  if (epochs < rules.repeated_from) return choice;
  for (const std::string& setting : rules.repeated) {
    const std::string key = setting.substr(0, setting.find('=') + 1);
    const bool asked = std::any_of(request.sets.begin(), request.sets.end(),
                                   [&](const std::string& set) { return set.starts_with(key); });
    if (!asked) choice.sets.push_back(setting);
  }
  if (!choice.sets.empty()) {
    choice.why +=
        fmt::format("; for text read {:g} times and more: {}", rules.repeated_from, fmt::join(choice.sets, " "));
  }
  return choice;
}

// Time per token grows with the weights from a floor of what is paid per token in any size: two sizes tell both. Where
// steps grow they cost less per token; how much, the larger of the two tells when it takes the steps of the smallest
// size that has such. No size above the middle one is measured: a small box that will train a small one need not have
// the memory of a large one.
void MeasureSpeed(std::vector<Size>& sizes) {
  const auto measured = [](const RunConfig& config) {
    constexpr double kSeconds = 0.7;
    return SecondsPerToken(config, kSeconds);
  };
  const auto steady = [](RunConfig config) {
    config.train.growth = {};
    return config;
  };
  const auto grows = [](const Size& size) { return !size.config.train.growth.batch.empty(); };
  const Size &small = sizes.front(), &large = sizes[sizes.size() / 2];
  const double small_seconds = measured(steady(small.config)), large_seconds = measured(steady(large.config));
  const double slope = std::max(0.0, large_seconds - small_seconds) / std::max(1.0, large.weights - small.weights);
  double growing = 1;
  if (const auto size = std::find_if(sizes.begin(), sizes.end(), grows); size != sizes.end()) {
    const TrainConfig& steps = size->config.train;
    RunConfig config = large.config;
    config.train.sequence_length = steps.sequence_length;
    config.train.micro_batch = steps.micro_batch;
    config.train.accumulate = steps.accumulate;
    config.train.growth = steps.growth;
    growing = measured(config) / measured(steady(config));
  }
  for (Size& size : sizes) {
    size.seconds_per_token = small_seconds + slope * (size.weights - small.weights);
    if (grows(size)) size.seconds_per_token *= growing;
  }
}

// The size N for which so many tokens, D, are the best use of (N + overhead) D multiply-adds: there more tokens and
// more weights gain equally much for the same work. Tokens that are read again are worth less and less, and leave more
// to the size.
const Size& BestFor(double tokens, double unique, const ScalingLaw& law, const std::vector<Size>& sizes) {
  constexpr double kStep = 1e-3;
  const double by_tokens = (law.OfData(tokens, unique) - law.OfData(tokens * (1 + kStep), unique)) / std::log1p(kStep);
  const auto distance = [&](const Size& size) {
    const double by_weights = law.size_power * law.size / std::pow(size.weights, law.size_power);
    return std::abs(std::log(by_weights * (1 + law.overhead / size.weights) / std::max(by_tokens, 1e-300)));
  };
  return *std::min_element(sizes.begin(), sizes.end(),
                           [&](const Size& a, const Size& b) { return distance(a) < distance(b); });
}

}  // namespace

double ScalingLaw::OfData(double tokens, double unique) const {
  double worth = tokens;
  if (tokens > unique) worth = unique + unique * repeats * -std::expm1(-(tokens / unique - 1) / repeats);
  return data / std::pow(std::max(1.0, worth), data_power);
}

double ScalingLaw::BitsPerByte(double weights, double tokens, double unique) const {
  return floor + size / std::pow(weights, size_power) + OfData(tokens, unique);
}

Json SizeChoice::ToJson() const { return {{"preset", preset}, {"sets", sets}, {"why", why}, {"tokens", tokens}}; }

SizeChoice SizeChoice::FromJson(const Json& json) {
  return {json.at("preset").get<std::string>(), json.at("sets").get<std::vector<std::string>>(), json.value("why", ""),
          json.value("tokens", 0.0)};
}

SizeChoice ChooseSize(const Json& family, const std::string& name, const SizeRequest& request) {
  const Rules rules = ReadRules(family, name);
  const ScalingLaw& law = rules.law;
  std::vector<Size> sizes = SizesOf(family, name, request, rules.repeated);
  const double unique = ReadDataMeta(request.data).at("train").at("tokens").get<double>();
  if (request.budget.kind != "time") {
    const double per_step = static_cast<double>(sizes.front().config.train.TokensPerStep());
    const double tokens = request.budget.kind == "tokens" ? request.budget.amount : request.budget.amount * per_step;
    const Size& best = BestFor(tokens, unique, law, sizes);
    return Choice(rules, request, best, tokens / unique,
                  fmt::format("{} for {} tokens ({:.1f} epochs): {} parameters", best.preset, FormatCount(tokens),
                              tokens / unique, FormatCount(static_cast<double>(best.parameters))));
  }
  MeasureSpeed(sizes);
  const double enough = request.may_end_early ? std::ceil(rules.Enough(unique)) : HUGE_VAL;
  const auto predicted = [&](const Size& size) {
    return law.BitsPerByte(size.weights, std::min(request.budget.amount / size.seconds_per_token, enough), unique);
  };
  const Size& best = *std::min_element(sizes.begin(), sizes.end(),
                                       [&](const Size& a, const Size& b) { return predicted(a) < predicted(b); });
  double tokens = request.budget.amount / best.seconds_per_token;
  // What ends by tokens takes longer on a machine that becomes slower: so much slower it may become.
  constexpr double kSpare = 1.5;
  const bool ends_early = tokens > kSpare * enough;
  if (ends_early) tokens = enough;
  SizeChoice choice = Choice(
      rules, request, best, tokens / unique,
      fmt::format("{} for {} at {:.0f} M parameter-tokens/s: {} parameters, {} tokens ({:.1f} epochs), about {:.2f} "
                  "bits/byte expected on text like the law's",
                  best.preset, request.budget.ToString(), best.weights / best.seconds_per_token / 1e6,
                  FormatCount(static_cast<double>(best.parameters)), FormatCount(tokens), tokens / unique,
                  predicted(best)));
  if (!ends_early) return choice;
  choice.tokens = tokens;
  choice.why += fmt::format(
      "; ends with these tokens, after some {}: reading the text more often would not help, more text would",
      FormatDuration(tokens * best.seconds_per_token));
  return choice;
}

}  // namespace flashlm
