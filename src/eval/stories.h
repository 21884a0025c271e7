// Stories that a model writes, measured beside real ones (eval/story_measures.h).
#pragma once

#include <string>

#include "base/json.h"
#include "eval/story_measures.h"
#include "infer/loaded_model.h"
#include "infer/write_documents.h"

namespace flashlm {

struct StoriesOptions {
  WriteOptions write;
  std::string text;          // documents of people, "-": standard input; "": the validation text of `data`
  std::string data;          // the data set that the model was trained on; "": not known, so nothing is said of copies
  bool interactive = false;  // progress on stderr
};

struct StoriesReport {
  WriteOptions write;
  StoryMeasures written, real;
  std::string real_from, copied_from;  // the text's path; the data set, "" if there is none
  // Sentences of the real stories with their words in another order: what a grammar accepts of these it has not read
  // for order. -1: there is no grammar.
  double shuffled_parsed = -1;
  std::string grammar, no_grammar;  // its name, or why there is none
  double seconds = 0;               // of writing
  int64_t tokens = 0;               // written
};

// Writes options.write.documents stories and takes as many real ones, evenly spread over their text, those too cut off
// after max_tokens. Of sentences at most 500 of each kind are parsed. Throws UsageError without real stories.
StoriesReport EvaluateStories(Model& model, DType dtype, const Tokenizer& tokenizer, const StoriesOptions& options);

// The data set of the run that the model is from, if it is where the run says and still the same; else "".
std::string TrainingDataOf(const LoadedModel& loaded);

// {"stories", "seed", "temperature", "top_p", "max_tokens", "search", "search_beta", "seconds", "tokens_per_s",
// "real_from", "copied_from" (or null), "grammar" (or null; "no_grammar" then says why), "written": MEASURES, "real":
// MEASURES, "shuffled": {"sentences_parsed"}}. MEASURES: {"stories", "tokens": {"mean", "median"}, "words": {...},
// "stop_rate", "distinct_1", "distinct_2", "distinct_3", "distinct_words", "repetition", "names_introduced",
// "names_reused", "copied_words": {"mean", "median", "longest"} or null, "sentences", "sentences_parsed" or null}.
Json ToJson(const StoriesReport& report);
// The same as a table.
std::string DescribeStories(const StoriesReport& report);

}  // namespace flashlm
