// How well a model answers the probes (probes/probes.h), beside what controls make of the same items (docs/probes.md).
//
// An ending's score is the log-probability of its tokens from the first on in which the endings of the item differ. The
// ending with the highest is the answer; n endings that tie count 1/n each.
//
// Controls, on every run: the same architecture untrained; counted bigrams; the model without the facts, with the
// question alone; the model with the facts' words shuffled. In a set of n items the ones without facts and the bigrams,
// which see no further than the question's last word, are right in exactly one: that is chance, and nothing is to be
// removed. The other two could find the answer by luck or through a leak: where such a control prefers the ending of
// one and the same role by kProbeLead nats or more in every item of a set, the set is removed, for all readers, and
// counted; also where that role is a wrong one, for if only the lucky sets went, chance would be less than 1/n
// afterwards.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "eval/scorer.h"
#include "ngram/ngram_model.h"
#include "probes/probes.h"
#include "text/tokenizer.h"

namespace flashlm {

inline constexpr double kProbeLead = 1;

// result[d][i] = -log p(texts[d][i] | <eos>, texts[d][0 .. i)), as Scorer::Score.
using TextScorer = std::function<std::vector<std::vector<float>>(std::span<const TokenIds> texts)>;
// Both refer to the model, which must outlive them.
TextScorer ScoreByModel(Model& model, DType dtype);
TextScorer ScoreByNGrams(const NGramModel& model);

struct ProbeReaders {
  TextScorer model, untrained, bigrams;
};

struct ProbeOptions {
  int items = 500;  // of each category, at least: whole sets
  uint64_t seed = 1;
  ProbeSplit split = ProbeSplit::kHeldOut;
};

// The share of right answers over items that come in sets.
class ProbeShare {
 public:
  void Add(double right, size_t items);
  int64_t items() const { return items_; }
  double accuracy() const;
  double chance() const;  // of who knows nothing: one item of each set
  // The larger one of the binomial standard error and that over sets, whose items are no independent units.
  double standard_error() const;

 private:
  struct Set {
    double right, items;
  };
  std::vector<Set> sets_;
  int64_t items_ = 0;
  double right_ = 0;
};

enum class ProbeControl { kUntrained, kBigrams, kNoContext, kShuffledContext };
inline constexpr size_t kProbeControls = 4;
// As in JSON: untrained, ngram, no_context, shuffled_context.
const char* NameOf(ProbeControl control);

struct ProbeScore {
  ProbeShare by_sum, by_byte, by_token;  // of the model; the latter two by mean log-probability per byte and token
  std::array<ProbeShare, kProbeControls> controls;
};

struct ProbeCategoryResult {
  std::string category;
  ProbeScore all;
  std::map<int, ProbeScore> by_k;  // where the category has difficulties
  int64_t removed = 0;             // items
  std::array<int64_t, kProbeControls> removed_by{};
};

// dtype, depth and the like are the scorers' own. Sets are generated until enough are left, but at most four times as
// many items as asked for.
std::vector<ProbeCategoryResult> RunProbes(const ProbeReaders& readers, const Tokenizer& tokenizer,
                                           const ProbeOptions& options);

}  // namespace flashlm
