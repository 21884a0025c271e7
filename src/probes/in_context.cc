// Three words that nobody knows are explained, and one of them is used.
#include <fmt/format.h>

#include "probes/draft.h"

namespace flashlm {
namespace {

struct Form {
  std::string_view meaning, use, question;
  Words (*values)();
};
constexpr Form kTraining[] = {
    {"A {key} is a kind of {value}.", "{who} sees a {key}.", "So {who} sees a kind of", AnimalWords},
    {"To be {key} means to be {value}.|Whoever is {key} is {value}.", "{who} is {key}.|Today {who} is very {key}.",
     "That means that {who} is|So {who} is", FeelingWords},
    {"The word {key} means {value}.|Another word for {value} is {key}.", "{who} has a {key}.|{who} finds a {key}.",
     "So {who} has a|That thing is a", ThingWords},
    {"A {key} lives in the {value}.|You find a {key} in the {value}.",
     "{who} wants to see a {key}.|{who} has lost a {key}.", "So {who} goes to the|{who} has to look in the",
     PlaceWords},
    {"The color {key} is like {value}.|People here say {key} and mean {value}.",
     "{who} has a {key} coat.|{who} paints the wall {key}.", "So it is|That means it is", ColorWords},
    {"A {key} likes {value}.|The food of a {key} is {value}.", "{who} feeds a {key}.|{who} has a {key}.",
     "It likes|So {who} gives it", FoodWords},
    {"In the game a {key} is a {value}.|In the game you call a {value} a {key}.",
     "{who} is a {key}.|{who} plays a {key}.", "So {who} is a|In the game {who} is a", AnimalWords},
    {"To {key} means to go to the {value}.|When you {key}, you go to the {value}.",
     "{who} likes to {key}.|{who} will {key}.", "So {who} goes to the|This means that {who} goes to the", PlaceWords},
    {"A {key} looks like a {value}.|A {value} is what a {key} looks like.", "{who} buys a {key}.|{who} gets a {key}.",
     "It looks like a|So it looks like a", ThingWords},
    {"A {key} is always {value}.|Each {key} you see is {value}.", "{who} draws a {key}.|The picture shows a {key}.",
     "So the color of it is|It is", ColorWords},
    {"The man with the name {key} sells {value}.|From {key} you can buy {value}.",
     "{who} goes to {key}.|{who} meets {key}.", "So {who} buys|So {who} gets", FoodWords},
    {"The {value} comes when you call {key}.|We call our {value} {key}.", "{who} shouts {key}.|Here is {key}.",
     "So here is the|Here comes the", AnimalWords},
    {"Feeling {key} is the same as feeling {value}.|If you feel {key}, you feel {value}.",
     "{who} feels {key}.|{who} gets {key}.", "So {who} feels|This means that {who} feels", FeelingWords},
    {"Put the {key} into the {value}.|The {value} is where the {key} goes.",
     "{who} has the {key}.|{who} takes the {key}.", "So {who} needs the|It goes into the", ContainerWords},
};
constexpr Form kHeldOut[] = {
    {"The name of the {value} is {key}.", "{who} plays with {key}.", "{who} plays with the", AnimalWords},
    {"Children on the moon say {key} when they want {value}.", "A child on the moon says {key}.", "The child wants",
     FoodWords},
    {"A {key} box is a {value} box.", "{who} opens a {key} box.", "The box that {who} opens is", ColorWords},
};
constexpr size_t kMeanings = 3;

}  // namespace

Draft DraftInContext(WordDeal& deal, int) {
  Draft draft;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  draft.words = deal.Group(form.values(), kMeanings);
  const std::vector<std::string> keys = deal.Others(NewWords(deal.split()), kMeanings, {});
  const std::string name = deal.One(NameWords());
  const auto who = fmt::arg("who", name);
  const std::string_view meaning = deal.Choose(form.meaning);
  for (size_t r = 0; r < kMeanings; ++r) {
    const std::string value = Role(r);
    draft.facts += fmt::format(fmt::runtime(meaning), fmt::arg("key", keys[r]), fmt::arg("value", value)) + " ";
  }
  draft.answer = deal.Below(kMeanings);
  draft.facts += fmt::format(fmt::runtime(deal.Choose(form.use)), who, fmt::arg("key", keys[draft.answer]));
  draft.question = fmt::format(fmt::runtime(deal.Choose(form.question)), who);
  return draft;
}

}  // namespace flashlm
