// How hard the stories of a data set are, told without training anything, so that a curriculum can begin with the easy
// ones (docs/spec/data.md#difficulty):
//
//   difficulty = nats per token + 0.25 ln(tokens)
//
// Nats are the cross-entropy of the story's tokens, its <eos> among them, under a bigram model of all other stories:
//
//   p(b | a) = (c(a, b) + 50 p(b)) / (c(a) + 50),   p(b) = (c(b) + 1) / (N + V)
//
// c being counts in the training stream without the story itself, N their sum. Unusual words and unusual sequences of
// words make a story hard, and so does length: one that is e times as long counts a quarter of a nat harder.
//
// Documents that were mixed in (data/mixture.h) are no stories: they have no difficulty and are not counted, and
// whatever part of the stories is chosen, all of them are in it. A curriculum that begins with the easy stories does
// not put off what was mixed in, and its share of the whole is not spent on percentiles.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/shards.h"

namespace flashlm {

inline constexpr const char* kDifficultyFile = "train_difficulty.bin";  // docs/formats.md#token-shards
inline constexpr const char* kDifficultyMeasure =
    "nats per token under a bigram model of the other stories, plus 0.25 ln(tokens)";
inline constexpr double kDifficultyOfLength = 0.25;
inline constexpr float kMixedIn = -1;  // in place of the difficulty, which is never below 0, of what is no story

// Of every document, in the order of the stream; one that was cut counts as if its <eos> followed. One pass to count
// and one to score, some 0.1 us a token on one thread; at most 64 MB for counts of pairs, which are exact for
// vocabularies of up to 4,096 and hashed to 2^24 cells beyond. on_progress gets the part that is done, of 1; may be
// empty. mixed_in: ascending numbers of documents that are no stories and get kMixedIn.
std::vector<float> ComputeDifficulty(const TokenData& data, const std::function<void(double)>& on_progress = {},
                                     std::span<const uint32_t> mixed_in = {});

// Writes it beside the shards of the training stream that it is of.
void WriteDifficulty(const std::string& folder, const TokenData& train, std::span<const float> difficulty);
// What is written there, or where there is none, as in data sets from before there was, what would be, computed, all
// documents being taken for stories. Throws Error if the file is damaged or of another stream.
std::vector<float> ReadDifficulty(const std::string& folder, const TokenData& train);

// All stories by difficulty, of equal ones the earlier first.
std::vector<uint32_t> EasiestFirst(std::span<const float> difficulty);

// The stories whose difficulty lies within percentiles low to high of all stories', 0 <= low < high <= 100, and every
// document that was mixed in, in the order of the stream. By rank, of equal ones the earlier first: ranges that touch
// share no story and leave none out; one too narrow to hold any gives the story that is there. Throws UsageError for
// other bounds.
std::vector<uint32_t> DocumentsWithin(std::span<const float> difficulty, double low, double high);

}  // namespace flashlm
