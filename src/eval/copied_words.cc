#include "eval/copied_words.h"

#include <algorithm>
#include <numeric>

namespace flashlm {

int CopiedWords::Target(int state, int word) const {
  const auto found = targets_.find(Key(state, word));
  return found == targets_.end() ? -1 : found->second;
}

void CopiedWords::AddEdge(int state, int word, int target) {
  targets_[Key(state, word)] = target;
  edges_.push_back({word, states_[static_cast<size_t>(state)].edges});
  states_[static_cast<size_t>(state)].edges = static_cast<int>(edges_.size()) - 1;
}

int CopiedWords::TargetOfLength(int state, int word) {
  const int target = Target(state, word);
  const int length = states_[static_cast<size_t>(state)].length + 1;
  if (states_[static_cast<size_t>(target)].length == length) return target;
  const int copy = static_cast<int>(states_.size());
  states_.push_back({length, states_[static_cast<size_t>(target)].link});
  for (int e = states_[static_cast<size_t>(target)].edges; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
    const int edge_word = edges_[static_cast<size_t>(e)].word;
    AddEdge(copy, edge_word, Target(target, edge_word));
  }
  states_[static_cast<size_t>(target)].link = copy;
  for (int at = state; at >= 0 && Target(at, word) == target; at = states_[static_cast<size_t>(at)].link) {
    targets_[Key(at, word)] = copy;
  }
  return copy;
}

void CopiedWords::Add(std::span<const int> words) {
  int last = 0;
  for (const int word : words) {
    if (Target(last, word) >= 0) {  // an earlier text has it all
      last = TargetOfLength(last, word);
      continue;
    }
    const int added = static_cast<int>(states_.size());
    states_.push_back({states_[static_cast<size_t>(last)].length + 1, 0});
    int at = last;
    for (; at >= 0 && Target(at, word) < 0; at = states_[static_cast<size_t>(at)].link) AddEdge(at, word, added);
    if (at >= 0) {
      const int link = TargetOfLength(at, word);
      states_[static_cast<size_t>(added)].link = link;
    }
    last = added;
  }
}

void CopiedWords::Read(std::span<const int> words) {
  settled_ = false;
  int at = 0, length = 0;
  for (const int word : words) {
    int target = word < 0 ? -1 : Target(at, word);
    while (target < 0 && at > 0 && word >= 0) {
      at = states_[static_cast<size_t>(at)].link;
      length = states_[static_cast<size_t>(at)].length;
      target = Target(at, word);
    }
    at = std::max(target, 0);
    length = target < 0 ? 0 : length + 1;
    states_[static_cast<size_t>(at)].read = std::max(states_[static_cast<size_t>(at)].read, length);
  }
}

void CopiedWords::Settle() {
  std::vector<int> order(states_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return states_[static_cast<size_t>(a)].length > states_[static_cast<size_t>(b)].length;
  });
  for (const int state : order) {
    const State& from = states_[static_cast<size_t>(state)];
    if (from.read > 0 && from.link > 0) {
      State& suffix = states_[static_cast<size_t>(from.link)];
      suffix.read = suffix.length;
    }
  }
  settled_ = true;
}

int CopiedWords::Longest(std::span<const int> words) {
  if (!settled_) Settle();
  int at = 0, length = 0, longest = 0;
  for (const int word : words) {
    at = Target(at, word);
    ++length;
    int read = at;
    while (read > 0 && states_[static_cast<size_t>(read)].read == 0) read = states_[static_cast<size_t>(read)].link;
    longest = std::max(longest, read > 0 ? std::min(length, states_[static_cast<size_t>(read)].read) : 0);
  }
  return longest;
}

}  // namespace flashlm
