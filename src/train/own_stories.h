// The stories that a model wrote itself and that training goes on with (train/amplification.h), in memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flashlm {

class OwnStories {
 public:
  // ids: without the closing <eos>, which is added.
  void Add(std::span<const int32_t> ids);
  void Clear();

  bool empty() const { return ends_.empty(); }
  int64_t count() const { return static_cast<int64_t>(ends_.size()); }
  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }

  // Sequence n: stories drawn at random, one after the other, each from <eos> to its own <eos>, the last one cut off;
  // a function of (seed, n) and the stories there are. inputs, targets [length].
  void Sequence(uint64_t seed, int64_t n, int length, int32_t* inputs, int32_t* targets) const;

 private:
  std::vector<int32_t> tokens_;  // of all stories, each with its <eos>
  std::vector<int64_t> ends_;    // in tokens_
};

}  // namespace flashlm
