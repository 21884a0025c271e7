// What comes next in a row that repeats itself.
#include <fmt/format.h>

#include "probes/draft.h"

namespace flashlm {
namespace {

struct Row {
  std::string_view letters;
  char next;
};
// Chosen so that no rule about single words finds what is next: it is the first word of the row in half of these, the
// last in half, the most frequent as often as the least.
constexpr Row kTwo[] = {{"abab", 'a'},      {"aabaab", 'a'},   {"abbabb", 'a'}, {"aabbaab", 'b'},
                        {"aabbaabba", 'a'}, {"abbabbab", 'b'}, {"ababa", 'b'},  {"abbaabbaab", 'b'}};
// The same with three words, where a third is chance.
constexpr Row kThree[] = {{"abcabc", 'a'},    {"abcabca", 'b'}, {"abcabcab", 'c'},
                          {"aabcaabca", 'a'}, {"abccabc", 'c'}, {"aabcaab", 'c'}};

struct Form {
  std::string_view opening, article, question;
  Words (*words)();
};
constexpr Form kTraining[] = {
    {"{who} puts toys in a row: {row}.", "a ", "Next comes a", ThingWords},
    {"{who} makes a string of beads: {row}.", "", "The next bead is", ColorWords},
    {"{who} says the words {row}.", "", "The next word is", AnimalWords},
};
constexpr Form kHeldOut[] = {
    {"The flowers on the path of {who} are {row}.", "", "The next flower is", ColorWords},
    {"{who} takes toys out of the sack: {row}.", "a ", "Then {who} takes out a", ThingWords},
    {"{who} sees the animals come home: {row}.", "the ", "After that comes the", AnimalWords},
};

}  // namespace

Draft DraftPattern(WordDeal& deal, int) {
  Draft draft;
  const Form& form = deal.PickForm<Form>(kTraining, kHeldOut, draft.form);
  const bool two = deal.Below(2) == 0;
  const Row& row = two ? kTwo[deal.Below(std::size(kTwo))] : kThree[deal.Below(std::size(kThree))];
  draft.words = deal.Group(form.words(), two ? 2 : 3);
  draft.answer = static_cast<size_t>(row.next - 'a');
  std::string text;
  for (const char letter : row.letters) {
    if (!text.empty()) text += ", ";
    text += std::string(form.article) + Role(static_cast<size_t>(letter - 'a'));
  }
  const std::string name = deal.One(NameWords());
  const auto who = fmt::arg("who", name);
  draft.facts = fmt::format(fmt::runtime(form.opening), who, fmt::arg("row", text));
  draft.question = fmt::format(fmt::runtime(form.question), who);
  return draft;
}

}  // namespace flashlm
