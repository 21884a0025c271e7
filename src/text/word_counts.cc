#include "text/word_counts.h"

#include <algorithm>

#include "base/parallel.h"
#include "text/hash_bytes.h"
#include "text/split.h"

namespace flashlm {
namespace {

// Work is cut into this many units whatever the number of threads, each with a table of its own. Joining the
// tables costs less than 2 % at this size.
constexpr int64_t kUnits = 32;
// Below this a unit is not worth a table.
constexpr size_t kMinPiece = size_t{64} << 10;

class WordTable {
 public:
  WordTable() : slots_(kFirstSlots, kEmpty) {}

  void Add(std::string_view word, uint64_t hash, int64_t count) {
    size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != kEmpty) {
      Item& item = items_[slots_[slot]];
      if (item.hash == hash && item.word == word) {
        item.count += count;
        return;
      }
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = static_cast<uint32_t>(items_.size());
    items_.push_back({word, hash, count});
    if (2 * items_.size() > slots_.size()) Grow();
  }

  void AddAll(const WordTable& other) {
    for (const Item& item : other.items_) Add(item.word, item.hash, item.count);
  }

  // In the order of first appearance.
  std::vector<WordCount> Counts() const {
    std::vector<WordCount> counts;
    counts.reserve(items_.size());
    for (const Item& item : items_) counts.push_back({item.word, item.count});
    return counts;
  }

 private:
  static constexpr uint32_t kEmpty = ~0u;
  static constexpr size_t kFirstSlots = 4096;
  struct Item {
    std::string_view word;
    uint64_t hash;
    int64_t count;
  };

  void Grow() {
    slots_.assign(2 * slots_.size(), kEmpty);
    for (size_t i = 0; i < items_.size(); ++i) {
      size_t slot = items_[i].hash & (slots_.size() - 1);
      while (slots_[slot] != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<uint32_t>(i);
    }
  }

  std::vector<uint32_t> slots_;
  std::vector<Item> items_;
};

// Long texts are cut where cutting does not show, so that one big file keeps all threads busy.
std::vector<std::string_view> CutIntoPieces(std::span<const std::string_view> texts) {
  size_t total = 0;
  for (const std::string_view text : texts) total += text.size();
  const size_t target = std::max(total / (4 * kUnits), kMinPiece);
  std::vector<std::string_view> pieces;
  for (std::string_view rest : texts) {
    while (!rest.empty()) {
      const size_t cut = SafeCut(rest, target);
      pieces.push_back(rest.substr(0, cut));
      rest.remove_prefix(cut);
    }
  }
  return pieces;
}

}  // namespace

std::vector<WordCount> CountWords(std::span<const std::string_view> texts) {
  const std::vector<std::string_view> pieces = CutIntoPieces(texts);
  const int64_t n = static_cast<int64_t>(pieces.size());
  std::vector<WordTable> tables(std::min(kUnits, n));
  ParallelFor(static_cast<int64_t>(tables.size()), [&](int64_t unit) {
    const int64_t units = static_cast<int64_t>(tables.size());
    for (int64_t i = n * unit / units; i < n * (unit + 1) / units; ++i) {
      WordSplitter splitter(pieces[i]);
      for (std::string_view word; splitter.Next(word);) tables[unit].Add(word, HashBytes(word), 1);
    }
  });
  WordTable joined;
  for (const WordTable& table : tables) joined.AddAll(table);
  return joined.Counts();
}

}  // namespace flashlm
