// k pairs, and one of the keys again: what went with it?
#include <fmt/format.h>

#include "probes/draft.h"

namespace flashlm {
namespace {

struct Form {
  std::string_view pair, question;
  Words (*keys)();
  Words (*values)();
};
constexpr Form kTraining[] = {
    {"{key} has a {value}.", "{key} has a", NameWords, ThingWords},
    {"{key} likes the {value}.", "{key} likes the", NameWords, AnimalWords},
    {"The {key} lives in the {value}.", "The {key} lives in the", AnimalWords, PlaceWords},
    {"In the {key} there is a {value}.", "In the {key} there is a", PlaceWords, ThingWords},
};
constexpr Form kHeldOut[] = {
    {"{key} found a {value}.", "{key} found a", NameWords, ThingWords},
    {"{key} drew a {value}.", "The picture by {key} shows a", NameWords, AnimalWords},
    {"The {key} hides behind the {value}.", "The {key} hides behind the", AnimalWords, ThingWords},
};
constexpr size_t kMostEndings = 4;

}  // namespace

Draft DraftRecall(WordDeal& deal, int k) {
  Draft draft;
  draft.k = k;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  const auto count = static_cast<size_t>(k);
  const size_t endings = std::min(count, kMostEndings);
  WordDeal::Pairs pairs = deal.PairUp(form.keys(), form.values(), count, endings);
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  deal.Shuffle(order);
  for (const size_t i : order) {
    // The first values are those of the endings.
    const std::string value = i < endings ? Role(i) : pairs.values[i];
    if (!draft.facts.empty()) draft.facts += " ";
    draft.facts += fmt::format(fmt::runtime(form.pair), fmt::arg("key", pairs.keys[i]), fmt::arg("value", value));
  }
  draft.answer = deal.Below(endings);
  draft.question = fmt::format(fmt::runtime(form.question), fmt::arg("key", pairs.keys[draft.answer]));
  pairs.values.resize(endings);
  draft.words = std::move(pairs.values);
  return draft;
}

}  // namespace flashlm
