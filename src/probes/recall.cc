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
    {"{key} likes the {value}.|The {value} goes with {key}.", "{key} likes the|The animal of {key} is the", NameWords,
     AnimalWords},
    {"The {key} lives in the {value}.|In the {value} lives the {key}.",
     "The {key} lives in the|You can see the {key} in the", AnimalWords, PlaceWords},
    {"In the {key} there is a {value}.|A {value} is in the {key}.",
     "In the {key} there is a|The thing in the {key} is a", PlaceWords, ThingWords},
    {"{key} went to the {value}.|{key} is in the {value}.", "{key} went to the|You can find {key} in the", NameWords,
     PlaceWords},
    {"{key} met a {value}.|A {value} came to {key}.", "{key} met a|The animal that came to {key} is a", NameWords,
     AnimalWords},
    {"The {key} has the {value}.|The {value} is for the {key}.", "The {key} has the|The {key} plays with the",
     AnimalWords, ThingWords},
    {"In the {key} sleeps a {value}.|A {value} sleeps in the {key}.",
     "In the {key} sleeps a|The animal in the {key} is a", PlaceWords, AnimalWords},
    {"The {key} is in the {value}.|In the {value} is the {key}.", "The {key} is in the|Look for the {key} in the",
     ThingWords, PlaceWords},
    {"The {key} is for {value}.|{value} gets the {key}.", "The {key} is for|The one who gets the {key} is", ThingWords,
     NameWords},
    {"The {key} is the pet of {value}.|{value} has a pet {key}.", "The {key} is the pet of|The {key} runs to",
     AnimalWords, NameWords},
    {"The {key} belongs to {value}.|{value} owns the {key}.", "The {key} belongs to|The owner of the {key} is",
     PlaceWords, NameWords},
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
  const std::string_view sentence = deal.Choose(form.pair);
  for (const size_t i : order) {
    // The first values are those of the endings.
    const std::string value = i < endings ? Role(i) : pairs.values[i];
    if (!draft.facts.empty()) draft.facts += " ";
    draft.facts += fmt::format(fmt::runtime(sentence), fmt::arg("key", pairs.keys[i]), fmt::arg("value", value));
  }
  draft.answer = deal.Below(endings);
  draft.question = fmt::format(fmt::runtime(deal.Choose(form.question)), fmt::arg("key", pairs.keys[draft.answer]));
  pairs.values.resize(endings);
  draft.words = std::move(pairs.values);
  return draft;
}

}  // namespace flashlm
