#include "infer/write_documents.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/error.h"
#include "infer/search.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Of the draws of document `number`: positions that no other one has.
int64_t DrawPosition(const WriteOptions& options, int64_t number, const WrittenDocument& document) {
  return ((options.first + number) << 32) + std::ssize(document.tokens) + 1;
}

// True if the document goes on.
bool Take(int32_t token, const WriteOptions& options, WrittenDocument& document) {
  document.ended = token == Tokenizer::kEos;
  if (!document.ended) document.tokens.push_back(token);
  return !document.ended && std::ssize(document.tokens) < options.max_tokens;
}

std::vector<WrittenDocument> SearchDocuments(Model& model, DType dtype, const WriteOptions& options) {
  Session session(model, dtype);
  Sampler sampler(options.sampler);
  std::vector<WrittenDocument> documents(static_cast<size_t>(options.documents));
  for (int d = 0; d < options.documents; ++d) {
    WrittenDocument& document = documents[static_cast<size_t>(d)];
    session.Reset();
    const auto vocab = static_cast<size_t>(session.vocab());
    std::span<const float> log_probs(session.Feed(Tokenizer::kEos), vocab);
    Search search(session, sampler, options.search, options.search_beta);
    for (bool more = true; more;) {
      if (std::ssize(document.tokens) < WriteOptions::kOpening) {
        const int32_t token = sampler.Sample(log_probs, document.tokens, DrawPosition(options, d, document));
        more = Take(token, options, document);
        if (more) log_probs = {session.Feed(token), vocab};
      } else {
        const Search::Choice choice = search.Next(log_probs, document.tokens);
        more = Take(choice.token, options, document);
        log_probs = choice.log_probs;
      }
    }
    if (options.on_progress) options.on_progress(d + 1);
  }
  return documents;
}

}  // namespace

std::vector<WrittenDocument> WriteDocuments(Model& model, DType dtype, const WriteOptions& options) {
  if (options.documents < 1 || options.max_tokens < 1 || options.streams < 1) {
    throw UsageError(fmt::format("cannot write {} documents of {} tokens in {} streams", options.documents,
                                 options.max_tokens, options.streams),
                     "give numbers from 1 up");
  }
  if (options.search > 0) return SearchDocuments(model, dtype, options);
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
      const std::span<const float> row(log_probs + int64_t{s} * session.vocab(), static_cast<size_t>(session.vocab()));
      last[stream] = sampler.Sample(row, document.tokens, DrawPosition(options, writing[stream], document));
      if (Take(last[stream], options, document)) continue;
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
