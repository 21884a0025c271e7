#include "eval/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "data/hash.h"
#include "eval/choices.h"

namespace flashlm {
namespace {

// Generated at most, as a multiple of what is asked for.
constexpr int64_t kMostTries = 4;

// What of an item's context is read.
enum class Reading { kAll, kQuestion, kShuffled };

struct EndingScore {
  double log_p = 0;              // from the first token on that tells the endings apart
  double bytes = 0, tokens = 0;  // there
};
using ItemScores = std::vector<EndingScore>;  // [endings]
using SetScores = std::vector<ItemScores>;    // [items]

// The words, which keep their punctuation, in an order that follows from the text and the seed.
std::string ShuffleWords(const std::string& text, uint64_t seed) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  Rng rng(Hash64(text, seed), Purpose::kCorpus);
  ShuffleItems(words, rng);
  return fmt::format("{}", fmt::join(words.rbegin(), words.rend(), " "));
}

std::string ContextOf(const ProbeSet& set, size_t item, Reading reading, uint64_t seed) {
  switch (reading) {
    case Reading::kAll:
      return set.Context(item);
    case Reading::kQuestion:
      return set.question;
    case Reading::kShuffled:
      return ShuffleWords(set.facts[item], seed) + " " + set.question;
  }
  return "";
}

// texts, nats: of one item's endings.
ItemScores ScoreItem(std::span<const TokenIds> texts, std::span<const std::vector<float>> nats,
                     const Tokenizer& tokenizer) {
  size_t common = 0;
  const auto same = [&](const TokenIds& text) { return common < text.size() && text[common] == texts[0][common]; };
  while (std::all_of(texts.begin(), texts.end(), same)) ++common;
  ItemScores scores(texts.size());
  for (size_t e = 0; e < texts.size(); ++e) {
    for (size_t i = common; i < texts[e].size(); ++i) {
      scores[e].log_p -= nats[e][i];
      scores[e].bytes += static_cast<double>(tokenizer.Bytes(texts[e][i]).size());
      scores[e].tokens += 1;
    }
  }
  return scores;
}

std::vector<SetScores> ScoreSets(const TextScorer& score, const Tokenizer& tokenizer, std::span<const ProbeSet> sets,
                                 Reading reading, uint64_t seed) {
  // The question is the same for all items of a set.
  const auto contexts = [&](const ProbeSet& set) { return reading == Reading::kQuestion ? 1 : set.facts.size(); };
  std::vector<TokenIds> texts;
  for (const ProbeSet& set : sets) {
    for (size_t item = 0; item < contexts(set); ++item) {
      const std::string context = ContextOf(set, item, reading, seed);
      for (const std::string& ending : set.endings) texts.push_back(tokenizer.Encode(context + ending));
    }
  }
  const std::vector<std::vector<float>> nats = score(texts);
  std::vector<SetScores> scores;
  size_t next = 0;
  for (const ProbeSet& set : sets) {
    const size_t n = set.endings.size();
    SetScores& of_set = scores.emplace_back();
    for (size_t item = 0; item < contexts(set); ++item, next += n) {
      of_set.push_back(ScoreItem(std::span(texts).subspan(next, n), std::span(nats).subspan(next, n), tokenizer));
    }
    of_set.resize(set.facts.size(), of_set.front());
  }
  return scores;
}

enum class Norm { kSum, kByte, kToken };

// Right answers of a set, of which ending i is right in item i.
double RightOf(const SetScores& set, Norm norm) {
  double right = 0;
  std::vector<double> scores;
  for (size_t item = 0; item < set.size(); ++item) {
    scores.clear();
    for (const EndingScore& ending : set[item]) {
      const double by = norm == Norm::kSum ? 1 : norm == Norm::kByte ? ending.bytes : ending.tokens;
      scores.push_back(ending.log_p / by);
    }
    right += RightShare(scores, item);
  }
  return right;
}

// Whether the ending of one role leads in every item. An ending's role is where it stands relative to the right one:
// from item to item the endings' words change places by one.
bool FollowsOneRole(const SetScores& set) {
  const size_t n = set.size();
  size_t role = 0;
  for (size_t item = 0; item < n; ++item) {
    const auto less = [](const EndingScore& a, const EndingScore& b) { return a.log_p < b.log_p; };
    const auto best = std::max_element(set[item].begin(), set[item].end(), less);
    for (auto other = set[item].begin(); other != set[item].end(); ++other) {
      if (other != best && other->log_p > best->log_p - kProbeLead) return false;
    }
    const size_t of_item = (static_cast<size_t>(best - set[item].begin()) + n - item) % n;
    if (item > 0 && of_item != role) return false;
    role = of_item;
  }
  return true;
}

struct Scored {
  std::vector<SetScores> model;
  std::array<std::vector<SetScores>, kProbeControls> controls;
};

Scored ScoreAll(const ProbeReaders& readers, const Tokenizer& tokenizer, std::span<const ProbeSet> sets,
                uint64_t seed) {
  const auto score = [&](const TextScorer& reader, Reading reading) {
    return ScoreSets(reader, tokenizer, sets, reading, seed);
  };
  return {score(readers.model, Reading::kAll),
          {score(readers.untrained, Reading::kAll), score(readers.bigrams, Reading::kAll),
           score(readers.model, Reading::kQuestion), score(readers.model, Reading::kShuffled)}};
}

void AddSet(const Scored& scored, size_t set, ProbeScore& sums) {
  const SetScores& model = scored.model[set];
  sums.by_sum.Add(RightOf(model, Norm::kSum), model.size());
  sums.by_byte.Add(RightOf(model, Norm::kByte), model.size());
  sums.by_token.Add(RightOf(model, Norm::kToken), model.size());
  for (size_t c = 0; c < kProbeControls; ++c) {
    sums.controls[c].Add(RightOf(scored.controls[c][set], Norm::kSum), model.size());
  }
}

// Counts a set, or removes it.
void Judge(const ProbeSet& set, const Scored& scored, size_t at, ProbeCategoryResult& result) {
  bool removed = false;
  const auto items = static_cast<int64_t>(set.facts.size());
  for (size_t c = 0; c < kProbeControls; ++c) {
    if (!FollowsOneRole(scored.controls[c][at])) continue;
    removed = true;
    result.removed_by[c] += items;
  }
  if (removed) {
    result.removed += items;
    return;
  }
  AddSet(scored, at, result.all);
  if (set.k > 0) AddSet(scored, at, result.by_k[set.k]);
}

ProbeCategoryResult RunCategory(std::string_view category, const ProbeReaders& readers, const Tokenizer& tokenizer,
                                const ProbeOptions& options) {
  ProbeCategoryResult result;
  result.category = category;
  uint64_t index = 0;
  for (;;) {
    const int64_t kept = result.all.by_sum.items(), tried = kept + result.removed;
    const int64_t wanted = std::min(options.items - kept, kMostTries * options.items - tried);
    if (wanted <= 0) return result;
    ShowStatus(fmt::format("probing {}: {} of {} items", category, kept, options.items));
    std::vector<ProbeSet> sets;
    for (int64_t items = 0; items < wanted; items += std::ssize(sets.back().facts)) {
      sets.push_back(MakeProbeSet(category, options.split, options.seed, index++));
    }
    const Scored scored = ScoreAll(readers, tokenizer, sets, options.seed);
    for (size_t i = 0; i < sets.size(); ++i) Judge(sets[i], scored, i, result);
  }
}

}  // namespace

TextScorer ScoreByModel(Model& model, DType dtype) {
  return [scorer = std::make_shared<Scorer>(model, dtype)](std::span<const TokenIds> texts) {
    return scorer->Score(texts);
  };
}

TextScorer ScoreByNGrams(const NGramModel& model) {
  return [&model](std::span<const TokenIds> texts) {
    std::vector<std::vector<float>> nats;
    for (const TokenIds& text : texts) {
      std::vector<float>& of_text = nats.emplace_back();
      NGramContext context = model.Advance(model.Start(), Tokenizer::kEos);
      for (const uint16_t id : text) {
        of_text.push_back(-std::log(model.Probability(context, id)));
        context = model.Advance(context, id);
      }
    }
    return nats;
  };
}

void ProbeShare::Add(double right, size_t items) {
  sets_.push_back({right, static_cast<double>(items)});
  right_ += right;
  items_ += static_cast<int64_t>(items);
}

double ProbeShare::accuracy() const { return items_ == 0 ? 0 : right_ / static_cast<double>(items_); }

double ProbeShare::chance() const {
  return items_ == 0 ? 0 : static_cast<double>(sets_.size()) / static_cast<double>(items_);
}

double ProbeShare::standard_error() const {
  if (items_ == 0) return 0;
  const auto items = static_cast<double>(items_), sets = static_cast<double>(sets_.size());
  const double share = accuracy();
  double squares = 0;
  for (const Set& set : sets_) squares += (set.right - share * set.items) * (set.right - share * set.items);
  const double over_sets = sets > 1 ? std::sqrt(sets / (sets - 1) * squares) / items : 0;
  return std::max(over_sets, std::sqrt(share * (1 - share) / items));
}

const char* NameOf(ProbeControl control) {
  constexpr const char* kNames[kProbeControls] = {"untrained", "ngram", "no_context", "shuffled_context"};
  return kNames[static_cast<size_t>(control)];
}

std::vector<ProbeCategoryResult> RunProbes(const ProbeReaders& readers, const Tokenizer& tokenizer,
                                           const ProbeOptions& options) {
  FLASHLM_CHECK(options.items > 0, "{} items", options.items);
  std::vector<ProbeCategoryResult> results;
  for (const std::string_view category : ProbeCategories()) {
    results.push_back(RunCategory(category, readers, tokenizer, options));
  }
  return results;
}

}  // namespace flashlm
