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
    {"{who} makes a string of beads: {row}.|The beads on the string are {row}.", "", "The next bead is", ColorWords},
    {"{who} says the words {row}.|{who} writes down {row}.", "", "The next word is", AnimalWords},
    {"{who} paints a fence: {row}.|The boards of the fence are {row}.", "", "The next board is", ColorWords},
    {"There is a row of things on the shelf: {row}.", "a ", "And then there is a|The next thing is a", ThingWords},
    {"In the game {who} has to call {row}.", "the ", "Now {who} has to call the", AnimalWords},
    {"The cars that go by are {row}.", "", "The next one is|Then comes one that is", ColorWords},
    {"{who} draws animals on a wall: {row}.", "a ", "Then {who} draws a|The next animal is a", AnimalWords},
    {"On the table {who} puts {row}.|Mom brings {row}.", "", "The next one is|Next comes", FoodWords},
    {"In the story {who} is {row}.|First {who} feels {row}.", "", "Then {who} feels|Then {who} is", FeelingWords},
    {"Every day {who} goes to one place: {row}.", "the ", "Then {who} goes to the|The next place is the", PlaceWords},
    {"In the song are the names {row}.|The teacher calls {row}.", "", "The next name is|Next is", NameWords},
    {"The lights on the street are {row}.", "", "The next light is|Then comes a light that is", ColorWords},
    {"{who} buries things in the sand: {row}.", "a ", "After that {who} buries a|The next thing in the sand is a",
     ThingWords},
    {"A song tells of {row}.|The song of {who} goes: {row}.", "the ", "Then it tells of the|It goes on with the",
     PlaceWords},
    {"The baby picks up {row}.", "the ", "Now the baby picks up the|Next it picks up the", ContainerWords},
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
  draft.facts = fmt::format(fmt::runtime(deal.Choose(form.opening)), who, fmt::arg("row", text));
  draft.question = fmt::format(fmt::runtime(deal.Choose(form.question)), who);
  return draft;
}

}  // namespace flashlm
