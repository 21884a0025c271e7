#include "text/bpe_train.h"

#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/pair_map.h"
#include "text/word_counts.h"

namespace flashlm {
namespace {

constexpr int64_t kMinFrequency = 2;
constexpr uint32_t kNone = ~0u;

// All distinct words lie in one array of symbols, linked within each word. A pair remembers where it occurs,
// so a merge touches its own occurrences only: the cost of training is the number of merges made, not merges
// times words, and one word of 10 MB is as good as a million short ones.
//
// Every merge makes a token that did not exist: where a token's bytes stand between token boundaries, all
// merges so far happened inside them, in the same order as at every other such place, so no second pair can
// spell them. Hence pairs with a new token are new too, and a pair gains occurrences only in the round that
// first sees it.
class Trainer {
 public:
  explicit Trainer(const std::vector<WordCount>& words);
  BpeModel Run(int vocab_size);

 private:
  struct Symbol {
    uint32_t previous, next;  // positions; kNone at the ends of a word and in symbols that were merged away
    uint32_t word;
    uint16_t id;
  };
  struct Pair {
    uint16_t left, right;
    int64_t count = 0;
    // Of the left symbol, ascending; includes places where the pair is no more.
    std::vector<uint32_t> positions = {};
  };
  struct Candidate {
    int64_t count;  // when queued; the pair's own count may have fallen since
    uint32_t key;   // PairMap::Key, whose order is that of (left, right)
    uint32_t pair;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };

  void AddOccurrence(uint16_t left, uint16_t right, uint32_t position);
  void DropOccurrence(uint16_t left, uint16_t right, uint32_t word);
  void Queue(uint32_t index);
  void MergeNext(Pair& pair);

  BpeModel model_ = AlphabetModel();
  std::vector<int64_t> word_counts_;
  std::vector<Symbol> symbols_;
  PairMap pair_index_;
  std::vector<Pair> pairs_;
  std::priority_queue<Candidate> queue_;
};

Trainer::Trainer(const std::vector<WordCount>& words) {
  uint16_t byte_ids[256];
  for (size_t id = 0; id < model_.entries.size(); ++id) {
    const std::string& bytes = model_.entries[id].bytes;
    if (!bytes.empty()) byte_ids[static_cast<uint8_t>(bytes[0])] = static_cast<uint16_t>(id);
  }
  size_t total = 0;
  for (const WordCount& word : words) total += word.word.size();
  if (total >= kNone || words.size() >= kNone) {
    throw Error(fmt::format("the texts hold {} bytes of distinct words, more than 4 G", total),
                "train the tokenizer on a part of the texts");
  }
  symbols_.reserve(total);
  for (const auto& [word, count] : words) {
    const uint32_t begin = static_cast<uint32_t>(symbols_.size());
    const uint32_t end = begin + static_cast<uint32_t>(word.size());
    for (uint32_t i = begin; i < end; ++i) {
      symbols_.push_back({i == begin ? kNone : i - 1, i + 1 == end ? kNone : i + 1,
                          static_cast<uint32_t>(word_counts_.size()), byte_ids[static_cast<uint8_t>(word[i - begin])]});
    }
    word_counts_.push_back(count);
    for (uint32_t i = begin; i + 1 < end; ++i) AddOccurrence(symbols_[i].id, symbols_[i + 1].id, i);
  }
}

void Trainer::AddOccurrence(uint16_t left, uint16_t right, uint32_t position) {
  const uint32_t fresh = static_cast<uint32_t>(pairs_.size());
  const uint32_t index = pair_index_.FindOrInsert(PairMap::Key(left, right), fresh);
  if (index == fresh) pairs_.push_back({left, right});
  pairs_[index].count += word_counts_[symbols_[position].word];
  pairs_[index].positions.push_back(position);
}

void Trainer::DropOccurrence(uint16_t left, uint16_t right, uint32_t word) {
  pairs_[pair_index_.Find(PairMap::Key(left, right))].count -= word_counts_[word];
}

void Trainer::Queue(uint32_t index) {
  const Pair& pair = pairs_[index];
  if (pair.count >= kMinFrequency) queue_.push({pair.count, PairMap::Key(pair.left, pair.right), index});
}

void Trainer::MergeNext(Pair& pair) {
  const auto [left, right] = std::pair(pair.left, pair.right);
  const std::vector<uint32_t> positions = std::exchange(pair.positions, {});  // `pair` moves when pairs are added
  const uint16_t result = static_cast<uint16_t>(model_.entries.size());
  model_.entries.push_back({model_.entries[left].bytes + model_.entries[right].bytes, ""});
  model_.merges.push_back({left, right, result});
  for (const uint32_t position : positions) {
    Symbol& first = symbols_[position];
    if (first.id != left || first.next == kNone || symbols_[first.next].id != right) continue;
    Symbol& second = symbols_[first.next];
    const uint32_t previous = first.previous, next = second.next;
    first.id = result;
    first.next = next;
    second.next = kNone;
    if (previous != kNone) {
      DropOccurrence(symbols_[previous].id, left, first.word);
      AddOccurrence(symbols_[previous].id, result, previous);
    }
    if (next != kNone) {
      symbols_[next].previous = position;
      DropOccurrence(right, symbols_[next].id, first.word);
      AddOccurrence(result, symbols_[next].id, position);
    }
  }
}

BpeModel Trainer::Run(int vocab_size) {
  uint32_t queued = 0;  // of pairs_
  while (static_cast<int>(model_.entries.size()) < vocab_size) {
    for (; queued < pairs_.size(); ++queued) Queue(queued);
    if (queue_.empty()) break;
    const Candidate best = queue_.top();
    queue_.pop();
    if (pairs_[best.pair].count == best.count) {
      MergeNext(pairs_[best.pair]);
    } else {
      Queue(best.pair);
    }
  }
  return std::move(model_);
}

}  // namespace

BpeModel AlphabetModel() {
  BpeModel model;
  for (const char* name : {"<pad>", "<unk>", "<bos>", "<eos>"}) model.entries.push_back({"", name});
  for (const uint8_t byte : BytesInAlphabetOrder()) {
    model.entries.push_back({std::string(1, static_cast<char>(byte)), ""});
  }
  return model;
}

BpeModel TrainBpe(std::span<const std::string_view> texts, int vocab_size) {
  return Trainer(CountWords(texts)).Run(vocab_size);
}

}  // namespace flashlm
