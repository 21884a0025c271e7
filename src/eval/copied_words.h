// The longest passages that texts have in common with another one, which is read once and never kept.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace flashlm {

// A suffix automaton (Blumer et al. 1985) of some texts of words: every sequence of words that stands in one of them is
// a path in it, and a text read through it tells at each word how many of the last words stand together there, in
// constant time on average. About 150 bytes a word of the texts it is made of.
class CopiedWords {
 public:
  // The texts whose passages are looked for, one after the other. Words are numbers from 0 on.
  void Add(std::span<const int> words);
  // What they may be copied from, text after text, after the last Add. A negative number is a word that none of them
  // has. Passages do not run from one text into the next.
  void Read(std::span<const int> words);
  // Of a text that was added: words of its longest passage that was read.
  int Longest(std::span<const int> words);

 private:
  struct State {
    int length = 0;  // of the longest passage that leads here
    int link = -1;   // the state of its longest suffix that leads elsewhere
    int edges = -1;  // the newest in edges_
    int read = 0;    // the longest passage that leads here and was read
  };
  struct Edge {
    int word, next;  // next: an older edge of the same state
  };

  int Target(int state, int word) const;  // -1: none
  void AddEdge(int state, int word, int target);
  // The state behind `state` and `word`, whose passages are no longer than state's and one word: a copy of part of it
  // is made if it has longer ones.
  int TargetOfLength(int state, int word);
  // What was read of a passage was read of its suffixes too.
  void Settle();

  static uint64_t Key(int state, int word) {
    return static_cast<uint64_t>(static_cast<uint32_t>(state)) << 32 | static_cast<uint32_t>(word);
  }

  std::vector<State> states_{State{}};
  std::vector<Edge> edges_;
  std::unordered_map<uint64_t, int> targets_;
  bool settled_ = false;
};

}  // namespace flashlm
