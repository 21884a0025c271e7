// Does the model prefer the right text? Minimal pairs and cloze items from JSON Lines files.
//
// A text's score is the log-probability of its tokens after <eos>; a closing <eos> is not scored, since the
// texts need not be whole documents. Scores are sums, not means: the choices of one item should be of similar
// length.
#pragma once

#include <map>
#include <span>
#include <string>

#include "models/model.h"
#include "text/tokenizer.h"

namespace flashlm {

// 1 if scores[right] is the highest, 1/n if it ties for that with n - 1 others, else 0.
double RightShare(std::span<const double> scores, size_t right);

// Counts of items of which the right choice scored highest; one that ties for the highest with n - 1 others
// counts 1/n.
struct ChoiceCount {
  int64_t items = 0;
  double right = 0, squares = 0;  // sums over items of what each counts, and of its square
  void Add(double counts) {
    ++items;
    right += counts;
    squares += counts * counts;
  }
  double accuracy() const { return right / static_cast<double>(items); }
  // Of the accuracy, over items; 0 for a single one.
  double stderr_accuracy() const;
};

using ChoiceCounts = std::map<std::string, ChoiceCount>;

struct ChoiceResult {
  ChoiceCount all;
  ChoiceCounts by_category;        // cloze items that name one
  ChoiceCounts by_field, by_term;  // pairs that name one
};

// `path`: a file, or "-": standard input. Lines {"good": text, "bad": text}: right if the good text is the likelier
// one. As in BLiMP (Warstadt et al. 2020) the texts may be called "sentence_good" and "sentence_bad", and "field"
// ("morphology") and "linguistics_term" ("anaphor_agreement") say what the pair is about; both may be missing. Throws
// Error naming the file and the line for anything else, and for a file without items.
ChoiceResult EvaluatePairs(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path);

// Lines {"context": text, "options": [text, text, ...], "answer": index from 0 on, "category": text (may be
// missing)}: right if the context continued by options[answer] is likelier than continued by any other
// option. Context and option are joined, with a blank between them where a word would meet a word, and
// encoded as one text, so that the cut falls where the tokenizer would put it; the context's own score is the
// same for all options and so plays no part.
ChoiceResult EvaluateCloze(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path);

// {"pairs", "accuracy", "stderr"}, and where pairs name theirs "by_field" and "by_linguistics_term": {NAME: {"pairs",
// "accuracy", "stderr"}}.
Json PairsToJson(const ChoiceResult& result);
// The same as lines of text, each ending with a line break.
std::string DescribePairs(const ChoiceResult& result);
Json ClozeToJson(const ChoiceResult& result);  // {"items", "accuracy", "accuracy_by_category"}

}  // namespace flashlm
