// Does the model prefer the right text? Minimal pairs and cloze items from JSON Lines files.
//
// A text's score is the log-probability of its tokens after <eos>; a closing <eos> is not scored, since the
// texts need not be whole documents. Scores are sums, not means: the choices of one item should be of similar
// length.
#pragma once

#include <map>
#include <string>

#include "models/model.h"
#include "text/tokenizer.h"

namespace flashlm {

// Counts of items of which the right choice scored highest; one that ties for the highest with n - 1 others
// counts 1/n.
struct ChoiceCount {
  int64_t items = 0;
  double right = 0;
  double accuracy() const { return right / static_cast<double>(items); }
};

struct ChoiceResult {
  ChoiceCount all;
  std::map<std::string, ChoiceCount> by_category;  // cloze items that name one
};

// `path`: a file, or "-": standard input. Lines {"good": text, "bad": text}: right if the good text is the likelier
// one. Throws Error naming the file and the line for anything else, and for a file without items.
ChoiceResult EvaluatePairs(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path);

// Lines {"context": text, "options": [text, text, ...], "answer": index from 0 on, "category": text (may be
// missing)}: right if the context continued by options[answer] is likelier than continued by any other
// option. Context and option are joined, with a blank between them where a word would meet a word, and
// encoded as one text, so that the cut falls where the tokenizer would put it; the context's own score is the
// same for all options and so plays no part.
ChoiceResult EvaluateCloze(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path);

Json PairsToJson(const ChoiceResult& result);  // {"pairs", "accuracy"}
Json ClozeToJson(const ChoiceResult& result);  // {"items", "accuracy", "accuracy_by_category"}

}  // namespace flashlm
