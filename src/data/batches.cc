#include "data/batches.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Ring position of the first target of an epoch's first chunk.
int64_t EpochOffset(uint64_t seed, int64_t epoch, int length) {
  Rng rng(seed, Purpose::kDataOrder, static_cast<uint64_t>(epoch));
  return static_cast<int64_t>(rng.Below(static_cast<uint64_t>(length)));
}

}  // namespace

IndexPermutation::IndexPermutation(uint64_t n, uint64_t seed, uint64_t epoch) : n_(n), seed_(seed), epoch_(epoch) {
  FLASHLM_CHECK(n > 0, "a permutation of nothing");
  half_bits_ = std::max(1, static_cast<int>(std::bit_width(n - 1) + 1) / 2);
}

uint64_t IndexPermutation::operator()(uint64_t index) const {
  // Four rounds make a Feistel network pseudo-random (Luby and Rackoff, 1988) on large domains; small ones
  // need more.
  constexpr uint32_t kRounds = 8;
  // Bit 31 of the round word keeps these numbers apart from the Rng stream of EpochOffset, whose third word
  // counts epochs.
  const PhiloxKey key = MakePhiloxKey(seed_, Purpose::kDataOrder);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {
    uint64_t left = index >> half_bits_, right = index & mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const auto word = Philox(key, {static_cast<uint32_t>(right), 0x80000000u | round, static_cast<uint32_t>(epoch_),
                                     static_cast<uint32_t>(epoch_ >> 32)});
      const uint64_t next = (left ^ word[0]) & mask;
      left = right;
      right = next;
    }
    index = (left << half_bits_) | right;
  } while (index >= n_);
  return index;
}

BatchReader::BatchReader(const TokenData& data, int length, uint64_t seed, Shuffle shuffle,
                         std::vector<uint32_t> documents)
    : data_(data),
      length_(length),
      seed_(seed),
      ring_(data, shuffle, seed, std::move(documents)),
      per_epoch_(ring_.size() / std::max(length, 1)) {
  FLASHLM_CHECK(length > 0, "sequences of {} tokens", length);
  if (ring_.size() <= length) {
    throw Error(fmt::format("the data has {} tokens, too few for one sequence of {}", ring_.size(), length),
                "prepare more text, or lower train.sequence_length");
  }
}

void BatchReader::Sequence(int64_t n, int32_t* inputs, int32_t* targets, int64_t* positions) const {
  FLASHLM_CHECK(n >= 0, "sequence {}", n);
  const int64_t epoch = n / per_epoch_;
  const IndexPermutation order(static_cast<uint64_t>(per_epoch_), seed_, static_cast<uint64_t>(epoch));
  const auto chunk = static_cast<int64_t>(order(static_cast<uint64_t>(n % per_epoch_)));
  const int64_t start = EpochOffset(seed_, epoch, length_) + chunk * length_;
  ring_.Arrange(epoch);
  for (int64_t done = 0, count; done < length_; done += count) {
    const DocumentRing::Piece piece = ring_.At((start + done) % ring_.size());
    count = std::min(piece.count, length_ - done);
    data_.Copy(piece.begin, count, targets + done);
    inputs[done] = piece.first ? Tokenizer::kEos : data_[piece.begin - 1];
    std::copy_n(targets + done, count - 1, inputs + done + 1);
    if (positions != nullptr) std::iota(positions + done, positions + done + count, piece.begin);
  }
}

void BatchReader::Read(int64_t first, int64_t count, int32_t* inputs, int32_t* targets, int64_t* positions) const {
  for (int64_t b = 0; b < count; ++b) {
    Sequence(first + b, inputs + b * length_, targets + b * length_,
             positions == nullptr ? nullptr : positions + b * length_);
  }
}

}  // namespace flashlm
