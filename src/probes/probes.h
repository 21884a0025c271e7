// Questions that a text answers, for measuring whether a model follows what it reads (docs/probes.md). Written from
// templates in the vocabulary of TinyStories; a pure function of (category, split, seed, index).
//
// Items come in sets: the same question with the same endings, and one text for each ending, made from one another by
// letting the endings' words change places. So every ending is right exactly once, whatever is known without the text
// (how frequent a word is, what likes to follow the question) is right in exactly one item of a set, and chance is
// 1 / endings to the letter.
//
// The two splits have different templates. Of recall, if_then and tracking no pair of a key and a word that goes with
// it (Lily and her kite) stands in both, of in_context no invented word, of pattern and k_hop no group of endings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

enum class ProbeSplit { kTrain, kHeldOut };

struct ProbeSet {
  std::string category;
  int form = 0;                      // the template, from 0 on within category and split
  int k = 0;                         // how difficult: hops, pairs, moves; 0 where it is not counted
  std::string question;              // the beginning of a sentence that an ending completes
  std::vector<std::string> endings;  // [n], n from 2 to 4, " kite.": a blank, a word and a full stop
  std::vector<std::string> facts;    // [n]: after facts[i] and the question, endings[i] is right

  std::string Context(size_t item) const { return facts[item] + " " + question; }
  std::string Text(size_t item) const { return Context(item) + endings[item]; }
};

// pattern, if_then, tracking, in_context, k_hop, recall.
std::span<const std::string_view> ProbeCategories();

// index below 2^56. Sets of neighbouring indices take the category's difficulties in turn. Throws Error for a category
// that there is not.
ProbeSet MakeProbeSet(std::string_view category, ProbeSplit split, uint64_t seed, uint64_t index);

// A text for training: context and right ending of an item of the training split, of `category`, or all categories in
// turn where that is empty. Its items are not among those that MakeProbeSet gives for an index below 2^55, except where
// few words make two alike. Throws as MakeProbeSet does.
std::string ProbeDocument(uint64_t seed, uint64_t index, std::string_view category = {});

// A text for training like those of k_hop, but easier to learn from: of three to eight people, and with up to eight
// questions about them, each of at most so many hops and with its answer. most_hops in [1, 4].
constexpr int kMostHops = 4;
std::string HopsDocument(uint64_t seed, uint64_t index, int most_hops);

}  // namespace flashlm
