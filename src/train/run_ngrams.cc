// The counted model of a run, made before its first step.
#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/first_documents.h"
#include "io/model_folder.h"
#include "models/extras.h"
#include "ngram/ngram_counts.h"
#include "train/run.h"

namespace flashlm {

// What a stopped run counted is counted again, with the same result: its training needs what the file does not have,
// the counts without each document.
void Run::CountNGrams(const std::string& checksum) {
  const Stopwatch watch;
  const ModelExtras extras = ExtrasOf(model_->config());
  NGramOptions options;
  options.order = extras.ngram_order;
  options.vocab = model_->vocab();
  options.eos = Tokenizer::kEos;
  for (size_t n = 4; n <= options.at_least.size(); ++n) {
    options.at_least[n - 1] = static_cast<uint32_t>(extras.ngram_min_count);
  }
  ShowStatus("counting n-grams");
  const NGramCounts counts(FirstDocuments(data_, extras.ngram_tokens), options);
  auto model = std::make_shared<NGramModel>(counts.Pack());
  if (!checksum.empty() && model->checksum() != checksum) {
    throw Error(
        fmt::format("the n-grams of '{}' are not those that the run in '{}' was trained with", config_.data, folder_),
        "another version of the program counted them: go on with that one");
  }
  auto left_out = std::make_shared<LeftOut>(counts.LeaveDocumentsOut());
  model_->SetNGrams(model, left_out);
  positions_.resize(inputs_.size());
  const std::string path = FileIn(folder_, kNGramFile), file = model->Serialize();
  if (Writes() && (!Exists(path) || Sha256OfFile(path) != Sha256(file))) WriteFileAtomic(path, file);
  const double seconds = watch.Seconds();
  if (progress_.step == 0) progress_.seconds += seconds;
  const auto mb = [](int64_t bytes) { return static_cast<double>(bytes) / 1048576; };
  Say(fmt::format(
      "n-grams: {} of up to {} tokens counted in {} tokens, {:.1f} s; {:.1f} MB on disk, {:.0f} MB in memory, "
      "{:.0f} MB for the training tokens without their own documents",
      FormatCount(static_cast<double>(model->NGrams())), model->order(),
      FormatCount(static_cast<double>(model->counted_tokens())), seconds, mb(std::ssize(file)),
      mb(model->MemoryBytes()), mb(left_out->MemoryBytes())));
}

}  // namespace flashlm
