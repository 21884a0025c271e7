#include "infer/generate.h"

#include <optional>
#include <span>

#include "base/error.h"
#include "base/progress.h"
#include "infer/search.h"

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

}  // namespace

const char* NameOf(StopReason reason) {
  return reason == StopReason::kEos ? "eos" : reason == StopReason::kLength ? "length" : "request";
}

double Generation::tokens_per_s() const {
  const double steps = static_cast<double>(tokens.size()) + (stop_reason == StopReason::kEos ? 1 : 0);
  return seconds > 0 ? steps / seconds : 0;
}

// The tokens that follow a prompt, one by one.
class Generator::Continuation {
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

Generator::Generator(Session& session, const Tokenizer& tokenizer, std::string_view prompt,
                     const GenerateOptions& options)
    : tokenizer_(tokenizer), options_(options) {
  Check(options);
  FLASHLM_CHECK(session.rows() == 1 && session.vocab() == tokenizer.vocab_size(),
                "a tokenizer of {} entries and a session of {} streams over {}", tokenizer.vocab_size(), session.rows(),
                session.vocab());
  const Stopwatch watch;
  continuation_ = std::make_unique<Continuation>(session, tokenizer.Encode(prompt), options);
  out_.prompt_tokens = static_cast<int>(session.position()) - 1;  // <eos> opens the context
  out_.prompt_seconds = watch.Seconds();
}

Generator::~Generator() = default;

bool Generator::Write() {
  if (std::ssize(out_.tokens) >= options_.max_tokens) return false;
  if (options_.stop_requested && options_.stop_requested()) {
    out_.stop_reason = StopReason::kRequest;
    return false;
  }
  const int32_t token = continuation_->Next();
  if (token == Tokenizer::kEos) {
    out_.stop_reason = StopReason::kEos;
    return false;
  }
  out_.tokens.push_back(token);
  piece_ = utf8_.Push(tokenizer_.Bytes(token));
  return true;
}

void Generator::Stop() {
  if (over_) return;
  over_ = true;
  out_.stop_reason = StopReason::kRequest;
  out_.text += utf8_.Finish();
}

bool Generator::Next() {
  piece_ = {};
  if (over_) return false;
  const Stopwatch watch;
  if (!Write()) {
    over_ = true;
    piece_ = utf8_.Finish();
  }
  out_.text += piece_;
  out_.seconds += watch.Seconds();
  return !over_ || !piece_.empty();
}

Generation Generate(Session& session, const Tokenizer& tokenizer, std::string_view prompt,
                    const GenerateOptions& options, const std::function<void(std::string_view piece)>& on_text) {
  Generator generator(session, tokenizer, prompt, options);
  while (generator.Next()) {
    if (on_text && !generator.piece().empty()) on_text(generator.piece());
  }
  return generator.generation();
}

}  // namespace flashlm
