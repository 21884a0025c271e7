#include "text/bpe_encode.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "base/error.h"
#include "text/hash_bytes.h"
#include "text/split.h"

namespace flashlm {
namespace {

constexpr uint32_t kNoSymbol = ~0u;

std::atomic<uint32_t> next_serial{1};

// Words seen lately on this thread: direct-mapped, 768 KiB, filled by any number of encoders. Words that do
// not fit an entry are rare enough to be merged each time.
class WordCache {
 public:
  struct Entry {
    uint32_t serial = 0;  // of the encoder; 0 is an empty entry
    uint8_t bytes = 0;
    uint8_t id_count = 0;
    char word[22] = {};
    uint16_t ids[10] = {};
  };
  static_assert(sizeof(Entry) == 48);

  static Entry& EntryOf(std::string_view word) {
    thread_local const std::unique_ptr<Entry[]> entries(new Entry[kEntries]);
    return entries[HashBytes(word) & (kEntries - 1)];
  }

 private:
  static constexpr size_t kEntries = 1 << 14;
};

}  // namespace

BpeEncoder::BpeEncoder(const BpeModel& model) : serial_(next_serial++) {
  for (size_t id = 0; id < model.entries.size(); ++id) {
    const std::string& bytes = model.entries[id].bytes;
    if (bytes.size() == 1) byte_ids_[static_cast<uint8_t>(bytes[0])] = static_cast<uint16_t>(id);
  }
  for (const auto& [left, right, result] : model.merges) {
    ranks_.FindOrInsert(PairMap::Key(left, right), static_cast<uint32_t>(results_.size()));
    results_.push_back(result);
  }
}

void BpeEncoder::Encode(std::string_view text, std::vector<uint16_t>& ids) const {
  WordSplitter splitter(text);
  for (std::string_view word; splitter.Next(word);) {
    if (word.size() > sizeof(WordCache::Entry::word)) {
      MergeWord(word, ids);
      continue;
    }
    WordCache::Entry& entry = WordCache::EntryOf(word);
    if (entry.serial == serial_ && std::string_view(entry.word, entry.bytes) == word) {
      ids.insert(ids.end(), entry.ids, entry.ids + entry.id_count);
      continue;
    }
    const size_t begin = ids.size();
    MergeWord(word, ids);
    const std::span<const uint16_t> merged = std::span(ids).subspan(begin);
    if (merged.size() > std::size(entry.ids)) continue;
    entry.serial = serial_;
    entry.bytes = static_cast<uint8_t>(word.size());
    entry.id_count = static_cast<uint8_t>(merged.size());
    std::ranges::copy(word, entry.word);
    std::ranges::copy(merged, entry.ids);
  }
}

void BpeEncoder::MergeWord(std::string_view word, std::vector<uint16_t>& ids) const {
  struct Symbol {
    uint32_t previous, next;  // kNoSymbol at the ends of the word; no next either once merged away
    uint16_t id;
  };
  if (word.size() >= kNoSymbol) throw Error(fmt::format("a word of {} bytes, more than 4 G", word.size()));
  const uint32_t n = static_cast<uint32_t>(word.size());
  std::vector<Symbol> symbols(n);
  for (uint32_t i = 0; i < n; ++i) {
    symbols[i] = {i == 0 ? kNoSymbol : i - 1, i + 1 == n ? kNoSymbol : i + 1, byte_ids_[static_cast<uint8_t>(word[i])]};
  }
  const auto rank_at = [&](uint32_t position) {
    const uint32_t next = symbols[position].next;
    if (next == kNoSymbol) return PairMap::kMissing;
    return ranks_.Find(PairMap::Key(symbols[position].id, symbols[next].id));
  };
  // The possible merges, rank << 32 | position: the smallest is the next one to do.
  std::vector<uint64_t> heap;
  for (uint32_t i = 0; i + 1 < n; ++i) {
    const uint32_t rank = rank_at(i);
    if (rank != PairMap::kMissing) heap.push_back(uint64_t{rank} << 32 | i);
  }
  std::ranges::make_heap(heap, std::greater{});
  const auto queue = [&](uint32_t position) {
    const uint32_t rank = rank_at(position);
    if (rank == PairMap::kMissing) return;
    heap.push_back(uint64_t{rank} << 32 | position);
    std::ranges::push_heap(heap, std::greater{});
  };
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater{});
    const uint32_t position = static_cast<uint32_t>(heap.back());
    const uint16_t result = results_[heap.back() >> 32];
    heap.pop_back();
    Symbol& first = symbols[position];
    // An entry is out of date if a neighbour was merged since. Like Hugging Face's, this test compares
    // results, not ranks: they differ if two merges spell the same token.
    const uint32_t rank = rank_at(position);
    if (rank == PairMap::kMissing || results_[rank] != result) continue;
    first.id = result;
    first.next = std::exchange(symbols[first.next].next, kNoSymbol);
    if (first.next != kNoSymbol) symbols[first.next].previous = position;
    if (first.previous != kNoSymbol) queue(first.previous);
    queue(position);
  }
  for (uint32_t i = 0; i != kNoSymbol; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace flashlm
