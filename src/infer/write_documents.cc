#include "infer/write_documents.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "infer/search.h"
#include "infer/stream_reader.h"
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

// Threads that write documents side by side, a few each, one after another until none is left.
class Writers {
 public:
  Writers(Model& model, DType dtype, const WriteOptions& options)
      : model_(model), dtype_(dtype), options_(options), documents_(static_cast<size_t>(options.documents)) {}

  std::vector<WrittenDocument> Run() {
    const int streams = std::min(options_.streams, options_.documents);
    // No more threads than have streams enough.
    const int writers = std::min(ThreadCount(), (streams + kRowsTogether - 1) / kRowsTogether);
    if (writers == 1) {
      Write(std::min(streams, kRowsTogether));  // on all threads
    } else {
      ParallelPieces(writers, [&](int64_t i) {
        const int64_t rows = streams * (i + 1) / writers - streams * i / writers;
        Write(static_cast<int>(std::min<int64_t>(rows, kRowsTogether)));
      });
    }
    if (failure_) std::rethrow_exception(failure_);
    return std::move(documents_);
  }

 private:
  // At most `rows` at a time.
  void Write(int rows) {
    try {
      StreamReader reader(model_, dtype_);
      Sampler sampler(options_.sampler);
      std::vector<int> writing;  // by row: its document
      while (std::ssize(writing) < rows && begun_ < options_.documents) writing.push_back(begun_++);
      std::erase_if(writing, [&](int d) { return d >= options_.documents; });
      State state(static_cast<int>(writing.size()));
      std::vector<int32_t> last(writing.size(), Tokenizer::kEos);  // by row: what it reads next
      while (!writing.empty() && !failed_) {
        reader.Read(state, last);
        // Backwards: where a row is over, the last one takes its place.
        for (int r = static_cast<int>(writing.size()) - 1; r >= 0; --r) {
          const auto row = static_cast<size_t>(r);
          WrittenDocument& document = documents_[static_cast<size_t>(writing[row])];
          const int64_t position = DrawPosition(options_, writing[row], document);
          last[row] = sampler.Sample(reader.log_probs(r), document.tokens, position);
          if (Take(last[row], options_, document)) continue;
          Finish();
          if ((writing[row] = begun_++) < options_.documents) {
            last[row] = Tokenizer::kEos;
            state.ResetRow(r);
            continue;
          }
          state.Remove(r);
          writing[row] = writing.back();
          last[row] = last.back();
          writing.pop_back();
          last.pop_back();
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      Fail();
    }
  }

  void Finish() {
    const std::lock_guard lock(mutex_);
    ++finished_;
    try {
      if (options_.on_progress && !failed_) options_.on_progress(finished_);
    } catch (...) {
      Fail();
    }
  }
  // Of several failures the first is told.
  void Fail() {
    if (!failure_) failure_ = std::current_exception();
    failed_ = true;
  }

  Model& model_;
  const DType dtype_;
  const WriteOptions& options_;
  std::vector<WrittenDocument> documents_;
  std::atomic<int> begun_ = 0;
  std::atomic<bool> failed_ = false;  // somewhere: all stop
  std::mutex mutex_;                  // of what follows
  int finished_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

std::vector<WrittenDocument> WriteDocuments(Model& model, DType dtype, const WriteOptions& options) {
  if (options.documents < 1 || options.max_tokens < 1 || options.streams < 1) {
    throw UsageError(fmt::format("cannot write {} documents of {} tokens in {} streams", options.documents,
                                 options.max_tokens, options.streams),
                     "give numbers from 1 up");
  }
  if (options.search > 0) return SearchDocuments(model, dtype, options);
  return Writers(model, dtype, options).Run();
}

}  // namespace flashlm
