#include "probes/probes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "probes/words.h"

namespace flashlm {
namespace {

using Strings = std::vector<std::string>;

constexpr uint64_t kSets = 600;  // of a category and split that a test looks at

// The word of an ending: " kite." without blank and full stop.
std::string WordOf(const std::string& ending) { return ending.substr(1, ending.size() - 2); }

Strings WordsOf(const std::string& text) {
  Strings words(1);
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

Strings SentencesOf(const std::string& text) {
  Strings sentences;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    if (sentences.empty() || sentences.back().ends_with('.')) sentences.emplace_back();
    if (!sentences.back().empty()) sentences.back() += ' ';
    sentences.back() += word;
  }
  return sentences;
}

// Which endings a text mentions, in order.
std::vector<size_t> Mentions(const ProbeSet& set, const std::string& text) {
  std::vector<size_t> mentions;
  for (const std::string& word : WordsOf(text)) {
    for (size_t e = 0; e < set.endings.size(); ++e) {
      if (word == WordOf(set.endings[e])) mentions.push_back(e);
    }
  }
  return mentions;
}

template <class Visit>
void ForEachSet(const Visit& visit) {
  for (const std::string_view category : ProbeCategories()) {
    for (const ProbeSplit split : {ProbeSplit::kTrain, ProbeSplit::kHeldOut}) {
      for (uint64_t index = 0; index < kSets; ++index) visit(MakeProbeSet(category, split, 3, index), split);
    }
  }
}

// ---- Answers found in another way than they were made ----

// The fact that shares most words with the clue, or the one before it; it names one ending.
size_t SolveByOverlap(const ProbeSet& set, const Strings& facts, const std::string& clue) {
  const Strings clue_words = WordsOf(clue);
  const std::set<std::string> known(clue_words.begin(), clue_words.end());
  size_t best = 0, most = 0, ties = 0;
  for (const std::string& fact : facts) {
    size_t shared = 0;
    const Strings words = WordsOf(fact);
    for (const std::string& word : std::set<std::string>(words.begin(), words.end())) shared += known.contains(word);
    ties = shared == most ? ties + 1 : shared > most ? 0 : ties;
    if (shared <= most) continue;
    most = shared;
    const std::vector<size_t> mentions = Mentions(set, fact);
    best = mentions.empty() ? set.endings.size() : mentions.front();
  }
  EXPECT_EQ(ties, 0u) << clue;
  return best;
}

size_t SolvePattern(const ProbeSet& set, const std::string& facts) {
  const std::vector<size_t> row = Mentions(set, facts);
  for (size_t period = 1; period < row.size(); ++period) {
    bool fits = true;
    for (size_t i = period; i < row.size(); ++i) fits = fits && row[i] == row[i - period];
    if (fits) return row[row.size() - period];
  }
  return set.endings.size();
}

// "Sue gets the key from the dog." is about who has it then: without "from the dog".
std::string WithoutWhere(const std::string& sentence) {
  static const std::regex where(" from (the )?[A-Za-z]+");
  return std::regex_replace(sentence, where, "");
}

size_t SolveTracking(const ProbeSet& set, const std::string& facts) {
  // The object is the only word of the question that a sentence in the middle may have and the opening has not.
  const Strings sentences = SentencesOf(facts), question = WordsOf(set.question);
  const Strings opening = WordsOf(sentences.front());
  std::string object;
  for (const Words list : {ThingWords(), AnimalWords(), NameWords()}) {
    for (const std::string& word : question) {
      if (std::find(opening.begin(), opening.end(), word) != opening.end()) continue;
      if (object.empty() && std::find(list.begin(), list.end(), word) != list.end()) object = word;
    }
  }
  size_t at = set.endings.size();
  for (const std::string& sentence : sentences) {
    const Strings words = WordsOf(sentence);
    if (std::find(words.begin(), words.end(), object) == words.end()) continue;
    const std::vector<size_t> mentions = Mentions(set, WithoutWhere(sentence));
    if (mentions.empty()) {
      ADD_FAILURE() << sentence;
      continue;
    }
    at = mentions.back();
  }
  return at;
}

size_t SolveKHop(const ProbeSet& set, const std::string& facts) {
  const auto names_in = [](const std::string& text) {
    Strings names;
    for (const std::string& word : WordsOf(text)) {
      if (std::find(NameWords().begin(), NameWords().end(), word) != NameWords().end()) names.push_back(word);
    }
    return names;
  };
  std::map<std::string, std::string> next;
  std::string at;
  size_t hops = 0;
  for (const std::string& sentence : SentencesOf(facts)) {
    const Strings names = names_in(sentence);
    const bool backwards = sentence.find(" comes after ") != std::string::npos;
    if (names.size() == 2) next[names[backwards ? 1 : 0]] = names[backwards ? 0 : 1];
    if (names.size() == 1) at = names[0];
    const Strings numbers = {"no time", "one time", "two times", "three times", "four times"};
    for (size_t n = 0; n < numbers.size(); ++n) hops += sentence.find(numbers[n]) != std::string::npos ? n : 0;
  }
  EXPECT_EQ(next.size(), 8u);
  if (hops == 0) {  // the question says it
    at = names_in(set.question).at(0);
    for (const char* relation : {"friend of", "teacher of", "right of", "ehind"}) {
      for (size_t i = set.question.find(relation); i != std::string::npos; i = set.question.find(relation, i + 1)) {
        ++hops;
      }
    }
  }
  EXPECT_EQ(hops, static_cast<size_t>(set.k)) << set.Context(0);
  for (size_t hop = 0; hop < hops; ++hop) at = next[at];
  for (size_t e = 0; e < set.endings.size(); ++e) {
    if (WordOf(set.endings[e]) == at) return e;
  }
  return set.endings.size();
}

size_t Solve(const ProbeSet& set, size_t item) {
  const std::string& facts = set.facts[item];
  Strings sentences = SentencesOf(facts);
  if (set.category == "pattern") return SolvePattern(set, facts);
  if (set.category == "tracking") return SolveTracking(set, facts);
  if (set.category == "k_hop") return SolveKHop(set, facts);
  if (set.category == "recall") return SolveByOverlap(set, sentences, set.question);
  const std::string clue = sentences.back();
  sentences.pop_back();
  return SolveByOverlap(set, sentences, clue);
}

TEST(ProbesTest, TheRightEndingFollowsFromTheText) {
  ForEachSet([](const ProbeSet& set, ProbeSplit) {
    for (size_t item = 0; item < set.facts.size(); ++item) ASSERT_EQ(Solve(set, item), item) << set.Text(item);
  });
}

// ---- Form ----

TEST(ProbesTest, SetsAreWellFormed) {
  const std::regex before_vowel("\\b[Aa] [aeiou]");
  ForEachSet([&](const ProbeSet& set, ProbeSplit) {
    SCOPED_TRACE(set.category + ": " + set.Text(0));
    const size_t n = set.endings.size();
    ASSERT_GE(n, 2u);
    ASSERT_LE(n, 4u);
    ASSERT_EQ(set.facts.size(), n);
    ASSERT_EQ(std::set<std::string>(set.facts.begin(), set.facts.end()).size(), n);
    for (size_t item = 0; item < n; ++item) {
      const std::string text = set.Text(item);
      for (const char c : text)
        ASSERT_TRUE(std::isalpha(c) != 0 || std::string(" .,:").find(c) != std::string::npos) << c;
      ASSERT_EQ(text.find("  "), std::string::npos);
      for (const std::string& sentence : SentencesOf(text)) ASSERT_TRUE(std::isupper(sentence[0]) != 0) << sentence;
      ASSERT_FALSE(std::regex_search(text, before_vowel));
      // Every ending is mentioned: none can be ruled out by its absence.
      const std::vector<size_t> mentions = Mentions(set, set.facts[item]);
      ASSERT_EQ(std::set<size_t>(mentions.begin(), mentions.end()).size(), n);
      ASSERT_TRUE(Mentions(set, set.question).empty());
    }
    for (size_t a = 0; a < n; ++a) {
      ASSERT_TRUE(set.endings[a].starts_with(" ") && set.endings[a].ends_with("."));
      for (size_t b = 0; b < n; ++b) {
        if (a == b) continue;
        ASSERT_EQ(WordOf(set.endings[a]).find(WordOf(set.endings[b])), std::string::npos);
        ASSERT_LE(set.endings[a].size(), set.endings[b].size() + 2);
      }
    }
  });
}

// The texts of a set are one text in which the endings' words change places: no word, and no number of words, tells
// which ending is right.
TEST(ProbesTest, TheTextsOfASetDifferInNothingButTheEndingsPlaces) {
  ForEachSet([](const ProbeSet& set, ProbeSplit) {
    std::set<std::vector<size_t>> turned;
    std::set<std::string> skeletons;
    const size_t n = set.endings.size();
    for (size_t item = 0; item < n; ++item) {
      std::vector<size_t> mentions = Mentions(set, set.facts[item]);
      for (size_t& ending : mentions) ending = (ending + n - item) % n;
      turned.insert(mentions);
      std::string skeleton;
      for (const std::string& word : WordsOf(set.facts[item])) {
        skeleton += Mentions(set, word).empty() ? word + " " : "_ ";
      }
      skeletons.insert(skeleton);
    }
    ASSERT_EQ(turned.size(), 1u) << set.Text(0);
    ASSERT_EQ(skeletons.size(), 1u) << set.Text(0);
  });
}

TEST(ProbesTest, SeedAndIndexDecideAlone) {
  for (const std::string_view category : ProbeCategories()) {
    const auto text = [&](uint64_t seed, uint64_t index, ProbeSplit split = ProbeSplit::kHeldOut) {
      return MakeProbeSet(category, split, seed, index).Text(0);
    };
    EXPECT_EQ(text(1, 7), text(1, 7));
    EXPECT_NE(text(1, 7), text(2, 7));
    EXPECT_NE(text(1, 7), text(1, 11));
    EXPECT_NE(text(1, 7), text(1, 7, ProbeSplit::kTrain));
    std::set<std::string> different;
    for (uint64_t index = 0; index < kSets; ++index) different.insert(text(1, index));
    EXPECT_GT(different.size(), kSets * 95 / 100) << category;
  }
  EXPECT_ANY_THROW(MakeProbeSet("patern", ProbeSplit::kTrain, 1, 1));
}

TEST(ProbesTest, DifficultiesComeInTurn) {
  const std::map<std::string_view, std::set<int>> expected = {
      {"k_hop", {1, 2, 3, 4}}, {"recall", {2, 4, 6, 8}}, {"tracking", {1, 2, 3}}, {"pattern", {0}}};
  for (const auto& [category, difficulties] : expected) {
    std::map<int, int> seen;
    for (uint64_t i = 0; i < 12; ++i) ++seen[MakeProbeSet(category, ProbeSplit::kHeldOut, 1, i).k];
    std::set<int> values;
    for (const auto& [k, count] : seen) {
      values.insert(k);
      EXPECT_EQ(count, 12 / static_cast<int>(seen.size())) << category;
    }
    EXPECT_EQ(values, difficulties) << category;
  }
}

// ---- No prior and no shortcut ----

// Rules that look at where and how often an ending is mentioned, not at what is said.
using Rule = std::function<std::vector<size_t>(const std::vector<size_t>& mentions, size_t endings)>;

std::vector<size_t> Extreme(const std::vector<size_t>& mentions, size_t endings, bool most) {
  std::vector<int> counts(endings);
  for (const size_t ending : mentions) ++counts[ending];
  const int wanted =
      most ? *std::max_element(counts.begin(), counts.end()) : *std::min_element(counts.begin(), counts.end());
  std::vector<size_t> chosen;
  for (size_t e = 0; e < endings; ++e) {
    if (counts[e] == wanted) chosen.push_back(e);
  }
  return chosen;
}

TEST(ProbesTest, NoRuleAboutMentionsFindsTheAnswer) {
  const std::map<std::string, Rule> rules = {
      {"first", [](const auto& m, size_t) { return std::vector<size_t>{m.front()}; }},
      {"last", [](const auto& m, size_t) { return std::vector<size_t>{m.back()}; }},
      {"most", [](const auto& m, size_t n) { return Extreme(m, n, true); }},
      {"least", [](const auto& m, size_t n) { return Extreme(m, n, false); }},
  };
  std::map<std::string, std::pair<double, double>> above;  // summed: share right - chance, sets
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    for (const auto& [name, rule] : rules) {
      auto& [sum, count] = above[set.category + (split == ProbeSplit::kTrain ? " train " : " held out ") + name];
      const size_t n = set.endings.size();
      for (size_t item = 0; item < n; ++item) {
        const std::vector<size_t> chosen = rule(Mentions(set, set.facts[item]), n);
        const bool right = std::find(chosen.begin(), chosen.end(), item) != chosen.end();
        sum += ((right ? 1.0 / static_cast<double>(chosen.size()) : 0.0) - 1.0 / static_cast<double>(n)) /
               static_cast<double>(n);
      }
      ++count;
    }
  });
  // 600 sets: a standard error of 0.02.
  for (const auto& [name, sums] : above) EXPECT_NEAR(sums.first / sums.second, 0, 0.1) << name;
}

// Which word is right is not known beforehand: no word is more often right than it is an ending of few.
TEST(ProbesTest, EveryWordIsRightAsOftenAsChanceHasIt) {
  std::map<std::string, std::pair<double, double>> words;  // right, expected
  ForEachSet([&](const ProbeSet& set, ProbeSplit) {
    for (size_t item = 0; item < set.endings.size(); ++item) {
      const size_t solved = Solve(set, item);
      for (size_t e = 0; e < set.endings.size(); ++e) {
        auto& [right, expected] = words[set.category + set.endings[e]];
        right += solved == e;
        expected += 1.0 / static_cast<double>(set.endings.size());
      }
    }
  });
  EXPECT_GT(words.size(), 100u);
  for (const auto& [word, counts] : words) EXPECT_NEAR(counts.first, counts.second, 1e-6) << word;
}

// ---- Splits ----

std::string Joined(std::string_view clause) {
  std::string joined(clause);
  std::erase(joined, ' ');
  return joined;
}

bool InLists(const std::string& word) {
  for (const std::string_view clause : WeatherWords()) {
    if (word == Joined(clause)) return true;
  }
  for (const Words list : {NameWords(), ThingWords(), AnimalWords(), PlaceWords(), ContainerWords(), ColorWords(),
                           FeelingWords(), FoodWords(), NewWords(ProbeSplit::kTrain), NewWords(ProbeSplit::kHeldOut)}) {
    if (std::find(list.begin(), list.end(), word) != list.end()) return true;
  }
  return false;
}

// Clauses about the weather as one word: "itrains".
std::string WithWeatherJoined(std::string sentence) {
  for (const std::string_view clause : WeatherWords()) {
    const size_t at = sentence.find(clause);
    if (at != std::string::npos) sentence.replace(at, clause.size(), Joined(clause));
  }
  return sentence;
}

// A sentence with its words of the lists left out.
std::string SkeletonOf(const std::string& sentence) {
  std::string skeleton;
  for (const std::string& word : WordsOf(WithWeatherJoined(sentence))) skeleton += InLists(word) ? "_ " : word + " ";
  return skeleton;
}

// Of any category: no sentence of the one is a sentence or a question of the other, whatever it is about.
TEST(ProbesTest, TemplatesOfTheSplitsAreDisjoint) {
  std::map<ProbeSplit, std::set<std::string>> skeletons;
  std::map<std::string, std::set<int>> training, held_out;
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    for (const std::string& sentence : SentencesOf(set.facts[0])) skeletons[split].insert(SkeletonOf(sentence));
    skeletons[split].insert(SkeletonOf(set.question));
    (split == ProbeSplit::kTrain ? training : held_out)[set.category].insert(set.form);
  });
  const std::map<std::string, size_t> templates = {{"pattern", 16},    {"if_then", 16}, {"tracking", 10},
                                                   {"in_context", 14}, {"k_hop", 8},    {"recall", 12}};
  for (const auto& [category, count] : templates) {
    EXPECT_EQ(training[category].size(), count) << category;
    EXPECT_EQ(held_out[category].size(), 3u) << category;
  }
  for (const std::string& text : skeletons[ProbeSplit::kHeldOut]) {
    EXPECT_FALSE(skeletons[ProbeSplit::kTrain].contains(text)) << text;
  }
}

// Published figures are of these items.
TEST(ProbesTest, HeldOutItemsStayWhatTheyAre) {
  std::string texts;
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    if (split == ProbeSplit::kHeldOut) texts += set.Text(0) + "\n";
  });
  EXPECT_EQ(Sha256(texts), "0d3727a471701da0fb217399486f3dd21ea62340c203c6e7575fe6efa5740bd7");
}

TEST(ProbesTest, SomeTemplatesOfTrainingAreFrequent) {
  std::map<int, int> count;
  for (uint64_t i = 0; i < 2000; ++i) ++count[MakeProbeSet("pattern", ProbeSplit::kTrain, 1, i).form];
  EXPECT_NEAR(count[0], 2000 * std::cbrt(1.0 / 16), 80);
  EXPECT_NEAR(count[15], 2000 * (1 - std::cbrt(15.0 / 16)), 25);
}

// What a rule of if_then is about: the words that no other rule of the text has and that are no ending.
Strings KeysOfRules(const ProbeSet& set) {
  Strings rules = SentencesOf(set.facts[0]);
  rules.pop_back();  // what is the case
  std::map<std::string, int> count;
  for (const std::string& rule : rules) {
    for (const std::string& word : WordsOf(WithWeatherJoined(rule))) ++count[word];
  }
  Strings keys;
  for (const auto& [word, times] : count) {
    if (times == 1 && Mentions(set, word).empty()) keys.push_back(word);
  }
  return keys;
}

// The two things of tracking: in the sentences that say where they are, the last word of the lists that is no
// ending.
Strings ThingsOfTracking(const ProbeSet& set) {
  const Strings sentences = SentencesOf(set.facts[0]);
  Strings things;
  for (const size_t start : {1, 2}) {
    things.emplace_back();
    for (const std::string& word : WordsOf(sentences[start])) {
      if (InLists(word) && Mentions(set, word).empty()) things.back() = word;
    }
  }
  return things;
}

// The endings change places between the texts of a set, so that each key meets each of them.
TEST(ProbesTest, NoPairOfAKeyAndAnEndingIsInBothSplits) {
  std::map<ProbeSplit, std::set<Strings>> pairs;
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    Strings keys;
    if (set.category == "if_then") keys = KeysOfRules(set);
    if (set.category == "tracking") keys = ThingsOfTracking(set);
    for (const std::string& key : keys) {
      for (const std::string& ending : set.endings) pairs[split].insert({set.category, key, WordOf(ending)});
    }
  });
  EXPECT_GT(pairs[ProbeSplit::kHeldOut].size(), 300u);
  EXPECT_GT(pairs[ProbeSplit::kTrain].size(), 300u);
  for (const Strings& pair : pairs[ProbeSplit::kHeldOut]) {
    EXPECT_FALSE(pairs[ProbeSplit::kTrain].contains(pair)) << pair[0] << ": " << pair[1] << ' ' << pair[2];
  }
}

// What goes together in a training text never does in a held-out one.
TEST(ProbesTest, WordsOfTheSplitsAreDisjointWhereItMakesSense) {
  std::map<ProbeSplit, std::set<Strings>> pairs, groups;
  std::map<ProbeSplit, std::set<std::string>> words;
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    if (set.category == "pattern" || set.category == "k_hop") {
      Strings group = set.endings;
      std::sort(group.begin(), group.end());
      group.push_back(set.category);
      groups[split].insert(group);
    }
    if (set.category == "recall") {
      for (const std::string& facts : set.facts) {
        for (const std::string& fact : SentencesOf(facts)) {
          Strings pair;
          for (const std::string& word : WordsOf(fact)) {
            if (InLists(word)) pair.push_back(word);
          }
          ASSERT_EQ(pair.size(), 2u) << fact;
          std::sort(pair.begin(), pair.end());
          pairs[split].insert(pair);
        }
      }
    }
    if (set.category != "in_context") return;
    for (const std::string& word : WordsOf(set.facts[0])) words[split].insert(word);
  });
  for (const auto* of : {&pairs, &groups}) {
    EXPECT_GT(of->at(ProbeSplit::kTrain).size(), 50u);
    for (const Strings& held_out : of->at(ProbeSplit::kHeldOut)) {
      EXPECT_FALSE(of->at(ProbeSplit::kTrain).contains(held_out)) << held_out[0] << held_out[1];
    }
  }
  for (const std::string_view word : NewWords(ProbeSplit::kTrain)) {
    EXPECT_TRUE(words[ProbeSplit::kTrain].contains(std::string(word)));
    EXPECT_FALSE(words[ProbeSplit::kHeldOut].contains(std::string(word)));
  }
  for (const std::string_view word : NewWords(ProbeSplit::kHeldOut)) {
    EXPECT_FALSE(words[ProbeSplit::kTrain].contains(std::string(word)));
  }
}

TEST(ProbesTest, DocumentsForTrainingAreOfItsSplitAndOfAllCategories) {
  std::map<std::string, std::string> category_of;
  std::set<std::string> training;
  ForEachSet([&](const ProbeSet& set, ProbeSplit split) {
    if (split == ProbeSplit::kHeldOut) return;
    category_of[SkeletonOf(SentencesOf(set.facts[0])[0])] = set.category;
    for (size_t item = 0; item < set.facts.size(); ++item) training.insert(set.Text(item));
  });
  std::map<std::string, int> seen;
  int known = 0;
  for (uint64_t index = 0; index < 600; ++index) {
    const std::string document = ProbeDocument(3, index);
    EXPECT_EQ(document, ProbeDocument(3, index));
    EXPECT_TRUE(document.ends_with("."));
    const std::string skeleton = SkeletonOf(SentencesOf(document)[0]);
    if (category_of.contains(skeleton)) ++seen[category_of[skeleton]];
    known += training.contains(document);
  }
  EXPECT_NE(ProbeDocument(3, 0), ProbeDocument(4, 0));
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [category, count] : seen) EXPECT_NEAR(count, 100, 15) << category;
  EXPECT_LT(known, 6);
}

TEST(ProbesTest, DocumentsForTrainingOfOneCategory) {
  std::map<std::string, std::string_view> category_of;  // by what texts begin with
  for (const std::string_view category : ProbeCategories()) {
    for (uint64_t index = 0; index < 400; ++index) {
      const ProbeSet set = MakeProbeSet(category, ProbeSplit::kTrain, 9, index);
      category_of[SkeletonOf(SentencesOf(set.facts[0])[0])] = category;
    }
  }
  for (const std::string_view category : ProbeCategories()) {
    int known = 0;
    for (uint64_t index = 0; index < 100; ++index) {
      const auto found = category_of.find(SkeletonOf(SentencesOf(ProbeDocument(3, index, category))[0]));
      if (found == category_of.end()) continue;
      EXPECT_EQ(found->second, category);
      ++known;
    }
    EXPECT_GT(known, 70) << category;
  }
  EXPECT_THROW(ProbeDocument(3, 0, "hopping"), Error);
}

// Followed in the text itself: every answer is the one that its links lead to.
TEST(ProbesTest, TextsOfManyHopsAnswerThemselves) {
  int followed = 0, furthest = 0;
  for (uint64_t index = 0; index < 300; ++index) {
    const std::string text = HopsDocument(5, index, kMostHops);
    EXPECT_EQ(text, HopsDocument(5, index, kMostHops));
    const std::vector<std::string> sentences = SentencesOf(text);
    if (!sentences[0].starts_with("The friend of ")) continue;
    std::map<std::string, std::string> next;
    std::set<std::string> questions;
    for (const std::string& sentence : sentences) {
      const std::vector<std::string> words = WordsOf(sentence);
      const auto is = std::find(words.begin(), words.end(), "is");
      ASSERT_TRUE(is != words.begin() && is + 1 != words.end()) << sentence;
      const auto hops = std::count(words.begin(), is, "friend");
      if (hops == 1 && next.emplace(*(is - 1), *(is + 1)).second) continue;
      EXPECT_TRUE(questions.insert(sentence).second) << text;
      std::string person = *(is - 1);
      for (int hop = 0; hop < hops; ++hop) person = next.at(person);
      EXPECT_EQ(person, *(is + 1)) << text;
      ++followed;
      furthest = std::max(furthest, static_cast<int>(hops));
    }
  }
  EXPECT_GT(followed, 100);
  EXPECT_EQ(furthest, kMostHops);
  for (uint64_t index = 0; index < 50; ++index) {
    EXPECT_EQ(HopsDocument(5, index, 1).find("two times"), std::string::npos);
  }
}

}  // namespace
}  // namespace flashlm
