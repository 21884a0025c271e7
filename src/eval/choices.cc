#include "eval/choices.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "eval/choice_items.h"
#include "eval/scorer.h"

namespace flashlm {
namespace {

ChoiceResult JudgeAll(Model& model, DType dtype, const Tokenizer& tokenizer, const std::vector<ChoiceItem>& items) {
  std::vector<TokenIds> texts;
  for (const ChoiceItem& item : items) {
    for (const std::string& choice : item.choices) texts.push_back(tokenizer.Encode(choice));
  }
  const auto nats = Scorer(model, dtype).Score(texts);
  std::vector<double> scores(texts.size(), 0.0);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const float n : nats[i]) scores[i] -= n;
  }
  ChoiceResult result;
  size_t next = 0;
  for (const ChoiceItem& item : items) {
    const double right = RightShare(std::span(scores).subspan(next, item.choices.size()), item.right);
    next += item.choices.size();
    result.all.Add(right);
    if (!item.category.empty()) result.by_category[item.category].Add(right);
    if (!item.field.empty()) result.by_field[item.field].Add(right);
    if (!item.term.empty()) result.by_term[item.term].Add(right);
  }
  return result;
}

Json ToJson(const ChoiceCount& count) {
  return {{"pairs", count.items}, {"accuracy", count.accuracy()}, {"stderr", count.stderr_accuracy()}};
}

std::string Describe(const std::string& name, const ChoiceCount& count) {
  return fmt::format("{}: {:.1f} %{} of {}\n", name, 100 * count.accuracy(),
                     count.items < 2 ? "" : fmt::format(" ± {:.1f}", 100 * count.stderr_accuracy()), count.items);
}

}  // namespace

double ChoiceCount::stderr_accuracy() const {
  if (items < 2) return 0;
  const auto n = static_cast<double>(items);
  return std::sqrt(std::max(0.0, squares / n - accuracy() * accuracy()) / (n - 1));
}

double RightShare(std::span<const double> scores, size_t right) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  if (scores[right] < highest) return 0;
  return 1.0 / static_cast<double>(std::count(scores.begin(), scores.end(), highest));
}

ChoiceResult EvaluatePairs(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path) {
  return JudgeAll(model, dtype, tokenizer, ReadPairs(path));
}

ChoiceResult EvaluateCloze(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path) {
  return JudgeAll(model, dtype, tokenizer, ReadClozes(path));
}

Json PairsToJson(const ChoiceResult& result) {
  Json json = ToJson(result.all);
  for (const auto& [name, count] : result.by_field) json["by_field"][name] = ToJson(count);
  for (const auto& [name, count] : result.by_term) json["by_linguistics_term"][name] = ToJson(count);
  return json;
}

std::string DescribePairs(const ChoiceResult& result) {
  std::string text = Describe("pairs", result.all);
  for (const auto& [name, count] : result.by_field) text += Describe("  " + name, count);
  // A file of one phenomenon, as BLiMP's own are, would say the same twice.
  if (result.by_term.size() < 2) return text;
  text += "by linguistic term:\n";
  for (const auto& [name, count] : result.by_term) text += Describe("  " + name, count);
  return text;
}

Json ClozeToJson(const ChoiceResult& result) {
  Json categories = Json::object();
  for (const auto& [name, count] : result.by_category) categories[name] = count.accuracy();
  return {{"items", result.all.items}, {"accuracy", result.all.accuracy()}, {"accuracy_by_category", categories}};
}

}  // namespace flashlm
