// Two things change hands, or places, k times: who has one of them in the end, where is it?
#include <fmt/format.h>

#include <array>

#include "probes/draft.h"

namespace flashlm {
namespace {

struct Form {
  std::string_view opening, start, move, question;
  Words (*objects)();
  Words (*holders)();
};
constexpr Form kTraining[] = {
    {"{a}, {b} and {c} play together.", "{at} has the {what}.", "{from} gives the {what} to {to}.",
     "Now the {what} is with", ThingWords, NameWords},
    {"There is a {a}, a {b} and a {c}.|{who} has a {a}, a {b} and a {c}.",
     "The {what} is in the {at}.|{who} puts the {what} in the {at}.",
     "{who} moves the {what} to the {to}.|Then {who} puts the {what} in the {to}.",
     "Now the {what} is in the|You can see the {what} in the", ThingWords, ContainerWords},
    {"{a}, {b} and {c} are in the park.|{a}, {b} and {c} stand in a ring.",
     "The {what} is with {at}.|{at} starts with the {what}.",
     "{from} throws the {what} to {to}.|{to} catches the {what}.",
     "The one who has the {what} now is|The {what} is now with", ThingWords, NameWords},
    {"{who} knows the {a}, the {b} and the {c}.|There is a way from the {a} to the {b} and the {c}.",
     "The {what} is in the {at}.|The {what} sleeps in the {at}.",
     "Then the {what} goes to the {to}.|The {what} runs from the {from} to the {to}.|The {what} comes to the {to}.",
     "{who} finds the {what} in the|Now the {what} is in the", AnimalWords, PlaceWords},
    {"{who} tells of the {a}, the {b} and the {c}.|It is not far from the {a} to the {b} or the {c}.",
     "{what} is in the {at}.|{what} plays in the {at}.",
     "{what} goes to the {to}.|{what} leaves the {from} for the {to}.|{what} runs to the {to}.",
     "Now {what} is in the|You can find {what} in the", NameWords, PlaceWords},
    {"On the map are the {a}, the {b} and the {c}.", "The {what} lies in the {at}.|{who} left the {what} in the {at}.",
     "{who} carries the {what} to the {to}.|Dad brings the {what} to the {to}.",
     "Now the {what} lies in the|Look for the {what} in the", ThingWords, PlaceWords},
    {"{a}, {b} and {c} love animals.|{a} asks {b} and {c} to come.",
     "The {what} sits next to {at}.|The {what} is with {at}.",
     "The {what} jumps to {to}.|The {what} comes over to {to}.|The {what} leaves {from} and goes to {to}.",
     "Now the {what} sits next to|Now you see the {what} with", AnimalWords, NameWords},
    {"A {a}, a {b} and a {c} meet.|Here come a {a}, a {b} and a {c}.", "The {at} has the {what}.",
     "The {from} gives the {what} to the {to}.|The {to} wants the {what} and gets it.|The {to} pulls the {what} from "
     "the {from}.",
     "Now the {what} is with the|The one with the {what} is the", ThingWords, AnimalWords},
    {"{who} shows us a {a}, a {b} and a {c}.", "The {what} is in the {at}.|The {what} sleeps in the {at}.",
     "The {what} climbs out of the {from} and into the {to}.|{who} lets the {what} into the {to}.",
     "The {what} is now in the|The {what} looks out of the", AnimalWords, ContainerWords},
    {"{who} thinks of the {a}, the {b} and the {c}.", "First {what} stays in the {at}.|{what} is in the {at}.",
     "Mom sends {what} to the {to}.|{what} hurries from the {from} to the {to}.",
     "If you want to meet {what}, go to the|At last {what} is in the", NameWords, PlaceWords},
};
constexpr Form kHeldOut[] = {
    {"There are three friends: {a}, {b} and {c}.", "{at} holds the {what}.", "{to} takes the {what} away.",
     "In the end the {what} is held by", ThingWords, NameWords},
    {"On the table are a {a}, a {b} and a {c}.", "{who} hides the {what} in the {at}.",
     "The {what} falls from the {from} into the {to}.", "To get the {what}, {who} looks into the", ThingWords,
     ContainerWords},
    {"Near the town are a {a}, a {b} and a {c}.", "{what} waits in the {at}.", "{what} walks to the {to}.",
     "After all this {what} is in the", NameWords, PlaceWords},
};
constexpr size_t kHolders = 3, kObjects = 2;

struct Story {
  std::string facts;
  std::array<size_t, kObjects> at;  // in the end
};

// Tells what happens, and keeps book.
class Teller {
 public:
  Teller(WordDeal& deal, const Form& form, std::vector<std::string> objects, std::string who)
      : deal_(deal), form_(form), objects_(std::move(objects)), who_(std::move(who)) {}

  Story Tell(int moves) const {
    std::vector<size_t> order = {0, 1, 2};
    deal_.Shuffle(order);
    Story story{
        fmt::format(fmt::runtime(deal_.Choose(form_.opening)), fmt::arg("who", who_), fmt::arg("a", Role(order[0])),
                    fmt::arg("b", Role(order[1])), fmt::arg("c", Role(order[2]))),
        {}};
    for (size_t object = 0; object < kObjects; ++object) {
      story.at[object] = deal_.Below(kHolders);
      Add(story, form_.start, object, story.at[object], 0);
    }
    for (int move = 0; move < moves; ++move) {
      const size_t object = deal_.Below(kObjects), from = story.at[object];
      story.at[object] = (from + 1 + deal_.Below(kHolders - 1)) % kHolders;
      Add(story, form_.move, object, story.at[object], from);
    }
    return story;
  }

 private:
  void Add(Story& story, std::string_view sentence, size_t object, size_t at, size_t from) const {
    story.facts += " " + fmt::format(fmt::runtime(deal_.Choose(sentence)), fmt::arg("who", who_),
                                     fmt::arg("what", objects_[object]), fmt::arg("at", Role(at)),
                                     fmt::arg("to", Role(at)), fmt::arg("from", Role(from)));
  }

  WordDeal& deal_;
  const Form& form_;
  std::vector<std::string> objects_;
  std::string who_;
};

// The role with the rank-th most mentions, from the rarest on; where some have equally many, any of them.
size_t RoleOfRank(WordDeal& deal, const std::vector<size_t>& mentions, size_t rank) {
  std::vector<size_t> roles = {0, 1, 2};
  deal.Shuffle(roles);
  const auto count = [&](size_t role) { return std::count(mentions.begin(), mentions.end(), role); };
  std::stable_sort(roles.begin(), roles.end(), [&](size_t a, size_t b) { return count(a) < count(b); });
  return roles[rank];
}

// A story at whose end the object is with whoever was mentioned last in a third of the cases, and with the most and
// the least mentioned in about a third: whoever only counts is at chance.
Story TellFairly(WordDeal& deal, const Teller& teller, int moves, size_t asked) {
  constexpr int kTries = 200;  // few are needed, but some demands cannot be met
  for (;;) {
    const bool last = deal.Below(kHolders) == 0;
    const size_t rank = deal.Below(kHolders);
    for (int i = 0; i < kTries; ++i) {
      Story story = teller.Tell(moves);
      const std::vector<size_t> mentions = MentionedRoles(story.facts);
      const size_t answer = story.at[asked];
      if ((mentions.back() == answer) == last && RoleOfRank(deal, mentions, rank) == answer) return story;
    }
  }
}

}  // namespace

Draft DraftTracking(WordDeal& deal, int k) {
  Draft draft;
  draft.k = k;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  WordDeal::Pairs pairs = deal.PairUp(form.objects(), form.holders(), kObjects, kHolders, kHolders);
  std::vector<std::string> named = pairs.keys;
  named.insert(named.end(), pairs.values.begin(), pairs.values.end());
  const std::string who = deal.Others(NameWords(), 1, named)[0];
  const size_t asked = deal.Below(kObjects);
  Story story = TellFairly(deal, Teller(deal, form, pairs.keys, who), k, asked);
  draft.facts = std::move(story.facts);
  draft.answer = story.at[asked];
  draft.question =
      fmt::format(fmt::runtime(deal.Choose(form.question)), fmt::arg("who", who), fmt::arg("what", pairs.keys[asked]));
  draft.words = std::move(pairs.values);
  return draft;
}

}  // namespace flashlm
