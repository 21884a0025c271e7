#include "stories/story_writer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "stories/grammar.h"
#include "stories/story_text.h"

namespace flashlm {
namespace {

const Grammar& StoryGrammar() {
  static const Grammar grammar({kStoryWords, kStorySentences, kStoryPlots}, "story");
  return grammar;
}

constexpr size_t kMostAlternatives = 256;

std::span<const double> EqualWeights(size_t count) {
  static const std::vector<double> ones(kMostAlternatives, 1.0);
  FLASHLM_CHECK(count <= kMostAlternatives, "a rule with {} alternatives", count);
  return {ones.data(), count};
}

// Zipf's law with an offset that keeps the likeliest word of a list below about a twentieth.
std::span<const double> ZipfWeights(size_t count) {
  static const std::vector<double> weights = [] {
    std::vector<double> w(kMostAlternatives);
    for (size_t i = 0; i < w.size(); ++i) w[i] = 1.0 / (static_cast<double>(i) + 8.0);
    return w;
  }();
  FLASHLM_CHECK(count <= kMostAlternatives, "a rule with {} alternatives", count);
  return {weights.data(), count};
}

// Tells one story. All randomness goes through Choose, which is what makes the bound sound.
class Teller {
 public:
  Teller(uint64_t seed, uint64_t index)
      : grammar_(StoryGrammar()), rng_(seed, Purpose::kCorpus, index), memory_(grammar_.rules().size()) {}

  std::string Tell() {
    variant_ = Choose(EqualWeights(grammar_.variants().size()));
    std::string text;
    Expand(grammar_.root(), 0, text);
    return text;
  }

  double bits() const { return bits_; }

  std::vector<StoryCharacter> Cast() {
    std::vector<StoryCharacter> cast;
    for (size_t i = 0; i < memory_.size(); ++i) {
      const GrammarRule& rule = grammar_.rules()[i];
      const int pronoun = rule.FindColumn("he");
      if (pronoun < 0 || memory_[i].alternative < 0) continue;
      const std::optional<std::string>& name = memory_[i].columns[0];
      std::string he;
      ExpandSequence(rule.alternatives[memory_[i].alternative][pronoun], he);
      cast.push_back({rule.name, name.value_or(""), he});
    }
    return cast;
  }

 private:
  struct Memory {
    int alternative = -1;                             // of a `once` rule
    std::vector<std::optional<std::string>> columns;  // of a `once` rule, as far as mentioned
    std::vector<bool> told;                           // alternatives that a `unique` rule has used up
  };

  // Draws an index with probability proportional to `weights` and adds its surprisal to the story's bits.
  int Choose(std::span<const double> weights) {
    double total = 0;
    int last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      total += weights[i];
      if (weights[i] > 0) last = static_cast<int>(i);
    }
    double left = rng_.UniformDouble() * total;
    int chosen = 0;
    while (chosen < last && (weights[chosen] == 0 || left >= weights[chosen])) left -= weights[chosen++];
    bits_ -= std::log2(weights[chosen] / total);
    return chosen;
  }

  int ChooseAlternative(int index) {
    const GrammarRule& rule = grammar_.rules()[index];
    const size_t count = rule.alternatives.size();
    const std::span<const double> usual = rule.zipf ? ZipfWeights(count) : EqualWeights(count);
    if (!rule.unique) return Choose(usual);
    std::vector<double> weights(usual.begin(), usual.end());
    std::vector<bool>& told = memory_[index].told;
    if (std::count(told.begin(), told.end(), true) == static_cast<std::ptrdiff_t>(count)) told.clear();
    told.resize(count, false);
    for (size_t i = 0; i < count; ++i) weights[i] *= !told[i];
    const int chosen = Choose(weights);
    told[chosen] = true;
    return chosen;
  }

  void Expand(int index, int column, std::string& text) {
    const GrammarRule& rule = grammar_.rules()[index];
    if (!rule.once) {
      ExpandSequence(rule.alternatives[ChooseAlternative(index)][column], text);
      return;
    }
    Memory& memory = memory_[index];
    if (memory.alternative < 0) {
      memory.alternative = ChooseAlternative(index);
      memory.columns.resize(rule.columns.size());
    }
    std::optional<std::string>& said = memory.columns[column];
    if (!said) {
      std::string fresh;
      ExpandSequence(rule.alternatives[memory.alternative][column], fresh);
      said = fresh;
    }
    text += *said;
  }

  void ExpandSequence(const GrammarSequence& sequence, std::string& text) {
    for (const GrammarNode& node : sequence) {
      if (node.kind == GrammarNode::Kind::kText) {
        text += node.text;
      } else if (node.kind == GrammarNode::Kind::kReference) {
        Expand(node.rules[variant_], node.column, text);
      } else {
        ExpandSequence(node.options[Choose(EqualWeights(node.options.size()))], text);
      }
    }
  }

  const Grammar& grammar_;
  Rng rng_;
  int variant_ = 0;
  double bits_ = 0;
  std::vector<Memory> memory_;
};

// "an apple", "an hour", but "a unicorn", "a one-eyed cat".
bool StartsWithVowelSound(std::string_view word) {
  if (word.substr(0, 4) == "hour" || word.substr(0, 6) == "honest") return true;
  if (word.substr(0, 3) == "uni" || word.substr(0, 3) == "use" || word.substr(0, 3) == "one") return false;
  return !word.empty() && std::string_view("aeiouAEIOU").find(word[0]) != std::string_view::npos;
}

// Puts what the grammar leaves out: capitals at the starts of sentences and quotations and after '^', "an"
// before vowels; and removes doubled blanks where an optional phrase was empty.
std::string Polish(std::string_view draft) {
  std::string text;
  bool capital = true;
  for (size_t i = 0; i < draft.size(); ++i) {
    const char c = draft[i];
    const char before = text.empty() ? '\n' : text.back();
    if (c == '^') {
      capital = true;
      continue;
    }
    if (c == ' ' && (before == ' ' || before == '\n')) continue;
    if (c == '\n' && before == ' ') text.pop_back();
    const bool word_start = !std::isalpha(static_cast<unsigned char>(before)) && before != '\'';
    const bool article = word_start && (c == 'a' || c == 'A') && draft.substr(i + 1, 1) == " ";
    text += capital ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    if (article && StartsWithVowelSound(draft.substr(i + 2))) text += 'n';
    if (std::isalnum(static_cast<unsigned char>(c))) capital = false;
    // A full stop inside a quotation ends the sentence outside too; '!' and '?' do not ("Stop!" she said).
    const bool opens_quotation = c == '"' && (before == ' ' || before == '\n');
    if (c == '.' || c == '\n' || opens_quotation) capital = true;
    if ((c == '!' || c == '?') && draft.substr(i + 1, 1) != "\"") capital = true;
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

SyntheticStory StoryWriter::Write(uint64_t index) const {
  Teller teller(seed_, index);
  SyntheticStory story;
  story.text = Polish(teller.Tell());
  story.bits = teller.bits();
  story.cast = teller.Cast();
  return story;
}

double EntropyBound(uint64_t seed, int stories) {
  const StoryWriter writer(seed);
  std::vector<double> bits(stories), bytes(stories);
  ParallelFor(stories, [&](int64_t i) {
    const SyntheticStory story = writer.Write(static_cast<uint64_t>(i));
    bits[i] = story.bits;
    bytes[i] = static_cast<double>(story.text.size());
  });
  double all_bits = 0, all_bytes = 0;
  for (int i = 0; i < stories; ++i) {
    all_bits += bits[i];
    all_bytes += bytes[i];
  }
  return all_bits / all_bytes;
}

}  // namespace flashlm
