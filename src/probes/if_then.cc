// Three rules and what is the case: which rule says what follows?
#include <fmt/format.h>

#include "probes/draft.h"

namespace flashlm {
namespace {

struct Form {
  std::string_view rule, observed, question;
  Words (*keys)();
  Words (*values)();
};
constexpr Form kTraining[] = {
    {"If {key}, {who} goes to the {value}.", "Today {key}.", "So {who} goes to the", WeatherWords, PlaceWords},
    {"If {who} is {key}, Mom brings a {value}.", "Now {who} is {key}.", "So Mom brings a", FeelingWords, ThingWords},
    {"If the box is {key}, there is a {value} in it.", "The box is {key}.", "In the box there is a", ColorWords,
     ThingWords},
    {"If {key}, {who} plays with the {value}.", "In the morning {key}.", "So {who} plays with the", WeatherWords,
     AnimalWords},
};
constexpr Form kHeldOut[] = {
    {"When {key}, {who} looks for the {value}.", "This time {key}.", "That is why {who} looks for the", WeatherWords,
     ThingWords},
    {"{who} visits the {value} if the flag is {key}.", "The flag is {key} now.", "So {who} visits the", ColorWords,
     PlaceWords},
    {"{who} sings to the {value} if {who} feels {key}.", "This evening {who} feels {key}.", "So {who} sings to the",
     FeelingWords, AnimalWords},
};
constexpr size_t kRules = 3;

}  // namespace

Draft DraftIfThen(WordDeal& deal, int) {
  Draft draft;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  WordDeal::Pairs pairs = deal.PairUp(form.keys(), form.values(), kRules, kRules);
  const std::string name = deal.One(NameWords());
  const auto who = fmt::arg("who", name);
  // Rule r stands at place r, and which one applies is drawn.
  for (size_t r = 0; r < kRules; ++r) {
    const std::string key = pairs.keys[r], value = Role(r);
    draft.facts += fmt::format(fmt::runtime(form.rule), who, fmt::arg("key", key), fmt::arg("value", value)) + " ";
  }
  draft.answer = deal.Below(kRules);
  draft.facts += fmt::format(fmt::runtime(form.observed), who, fmt::arg("key", pairs.keys[draft.answer]));
  draft.question = fmt::format(fmt::runtime(form.question), who);
  draft.words = std::move(pairs.values);
  return draft;
}

}  // namespace flashlm
