#include "infer/write_documents.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/error.h"
#include "text/tokenizer.h"

namespace flashlm {

std::vector<WrittenDocument> WriteDocuments(Model& model, DType dtype, const WriteOptions& options) {
  if (options.documents < 1 || options.max_tokens < 1 || options.streams < 1) {
    throw UsageError(fmt::format("cannot write {} documents of {} tokens in {} streams", options.documents,
                                 options.max_tokens, options.streams),
                     "give numbers from 1 up");
  }
  const int streams = std::min(options.streams, options.documents);
  Session session(model, dtype, streams);
  Sampler sampler(options.sampler);
  std::vector<WrittenDocument> documents(static_cast<size_t>(options.documents));
  std::vector<int> writing(static_cast<size_t>(streams));  // by stream: its document; beyond the last: none is left
  std::iota(writing.begin(), writing.end(), 0);
  std::vector<int32_t> last(writing.size(), Tokenizer::kEos);  // by stream: what it reads next
  int begun = streams, finished = 0;
  while (finished < options.documents) {
    const float* log_probs = session.Feed(last);
    for (int s = 0; s < streams; ++s) {
      const auto stream = static_cast<size_t>(s);
      if (writing[stream] >= options.documents) continue;
      WrittenDocument& document = documents[static_cast<size_t>(writing[stream])];
      // A document's numbers are those of positions that no other one has.
      const int64_t position = ((options.first + writing[stream]) << 32) + std::ssize(document.tokens) + 1;
      const std::span<const float> row(log_probs + int64_t{s} * session.vocab(), static_cast<size_t>(session.vocab()));
      last[stream] = sampler.Sample(row, document.tokens, position);
      document.ended = last[stream] == Tokenizer::kEos;
      if (!document.ended) document.tokens.push_back(last[stream]);
      if (!document.ended && std::ssize(document.tokens) < options.max_tokens) continue;
      writing[stream] = begun++;
      last[stream] = Tokenizer::kEos;
      session.ResetRow(s);
      ++finished;
      if (options.on_progress) options.on_progress(finished);
    }
  }
  return documents;
}

}  // namespace flashlm
