#include "infer/generate.h"

#include <optional>
#include <span>

#include "base/error.h"
#include "base/progress.h"
#include "infer/search.h"
#include "infer/utf8_stream.h"

namespace flashlm {
namespace {

void Check(const GenerateOptions& options) {
  if (options.max_tokens < 0) {
    throw UsageError(fmt::format("cannot generate {} tokens", options.max_tokens), "give a number from 0 up");
  }
  if (options.search < 0) {
    throw UsageError(fmt::format("cannot search {} candidates", options.search), "give a number from 0 (off) up");
  }
}

// The tokens that follow a prompt, one by one.
class Continuation {
 public:
  Continuation(Session& session, const std::vector<uint16_t>& prompt, const GenerateOptions& options)
      : session_(session), sampler_(options.sampler), history_{Tokenizer::kEos} {
    history_.insert(history_.end(), prompt.begin(), prompt.end());
    session_.Reset();
    log_probs_ = {session_.Feed(history_), static_cast<size_t>(session_.vocab())};
    if (options.search > 0) search_.emplace(session_, sampler_, options.search, options.search_beta);
  }

  int32_t Next() {
    // A sampled token is read only when the next one is wanted; search has read it already.
    if (pending_) log_probs_ = {session_.Feed(history_.back()), static_cast<size_t>(session_.vocab())};
    // The <eos> that opens the context is not part of the prompt: the penalty does not see it.
    const std::span<const int32_t> seen = std::span(history_).subspan(1);
    int32_t token;
    if (search_) {
      const Search::Choice choice = search_->Next(log_probs_, seen);
      token = choice.token;
      log_probs_ = choice.log_probs;
    } else {
      token = sampler_.Sample(log_probs_, seen, std::ssize(history_));
      pending_ = true;
    }
    history_.push_back(token);
    return token;
  }

 private:
  Session& session_;
  Sampler sampler_;
  std::optional<Search> search_;
  std::vector<int32_t> history_;
  std::span<const float> log_probs_;  // of what follows history_, or what precedes its pending last token
  bool pending_ = false;
};

// What is generated, on its way out as tokens and as text.
class Writer {
 public:
  Writer(const Tokenizer& tokenizer, const std::function<void(std::string_view)>& on_text, Generation& out)
      : tokenizer_(tokenizer), on_text_(on_text), out_(out) {}

  void Add(int32_t token) {
    out_.tokens.push_back(token);
    Show(utf8_.Push(tokenizer_.Bytes(token)));
  }
  void Finish() { Show(utf8_.Finish()); }

 private:
  void Show(std::string_view piece) {
    if (piece.empty()) return;
    out_.text += piece;
    if (on_text_) on_text_(piece);
  }

  const Tokenizer& tokenizer_;
  const std::function<void(std::string_view)>& on_text_;
  Generation& out_;
  Utf8Stream utf8_;
};

}  // namespace

const char* NameOf(StopReason reason) {
  return reason == StopReason::kEos ? "eos" : reason == StopReason::kLength ? "length" : "request";
}

double Generation::tokens_per_s() const {
  const double steps = static_cast<double>(tokens.size()) + (stop_reason == StopReason::kEos ? 1 : 0);
  return seconds > 0 ? steps / seconds : 0;
}

Json ToJson(const Generation& generation) {
  return {{"text", generation.text},
          {"tokens", generation.tokens},
          {"stop_reason", NameOf(generation.stop_reason)},
          {"prompt_tokens", generation.prompt_tokens},
          {"generated_tokens", generation.tokens.size()},
          {"prompt_tokens_per_s", generation.prompt_tokens_per_s()},
          {"tokens_per_s", generation.tokens_per_s()}};
}

Generation Generate(Session& session, const Tokenizer& tokenizer, std::string_view prompt,
                    const GenerateOptions& options, const std::function<void(std::string_view piece)>& on_text) {
  Check(options);
  FLASHLM_CHECK(session.rows() == 1 && session.vocab() == tokenizer.vocab_size(),
                "a tokenizer of {} entries and a session of {} streams over {}", tokenizer.vocab_size(), session.rows(),
                session.vocab());
  Generation out;
  Stopwatch watch;
  Continuation continuation(session, tokenizer.Encode(prompt), options);
  out.prompt_tokens = static_cast<int>(session.position()) - 1;  // <eos> opens the context
  out.prompt_seconds = watch.Seconds();

  watch.Restart();
  Writer writer(tokenizer, on_text, out);
  while (std::ssize(out.tokens) < options.max_tokens) {
    if (options.stop_requested && options.stop_requested()) {
      out.stop_reason = StopReason::kRequest;
      break;
    }
    const int32_t token = continuation.Next();
    if (token == Tokenizer::kEos) {
      out.stop_reason = StopReason::kEos;
      break;
    }
    writer.Add(token);
  }
  writer.Finish();
  out.seconds = watch.Seconds();
  return out;
}

}  // namespace flashlm
