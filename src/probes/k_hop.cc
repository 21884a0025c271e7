// Eight people in a ring, told link by link in any order, and one of them: who is k links further on?
//
// The ring is longer than twice the most hops, so that going back is never the shorter way, and as long for every k: k
// alone makes the difference. Everybody is mentioned once as giving and once as taking.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "probes/draft.h"

namespace flashlm {
namespace {

// The question is opening + k - 1 times `more` + ending, or has {times}.
struct Form {
  std::string_view link, start, opening, more, ending;
};
constexpr Form kTraining[] = {
    {"{from} gives to {to}.", " {who} has the ball. It goes on {times}.", "Now the ball is with", "", ""},
    {"The friend of {from} is {to}.|The friend that {from} has is {to}.", "", "The friend of", " the friend of",
     " {who} is"},
    {"{from} writes to {to}.|{from} sends letters to {to}.", " {who} starts a letter. It goes on {times}.",
     "The letter ends with|The letter is now with", "", ""},
    {"After {from} comes {to}.|{to} comes after {from}.", " {who} has a turn. Then it goes on {times}.",
     "Now it is the turn of", "", ""},
    {"{from} points at {to}.|{from} looks at {to}.", " The game starts with {who}. It goes on {times}.",
     "The game ends with", "", ""},
    {"The teacher of {from} is {to}.|{from} learns from {to}.", "", "The teacher of", " the teacher of", " {who} is"},
    {"To the right of {from} sits {to}.|{from} has {to} to the right.", "", "To the right of",
     " the one to the right of", " {who} sits"},
    {"{from} tells secrets to {to}.|{from} talks to {to}.", " {who} has a secret. It is passed on {times}.",
     "At last it is told to", "", ""},
};
constexpr Form kHeldOut[] = {
    {"Behind {from} stands {to}.", "", "Behind", " the one behind", " {who} stands"},
    {"{from} calls {to}.", " {who} hears the news. The news move on {times}.", "The last one to hear them is", "", ""},
    {"From the house of {from} a path goes to the house of {to}.",
     " A cat is at the house of {who}. It walks on {times}.", "Now the cat is at the house of", "", ""},
};
constexpr std::string_view kTimes[] = {"no time", "one time", "two times", "three times", "four times"};
constexpr size_t kRing = 8, kEndings = 4;

// Where the endings stand in the ring: k, and others that are not the start.
std::vector<size_t> PlacesOfEndings(WordDeal& deal, size_t k) {
  std::vector<size_t> others;
  for (size_t place = 1; place < kRing; ++place) {
    if (place != k) others.push_back(place);
  }
  deal.Shuffle(others);
  others.resize(kEndings - 1);
  others.insert(others.begin(), k);
  return others;
}

std::string LinksOf(WordDeal& deal, const Form& form, const std::vector<std::string>& ring) {
  std::vector<size_t> order(ring.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  deal.Shuffle(order);
  const std::string_view link = deal.Choose(form.link);
  std::string facts;
  for (const size_t i : order) {
    if (!facts.empty()) facts += " ";
    facts += fmt::format(fmt::runtime(link), fmt::arg("from", ring[i]), fmt::arg("to", ring[(i + 1) % ring.size()]));
  }
  return facts;
}

struct Asked {
  std::string start, question;
};
Asked Ask(const Form& form, std::string_view opening, const std::string& person, size_t hops) {
  const auto who = fmt::arg("who", person);
  Asked asked{fmt::format(fmt::runtime(form.start), who, fmt::arg("times", kTimes[hops])), std::string(opening)};
  for (size_t hop = 1; hop < hops; ++hop) asked.question += form.more;
  asked.question += fmt::format(fmt::runtime(form.ending), who);
  return asked;
}

}  // namespace

Draft DraftKHop(WordDeal& deal, int k) {
  Draft draft;
  draft.k = k;
  const auto hops = static_cast<size_t>(k);
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  draft.words = deal.Group(NameWords(), kEndings);
  std::vector<std::string> ring = deal.Others(NameWords(), kRing, draft.words);
  const std::vector<size_t> places = PlacesOfEndings(deal, hops);
  for (size_t r = 0; r < kEndings; ++r) ring[places[r]] = Role(r);
  draft.answer = 0;
  draft.facts = LinksOf(deal, form, ring);
  const Asked asked = Ask(form, deal.Choose(form.opening), ring[0], hops);
  draft.facts += asked.start;
  draft.question = asked.question;
  return draft;
}

std::string WriteHops(WordDeal& deal, int most_hops) {
  constexpr size_t kFewest = 3, kQuestions = 8;
  int number = 0;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, number);
  const std::vector<std::string> ring = deal.Others(NameWords(), kFewest + deal.Below(kRing - kFewest + 1), {});
  std::string text = LinksOf(deal, form, ring);
  // Each pair of a person and a number of hops once, or answers could be copied.
  const size_t most = std::min(static_cast<size_t>(most_hops), ring.size() - 1);
  std::vector<std::pair<size_t, size_t>> pairs;
  for (size_t person = 0; person < ring.size(); ++person) {
    for (size_t hops = 1; hops <= most; ++hops) pairs.emplace_back(person, hops);
  }
  deal.Shuffle(pairs);
  pairs.resize(std::min(pairs.size(), kQuestions));
  const std::string_view opening = deal.Choose(form.opening);
  for (const auto& [person, hops] : pairs) {
    const Asked asked = Ask(form, opening, ring[person], hops);
    text += asked.start + " " + asked.question + " " + ring[(person + hops) % ring.size()] + ".";
  }
  return text;
}

}  // namespace flashlm
