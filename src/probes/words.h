// The words of the probes, all frequent in TinyStories, and dealing them.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "probes/probes.h"

namespace flashlm {

using Words = std::span<const std::string_view>;

// Nouns begin with a consonant: "a" fits them all.
Words NameWords();
Words ThingWords();
Words AnimalWords();
Words PlaceWords();      // that one is in: "in the park"
Words ContainerWords();  // none of them a thing of ThingWords
Words ColorWords();
Words FeelingWords();
Words FoodWords();
Words WeatherWords();              // clauses: "it rains"
Words NewWords(ProbeSplit split);  // that nobody knows

// Draws words for one set.
class WordDeal {
 public:
  WordDeal(ProbeSplit split, Rng& rng) : split_(split), rng_(rng) {}

  ProbeSplit split() const { return split_; }
  size_t Below(size_t n) { return static_cast<size_t>(rng_.Below(n)); }
  template <class T>
  void Shuffle(std::vector<T>& items) {
    ShuffleItems(items, rng_);
  }
  // One of this split's templates, and which. Of those for training the earlier are the more frequent, as wordings are
  // in language: of 16 the first is drawn four times in ten, the last twice in a hundred. What a task is, is found in
  // sentences that come often; that it is the same in others, from those that do not.
  template <class Form>
  const Form& PickForm(std::span<const Form> train, std::span<const Form> held_out, int& number) {
    const std::span<const Form> forms = split_ == ProbeSplit::kTrain ? train : held_out;
    const size_t i = split_ == ProbeSplit::kTrain ? SmallOften(forms.size()) : Below(forms.size());
    number = static_cast<int>(i);
    return forms[i];
  }

  // One of the wordings that a template has, with | between them; of a single one, that, and nothing is drawn.
  std::string_view Choose(std::string_view alternatives);

  std::string One(Words list) { return std::string(list[Below(list.size())]); }
  // `count` different ones that are not among `taken`.
  std::vector<std::string> Others(Words list, size_t count, const std::vector<std::string>& taken);

  // Words for endings that are fair to compare: different ones, none a part of another, their lengths at most two
  // bytes apart; a group of this split.
  std::vector<std::string> Group(Words list, size_t count);

  // `count` keys and `count` values, the first `endings` values fair to compare, of lists where every pair of a key
  // and a value is one of this split: in training both stand at even places of their lists, or both at odd ones; held
  // out are the pairs of the others.
  struct Pairs {
    std::vector<std::string> keys, values;
  };
  Pairs PairUp(Words keys, Words values, size_t count, size_t endings) {
    return PairUp(keys, values, count, count, endings);
  }
  // The same with fewer or more keys than values.
  Pairs PairUp(Words keys, Words values, size_t key_count, size_t value_count, size_t endings);

 private:
  // Below n, small numbers the more often: i of probability ((i + 1) / n)^(1/3) - (i / n)^(1/3).
  size_t SmallOften(size_t n);

  ProbeSplit split_;
  Rng& rng_;
};

}  // namespace flashlm
