// States of prompts that were read before, so that what begins alike is not read again.
//
// A state is used only where a prompt is cut as the one was that it comes from (infer/stream_reader.h), so that the
// bits are those that reading it would give. Prompts of n and m tokens share the cuts that their lengths share: all
// multiples of 512, and further powers of two as far as n and m have them in common; the same prompt shares all.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "serve/stream_job.h"
#include "tensor/state.h"

namespace flashlm {

// What reading the beginning of a prompt leaves. Immutable; held by streams that continue from it.
struct ReadPrefix {
  std::vector<int32_t> tokens;
  std::vector<int32_t> cuts;  // where each piece ended, the last one at the end of tokens
  State state{1};
  std::vector<float> log_probs;  // [V], of what follows
  DrawnToken expected;           // what the model said beside it; no token is drawn yet

  int64_t Bytes() const {
    return state.Bytes() + static_cast<int64_t>((tokens.size() + cuts.size() + log_probs.size()) * sizeof(float));
  }
};

// Where a prompt of n tokens is cut.
std::vector<int32_t> CutsOf(int64_t tokens);

// For one thread.
class PrefixCache {
 public:
  explicit PrefixCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

  // The longest beginning of the prompt that is known, null if none is.
  std::shared_ptr<const ReadPrefix> Find(std::span<const int32_t> prompt, std::span<const int32_t> cuts);
  // Forgets those that were not used for longest, if need be.
  void Add(std::shared_ptr<const ReadPrefix> prefix);

  int64_t bytes() const { return bytes_; }
  size_t size() const { return prefixes_.size(); }

 private:
  int64_t most_bytes_, bytes_ = 0;
  std::list<std::shared_ptr<const ReadPrefix>> prefixes_;  // last used first
};

}  // namespace flashlm
