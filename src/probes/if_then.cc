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
    {"If {who} is {key}, Mom brings a {value}.|Mom brings a {value} if {who} is {key}.",
     "Now {who} is {key}.|Today {who} is very {key}.", "So Mom brings a|Mom brings a", FeelingWords, ThingWords},
    {"If the box is {key}, there is a {value} in it.|A {key} box has a {value} in it.",
     "The box is {key}.|{who} gets a {key} box.", "In the box there is a|So {who} finds a", ColorWords, ThingWords},
    {"If {key}, {who} plays with the {value}.|{who} plays with the {value} if {key}.",
     "In the morning {key}.|Look, {key}.", "So {who} plays with the|Then {who} plays with the", WeatherWords,
     AnimalWords},
    {"If the hat is {key}, {who} goes to see the {value}.|With a {key} hat {who} goes to see the {value}.",
     "Today the hat of {who} is {key}.|{who} has a {key} hat.", "So {who} goes to see the|{who} meets the", ColorWords,
     AnimalWords},
    {"The {key} door leads to the {value}.|Behind the {key} door is the {value}.",
     "{who} opens the {key} door.|{who} goes through the {key} door.", "So {who} comes to the|Now {who} is in the",
     ColorWords, PlaceWords},
    {"If {who} is {key}, Dad brings {value}.|Dad brings {value} to {who} if {who} is {key}.",
     "{who} is {key} now.|This morning {who} is {key}.", "So Dad brings|{who} gets", FeelingWords, FoodWords},
    {"On a day when {key}, the children get {value}.|The children get {value} if {key}.", "Outside {key}.|Oh, {key}.",
     "So the children get|The children get", WeatherWords, FoodWords},
    {"Pull the {key} string and a {value} comes out.|The {key} string brings a {value}.",
     "{who} pulls the {key} string.|The string that {who} pulls is {key}.", "Out comes a|So {who} gets a", ColorWords,
     ThingWords},
    {"If the {key} comes, hold the {value} tight.|Hold the {value} tight if the {key} comes.",
     "Here is the {key}.|Now the {key} comes.", "So {who} must hold the|So {who} has to hold the", AnimalWords,
     ThingWords},
    {"To go to the {key}, {who} takes a {value}.|For the {key} {who} needs a {value}.",
     "{who} goes to the {key}.|Today {who} wants to see the {key}.", "So {who} takes a|{who} needs a", PlaceWords,
     ThingWords},
    {"If the {key} is there, {who} runs to the {value}.|From the {key} {who} runs to the {value}.",
     "Oh no, the {key} is there.|Here comes the {key}.", "So {who} runs to the|{who} goes to the", AnimalWords,
     PlaceWords},
    {"In the {key} {who} always gets {value}.|{who} gets {value} in the {key}.", "{who} is in the {key}.",
     "So {who} gets|Then {who} gets", PlaceWords, FoodWords},
    {"The {key} only likes {value}.|{who} gives {value} to the {key}.", "{who} feeds the {key}.|The {key} comes.",
     "So {who} gives it|It gets", AnimalWords, FoodWords},
    {"If {key} comes to play, we take the {value}.|With {key} we play with the {value}.",
     "Today {key} comes to play.|Now {key} is here.", "So we take the|We play with the", NameWords, ThingWords},
    {"If the sky is {key}, we go to the {value}.|A {key} sky means that we go to the {value}.",
     "The sky is {key}.|We see a {key} sky.", "So we go to the|We go to the", ColorWords, PlaceWords},
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
  const std::string_view rule = deal.Choose(form.rule);
  // Rule r stands at place r, and which one applies is drawn.
  for (size_t r = 0; r < kRules; ++r) {
    const std::string key = pairs.keys[r], value = Role(r);
    draft.facts += fmt::format(fmt::runtime(rule), who, fmt::arg("key", key), fmt::arg("value", value)) + " ";
  }
  draft.answer = deal.Below(kRules);
  draft.facts += fmt::format(fmt::runtime(deal.Choose(form.observed)), who, fmt::arg("key", pairs.keys[draft.answer]));
  draft.question = fmt::format(fmt::runtime(deal.Choose(form.question)), who);
  draft.words = std::move(pairs.values);
  return draft;
}

}  // namespace flashlm
