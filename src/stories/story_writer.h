// The corpus that needs no download: short children's stories from a probabilistic grammar (stories/story_*.cc).
// The writer knows the probability of all it does, so the corpus comes with something no natural text has: a
// proven upper bound on its entropy, against which a model's bits per byte can be read.
//
// Why the sum of the choices' surprisals is an upper bound: a story is a deterministic function of the
// sequence of choices C, text = f(C), and several sequences may give the same text, so H(text) <= H(C). By
// the chain rule H(C) is the expectation of -log2 p summed over the choices, each p being conditional on the
// choices before it. Stories are independent of each other, and where a story ends follows from its choices,
// so the bound includes the closing <eos>.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flashlm {

struct StoryCharacter {
  std::string role;     // "hero", "friend", "helper", "owner"
  std::string name;     // as the text names the character
  std::string pronoun;  // "he" or "she"
};

struct SyntheticStory {
  std::string text;  // ASCII, without white space at its ends
  double bits = 0;   // sum of the choices' surprisals
  std::vector<StoryCharacter> cast;
};

class StoryWriter {
 public:
  explicit StoryWriter(uint64_t seed) : seed_(seed) {}

  // A pure function of (seed, index); thread-safe.
  SyntheticStory Write(uint64_t index) const;

 private:
  uint64_t seed_;
};

// E[bits] / E[bytes] over `stories` stories: an estimate of the bound in bits per byte of text. Its standard
// error is about 0.05 / sqrt(stories).
double EntropyBound(uint64_t seed, int stories = 4096);

}  // namespace flashlm
