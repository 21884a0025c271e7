#include "ngram/ngram_counts.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "ngram/count_codes.h"

namespace flashlm {
namespace {

// Pieces of work, more than there will be threads; their number decides nothing but the balance.
constexpr int kPieces = 32;
constexpr uint32_t kNone = NGramContext::kNone;

}  // namespace

// ---- Counting ----

// Windows of the stream, sorted: the token at `position` chooses a bucket, `key` has the four that follow.
class NGramCounts::Builder {
 public:
  explicit Builder(NGramCounts& counts) : c_(counts), order_(counts.options_.order) {}

  void Run() {
    FillBuckets();
    CutPieces();
    ParallelFor(kPieces, [&](int64_t piece) { SortBuckets(static_cast<size_t>(piece)); });
    SizeLevels();
    ParallelFor(kPieces, [&](int64_t piece) { FillLevels(static_cast<size_t>(piece)); });
    CountWhatPrecedes();
  }

 private:
  struct Window {
    uint64_t key;
    uint32_t position;
    int8_t length;  // tokens up to the document's end, at most `order`
    bool operator<(const Window& other) const { return key < other.key; }
  };
  using Sizes = std::array<uint32_t, kMaxNGramOrder + 1>;  // by the number of tokens

  void FillBuckets() {
    const std::vector<uint16_t>& stream = c_.stream_;
    const size_t windows = stream.size() - 1;  // nothing follows the last <eos>
    first_.assign(static_cast<size_t>(c_.options_.vocab) + 1, 0);
    for (size_t i = 0; i < windows; ++i) ++first_[stream[i] + 1u];
    for (size_t v = 1; v < first_.size(); ++v) first_[v] += first_[v - 1];
    windows_.resize(windows);
    std::vector<uint32_t> next(first_.begin(), first_.end() - 1);
    for (size_t i = 0; i < windows; ++i) windows_[next[stream[i]]++].position = static_cast<uint32_t>(i);
  }

  // Pieces of whole buckets and about equally many windows.
  void CutPieces() {
    for (size_t piece = 0; piece <= kPieces; ++piece) {
      const auto at = static_cast<uint32_t>(windows_.size() * piece / kPieces);
      cuts_[piece] = static_cast<size_t>(std::lower_bound(first_.begin(), first_.end(), at) - first_.begin());
    }
    cuts_[0] = 0;
    cuts_[kPieces] = first_.size() - 1;
  }

  void SortBuckets(size_t piece) {
    for (uint32_t i = first_[cuts_[piece]]; i < first_[cuts_[piece + 1]]; ++i) {
      Window& window = windows_[i];
      window.key = 0;
      window.length = 1;
      bool ended = false;
      for (size_t n = 1; n < kMaxNGramOrder; ++n) {
        const bool inside = !ended && static_cast<int>(n) < order_;
        const uint16_t token = inside ? c_.stream_[window.position + n] : uint16_t{0};
        window.key = window.key << 16 | token;
        window.length += static_cast<int8_t>(inside);
        ended = ended || (inside && token == c_.options_.eos);
      }
    }
    for (size_t v = cuts_[piece]; v < cuts_[piece + 1]; ++v) {
      std::sort(windows_.begin() + first_[v], windows_.begin() + first_[v + 1]);
    }
  }

  // Calls visit(window, new_from): the window's n-grams of new_from tokens and more differ from those before.
  template <class Visit>
  void ForWindows(size_t v, const Visit& visit) const {
    for (uint32_t i = first_[v]; i < first_[v + 1]; ++i) {
      int new_from = 2;
      if (i > first_[v]) {
        const uint64_t difference = windows_[i].key ^ windows_[i - 1].key;
        while (new_from <= kMaxNGramOrder && (difference >> (16 * (kMaxNGramOrder - new_from))) == 0) ++new_from;
      }
      visit(windows_[i], new_from);
    }
  }

  void SizeLevels() {
    std::array<Sizes, kPieces> sizes{};
    ParallelFor(kPieces, [&](int64_t piece) {
      for (size_t v = cuts_[static_cast<size_t>(piece)]; v < cuts_[static_cast<size_t>(piece) + 1]; ++v) {
        ForWindows(v, [&](const Window& window, int new_from) {
          for (int n = new_from; n <= window.length; ++n) {
            ++sizes[static_cast<size_t>(piece)][static_cast<size_t>(n)];
          }
        });
      }
    });
    Sizes sum{};
    for (size_t piece = 0; piece < kPieces; ++piece) {
      starts_[piece] = sum;
      for (size_t n = 0; n < sum.size(); ++n) sum[n] += sizes[piece][n];
    }
    sum[1] = static_cast<uint32_t>(c_.options_.vocab);
    for (int n = 1; n <= order_; ++n) {
      Level& level = c_.level(n);
      const size_t size = sum[static_cast<size_t>(n)];
      level.words.resize(size);
      if (n == order_) {
        level.seen.assign(size, 0);
      } else {
        level.nodes.resize(size + 1);
        level.nodes[size].first = sum[static_cast<size_t>(n) + 1];
      }
    }
    c_.ids_.assign(c_.stream_.size() * c_.Ids(), kNone);
  }

  void FillLevels(size_t piece) {
    Sizes next = starts_[piece];
    for (size_t v = cuts_[piece]; v < cuts_[piece + 1]; ++v) {
      c_.level(1).words[v] = static_cast<uint16_t>(v);
      c_.level(1).nodes[v].first = next[2];
      ForWindows(v, [&](const Window& window, int new_from) {
        for (int n = 2; n <= window.length; ++n) {
          uint32_t& end = next[static_cast<size_t>(n)];
          const size_t last = window.position + static_cast<size_t>(n) - 1;
          if (n >= new_from) {
            c_.level(n).words[end] = c_.stream_[last];
            if (n < order_) c_.level(n).nodes[end].first = next[static_cast<size_t>(n) + 1];
            ++end;
          }
          ++(n < order_ ? c_.level(n).nodes[end - 1].seen : c_.level(n).seen[end - 1]);
          c_.ids_[last * c_.Ids() + static_cast<size_t>(n - 2)] = end - 1;
        }
      });
    }
  }

  // c of all but the longest n-grams: how many different tokens stand before them; before a document's beginning none
  // does, so there, as for the longest, c is how often it was seen. Adding up in any order gives the same.
  void CountWhatPrecedes() {
    ParallelFor(kPieces, [&](int64_t piece) {
      for (size_t v = cuts_[static_cast<size_t>(piece)]; v < cuts_[static_cast<size_t>(piece) + 1]; ++v) {
        ForWindows(v, [&](const Window& window, int new_from) {
          for (int n = new_from; n <= window.length; ++n) {
            const uint32_t shorter = c_.At(n - 1, window.position + static_cast<size_t>(n) - 1);
            std::atomic_ref(c_.level(n - 1).nodes[shorter].count).fetch_add(1, std::memory_order_relaxed);
          }
        });
      }
    });
    auto begin = static_cast<uint32_t>(c_.options_.eos), end = begin + 1;
    for (int n = 2; n < order_; ++n) {
      begin = c_.level(n - 1).nodes[begin].first;
      end = c_.level(n - 1).nodes[end].first;
      for (uint32_t i = begin; i < end; ++i) c_.level(n).nodes[i].count = c_.level(n).nodes[i].seen;
    }
  }

  NGramCounts& c_;
  int order_;
  std::vector<uint32_t> first_;  // [vocab + 1]: where the windows that begin with a token begin
  std::vector<Window> windows_;
  std::array<size_t, kPieces + 1> cuts_{};  // tokens
  std::array<Sizes, kPieces> starts_{};
};

NGramCounts::NGramCounts(std::span<const uint16_t> tokens, const NGramOptions& options)
    : options_(options), levels_(static_cast<size_t>(options.order)), discounts_(options.discounts) {
  FLASHLM_CHECK(options.order >= 2 && options.order <= kMaxNGramOrder && options.eos < options.vocab &&
                    options.vocab <= 65536 && tokens.size() < kNone - 2,
                "{}-grams of {} tokens, vocabulary {}", options.order, tokens.size(), options.vocab);
  const auto eos = static_cast<uint16_t>(options.eos);
  stream_.reserve(tokens.size() + 2);
  stream_.push_back(eos);
  stream_.insert(stream_.end(), tokens.begin(), tokens.end());
  if (tokens.empty() || tokens.back() != eos) stream_.push_back(eos);
  for (size_t i = 0; i < stream_.size(); ++i) {
    if (stream_[i] == eos) documents_.push_back(i);
  }
  Builder(*this).Run();
  Estimate();
}

// ---- Estimating ----

namespace {

// Chen and Goodman's, from the numbers of n-grams `of` counts 1 to 4; where there are too few to say, theirs for text.
Discounts EstimateDiscounts(const std::array<double, 5>& of) {
  constexpr float kSmallest = 0.1f;
  Discounts d{{0.5f, 1.0f, 1.5f}};
  if (of[1] == 0 || of[2] == 0 || of[3] == 0 || of[4] == 0) return d;
  const double y = of[1] / (of[1] + 2 * of[2]);
  for (size_t c = 1; c <= 3; ++c) {
    const double discount = static_cast<double>(c) - static_cast<double>(c + 1) * y * of[c + 1] / of[c];
    d.of[c - 1] = std::clamp(static_cast<float>(discount), kSmallest, static_cast<float>(c) - kSmallest);
  }
  return d;
}

}  // namespace

void NGramCounts::Estimate() {
  for (int n = static_cast<int>(discounts_.size()) + 1; n <= options_.order; ++n) {
    std::array<double, 5> of{};
    for (uint32_t i = 0; i < level(n).words.size(); ++i) {
      if (const uint32_t count = Count(n, i); count <= 4) ++of[count];
    }
    discounts_.push_back(EstimateDiscounts(of));
  }
  for (uint32_t w = 0; w < level(1).words.size(); ++w) root_.Add(Count(1, w), true);
  for (int n = 1; n < options_.order; ++n) {
    std::vector<Node>& contexts = level(n).nodes;
    ParallelBlocks(std::ssize(contexts) - 1, 4096, [&](int64_t begin, int64_t end) {
      for (auto node = static_cast<size_t>(begin); node < static_cast<size_t>(end); ++node) {
        for (uint32_t i = contexts[node].first; i < contexts[node + 1].first; ++i) {
          contexts[node].sums.Add(Count(n + 1, i), Kept(n + 1, Seen(n + 1, i)));
        }
      }
    });
  }
}

NGramModel NGramCounts::Pack() const {
  NGramModel model(options_.order, options_.vocab);
  model.counted_tokens_ = static_cast<int64_t>(stream_.size()) - 1;
  model.discounts_ = discounts_;
  for (int n = 1; n <= options_.order; ++n) {
    const Level& from = level(n);
    NGramModel::Level& to = model.levels_[static_cast<size_t>(n - 1)];
    to = {};
    uint32_t longer = 0;  // of those that go on from here, kept ones
    for (uint32_t i = 0; i < from.words.size(); ++i) {
      const bool kept = Kept(n, Seen(n, i));
      if (kept) {
        if (n > 1) to.words.push_back(from.words[i]);
        to.counts.push_back(EncodeCount(Count(n, i)));
      }
      if (n == options_.order) continue;
      const Node& node = from.nodes[i];
      if (kept) {
        to.first.push_back(longer);
        to.pruned.push_back(EncodeCount(static_cast<uint32_t>(node.sums.pruned)));
      }
      for (uint32_t j = node.first; j < from.nodes[i + 1].first; ++j) longer += Kept(n + 1, Seen(n + 1, j));
    }
    if (n < options_.order) to.first.push_back(longer);
  }
  model.Derive();
  model.checksum_ = Sha256(model.Body());
  return model;
}

// ---- Leaving documents out ----

// One thread's work on one document after another.
class NGramCounts::DocumentLeaver {
 public:
  DocumentLeaver(const NGramCounts& counts, LeftOut& out) : c_(counts), out_(out), order_(counts.options_.order) {}

  // The document after the <eos> at `begin`, up to its own at `end`.
  void Leave(size_t begin, size_t end) {
    begin_ = begin;
    length_ = end - begin + 1;
    for (int n = 1; n <= order_; ++n) FindOwn(n);
    for (int n = order_; n >= 1; --n) CountOwn(n);
    root_ = {};
    for (int n = 1; n <= order_; ++n) SumOwn(n);
    for (size_t j = 1; j < length_; ++j) Write(j);
  }

 private:
  // What the n-grams of n tokens of the document, each once, lose with it.
  struct Own {
    std::vector<uint32_t> at;      // [length]: which it is that ends at a position; kNone before the first
    std::vector<uint32_t> id;      // in the level
    std::vector<size_t> position;  // where it ends, once
    std::vector<uint32_t> seen, counts;
    std::vector<ContextSums> sums;  // as contexts
  };
  Own& own(int n) { return own_[static_cast<size_t>(n)]; }

  // What is asked for later lies anywhere in memory: all of a document at once is faster than one after the other.
  void Prefetch(int n, uint32_t id) const {
    const Level& level = c_.level(n);
    __builtin_prefetch(n == order_ ? static_cast<const void*>(&level.seen[id]) : &level.nodes[id]);
  }

  void FindOwn(int n) {
    Own& o = own(n);
    o.at.assign(length_, kNone);
    o.id.clear();
    o.position.clear();
    o.seen.clear();
    sorted_.clear();
    for (auto j = static_cast<size_t>(n - 1); j < length_; ++j) {
      const uint32_t id = c_.At(n, begin_ + j);
      Prefetch(n, id);
      sorted_.push_back(uint64_t{id} << 32 | j);
    }
    std::sort(sorted_.begin(), sorted_.end());
    for (const uint64_t both : sorted_) {
      const auto id = static_cast<uint32_t>(both >> 32);
      const size_t j = both & 0xFFFFFFFF;
      if (o.id.empty() || o.id.back() != id) {
        o.id.push_back(id);
        o.position.push_back(j);
        o.seen.push_back(0);
      }
      ++o.seen.back();
      o.at[j] = static_cast<uint32_t>(o.id.size() - 1);
    }
    o.counts.assign(o.id.size(), 0);
    o.sums.assign(o.id.size(), {});
  }

  // An n-gram that is in no other document is one fewer before what it ends with.
  void CountOwn(int n) {
    Own& o = own(n);
    if (n == order_) {
      o.counts = o.seen;
    } else if (n >= 2 && length_ >= static_cast<size_t>(n)) {  // the beginning of the document
      const uint32_t beginning = o.at[static_cast<size_t>(n - 1)];
      o.counts[beginning] = o.seen[beginning];
    }
    if (n == 1) return;
    Own& shorter = own(n - 1);
    for (size_t e = 0; e < o.id.size(); ++e) {
      if (c_.Seen(n, o.id[e]) == o.seen[e]) ++shorter.counts[shorter.at[o.position[e]]];
    }
  }

  void SumOwn(int n) {
    const Own& o = own(n);
    for (size_t e = 0; e < o.id.size(); ++e) {
      const uint32_t count = c_.Count(n, o.id[e]), seen = c_.Seen(n, o.id[e]);
      Own& shorter = own(n - 1);
      ContextSums& sums = n == 1 ? root_ : shorter.sums[shorter.at[o.position[e] - 1]];
      sums.Add(count, c_.Kept(n, seen));
      sums.Add(count - o.counts[e], c_.Kept(n, seen - o.seen[e]), -1);
    }
  }

  void Write(size_t j) {
    const auto position = static_cast<int64_t>(begin_ + j - 1);
    float p = 1.0f / static_cast<float>(c_.options_.vocab);
    ContextFeatures* features = out_.MutableFeatures(position);
    for (int n = 1; n <= order_; ++n) {
      const bool inside = static_cast<size_t>(n) <= j + 1;
      ContextSums sums;
      if (n == 1) {
        sums = c_.root_ - root_;
      } else if (inside) {
        const Own& shorter = own(n - 1);
        const uint32_t context = shorter.at[j - 1], id = shorter.id[context];
        const Node& node = c_.level(n - 1).nodes[id];
        if (c_.Kept(n - 1, node.seen - shorter.seen[context])) sums = node.sums - shorter.sums[context];
      }
      const Discounts& d = c_.discounts_[static_cast<size_t>(n - 1)];
      const float gamma = sums.total > 0 ? sums.Gamma(d) : 1.0f;
      if (n > 1) features[n - 2] = ContextFeatures::Of(static_cast<float>(sums.total), gamma);
      if (sums.total <= 0) continue;
      const Own& o = own(n);
      const uint32_t e = o.at[j], id = o.id[e];
      const bool kept = c_.Kept(n, c_.Seen(n, id) - o.seen[e]);
      const uint32_t count = kept ? c_.Count(n, id) - o.counts[e] : 0;
      p = Interpolate(DiscountedShare(count, d, static_cast<float>(sums.total)), gamma, p);
    }
    out_.Set(position, p);
  }

  const NGramCounts& c_;
  LeftOut& out_;
  int order_;
  size_t begin_ = 0, length_ = 0;
  std::array<Own, kMaxNGramOrder + 1> own_;  // by the number of tokens
  ContextSums root_;
  std::vector<uint64_t> sorted_;  // n-gram and position of FindOwn
};

LeftOut NGramCounts::LeaveDocumentsOut() const {
  LeftOut out(static_cast<int64_t>(stream_.size()) - 1, options_.order);
  constexpr int64_t kDocuments = 64;
  ParallelBlocks(static_cast<int64_t>(documents_.size()) - 1, kDocuments, [&](int64_t begin, int64_t end) {
    DocumentLeaver leaver(*this, out);
    for (auto d = static_cast<size_t>(begin); d < static_cast<size_t>(end); ++d) {
      leaver.Leave(documents_[d], documents_[d + 1]);
    }
  });
  return out;
}

}  // namespace flashlm
