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
    {"To be {key} means to be {value}.", "{who} is {key}.", "That means that {who} is", FeelingWords},
    {"The word {key} means {value}.", "{who} has a {key}.", "So {who} has a", ThingWords},
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
  for (size_t r = 0; r < kMeanings; ++r) {
    const std::string value = Role(r);
    draft.facts += fmt::format(fmt::runtime(form.meaning), fmt::arg("key", keys[r]), fmt::arg("value", value)) + " ";
  }
  draft.answer = deal.Below(kMeanings);
  draft.facts += fmt::format(fmt::runtime(form.use), who, fmt::arg("key", keys[draft.answer]));
  draft.question = fmt::format(fmt::runtime(form.question), who);
  return draft;
}

}  // namespace flashlm
