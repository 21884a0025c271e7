#include "serve/completion.h"

#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <random>
#include <utility>

#include "serve/api_error.h"
#include "serve/token_entry.h"
#include "serve/written_text.h"

namespace flashlm {
namespace {

std::string NewId(const char* prefix) {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return fmt::format("{}-{:016x}", prefix, generator());
}

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

const char* ReasonOf(StreamEnd end) { return end == StreamEnd::kEos || end == StreamEnd::kStop ? "stop" : "length"; }

// What is common to a request's texts. Lives as long as one of them is written.
class Answer {
 public:
  Answer(const CompletionRequest& request, const ModelCard& card, std::shared_ptr<HttpReply> reply,
         const HttpHeaders& headers)
      : request_(request), card_(card), reply_(std::move(reply)), headers_(headers) {
    const auto choices = request.prompts.size() * static_cast<size_t>(request.texts);
    open_ = choices;
    choices_.resize(choices);
    for (const Prompt& prompt : request.prompts) prompt_tokens_ += std::ssize(prompt.ids) + prompt.opened;
    const char* object =
        request.chat ? (request.stream ? "chat.completion.chunk" : "chat.completion") : "text_completion";
    head_ = {{"id", NewId(request.chat ? "chatcmpl" : "cmpl")},
             {"object", object},
             {"created", UnixSeconds()},
             {"model", card.id},
             {"system_fingerprint", card.fingerprint},
             {"seed", request.sampler.seed}};
    std::string head = ToText(head_);
    head.pop_back();
    event_head_ = "data: " + head + ",\"choices\":[";
    event_tail_ = request.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
  }

  const CompletionRequest& request() const { return request_; }
  const ModelCard& card() const { return card_; }
  bool wanted() const { return !reply_->gone(); }
  void AddKnown(int64_t tokens) { known_tokens_ = std::max(known_tokens_, tokens); }

  // Of a stream: one event. choice: a JSON object. Any thread.
  bool Tell(const std::string& choice) {
    const std::lock_guard lock(telling_);
    BeginStream();
    return reply_->Write(event_head_ + choice + event_tail_);
  }
  // Otherwise: what a choice is, at its end.
  void Keep(size_t index, Json choice) { choices_[index] = std::move(choice); }

  // A choice has ended.
  void Close(StreamEnd end, int64_t tokens) {
    completion_tokens_ += tokens;
    if (end == StreamEnd::kFailed || end == StreamEnd::kShutdown || (end == StreamEnd::kTime && tokens == 0)) {
      problem_ = end;
    }
    if (--open_ > 0) return;
    if (!request_.stream) return SendAll();
    BeginStream();
    if (problem_) {
      reply_->Write("data: " + ToText(Problem().ToJson()) + "\n\n");
    } else if (request_.include_usage) {
      Json last = head_;
      last["choices"] = Json::array();
      last["usage"] = Usage();
      reply_->Write("data: " + ToText(last) + "\n\n");
    }
    reply_->Write("data: [DONE]\n\n");
    reply_->EndStream();
  }

 private:
  void BeginStream() {
    if (std::exchange(begun_, true)) return;
    HttpHeaders headers = headers_;
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // or a proxy would keep tokens until it has a bufferful
    reply_->BeginStream("text/event-stream; charset=utf-8", std::move(headers));
  }

  void SendAll() {
    if (problem_) {
      const ApiError problem = Problem();
      return reply_->Send(problem.status(), "application/json", ToText(problem.ToJson()), headers_);
    }
    Json body = head_;
    body["choices"] = std::move(choices_);
    body["usage"] = Usage();
    reply_->Send(200, "application/json", ToText(body), headers_);
  }

  ApiError Problem() const {
    if (problem_ == StreamEnd::kShutdown) return {503, "the server is shutting down", "server_error", "", "shutdown"};
    if (problem_ == StreamEnd::kTime) {
      return {503, "the server was too busy to begin within the time that a request may take", "server_error", "",
              "timeout"};
    }
    return {500, "the model failed", "server_error"};
  }

  Json Usage() const {
    return {{"prompt_tokens", prompt_tokens_},
            {"completion_tokens", completion_tokens_},
            {"total_tokens", prompt_tokens_ + completion_tokens_},
            {"prompt_tokens_details", {{"cached_tokens", known_tokens_}}}};
  }

  CompletionRequest request_;
  ModelCard card_;
  std::shared_ptr<HttpReply> reply_;
  HttpHeaders headers_;
  Json head_;
  std::string event_head_, event_tail_;
  size_t open_ = 0;
  std::vector<Json> choices_;
  std::mutex telling_;
  bool begun_ = false;
  std::optional<StreamEnd> problem_;
  int64_t prompt_tokens_ = 0, completion_tokens_ = 0, known_tokens_ = 0;
};

// One text of the request.
class Choice final : public StreamListener {
 public:
  Choice(std::shared_ptr<Answer> answer, size_t index, const Prompt& prompt)
      : answer_(std::move(answer)), index_(index), prompt_(prompt), written_(answer_->request().stops) {
    if (Request().echo) EchoText();
  }

  bool wanted() const override { return answer_->wanted(); }

  void OnScored(ScoredText scored) override { scored_ = std::move(scored); }

  void OnStart(int64_t known_tokens) override {
    answer_->AddKnown(std::max<int64_t>(0, known_tokens - !prompt_.opened));
  }

  bool OnToken(DrawnToken token) override {
    Begin();
    const bool eos = token.token == Tokenizer::kEos;
    const std::string_view bytes = Tokenizer_().Bytes(token.token);
    if (NeedsEntries()) {
      const int64_t character = echoed_ + written_.CharacterOf(eos ? std::string_view() : bytes);
      waiting_.push_back({std::move(token), true, character});
    }
    if (eos) return true;
    ++tokens_;
    untold_ += written_.Add(bytes);
    SettleEntries();
    return !written_.stopped();
  }

  void OnPause() override { Give(std::exchange(untold_, {}), nullptr); }

  void OnEnd(StreamEnd end) override {
    Begin();
    untold_ += written_.Finish();
    SettleEntries();
    Give(untold_, written_.stopped() ? "stop" : ReasonOf(end));
    if (!Request().stream) answer_->Keep(index_, Whole());
    answer_->Close(end, tokens_);
  }

 private:
  const CompletionRequest& Request() const { return answer_->request(); }
  const Tokenizer& Tokenizer_() const { return *answer_->card().tokenizer; }
  bool NeedsEntries() const { return Request().likely >= 0 || Request().details; }

  // The prompt as text, reserved tokens by name, and where in it each of its tokens begins.
  void EchoText() {
    WrittenText written({});
    const auto add = [&](int32_t token) {
      const bool reserved = token < Tokenizer::kSpecials;
      if (reserved) echo_ += written.Finish();
      const std::string_view bytes = reserved ? std::string_view(kReservedNames[token]) : Tokenizer_().Bytes(token);
      echo_characters_.push_back(written.CharacterOf(bytes));
      echo_ += written.Add(bytes);
    };
    if (prompt_.opened) add(Tokenizer::kEos);
    for (const uint16_t id : prompt_.ids) add(id);
    echo_ += written.Finish();
    echoed_ = WrittenText::Characters(echo_);
  }

  // Before anything that is written: the prompt, if it is to be echoed, and a chat's first event.
  void Begin() {
    if (std::exchange(begun_, true)) return;
    if (Request().chat && Request().stream) {
      answer_->Tell(fmt::format(R"({{"index":{},"delta":{{"role":"assistant","content":"","refusal":null}},)"
                                R"("logprobs":null,"finish_reason":null}})",
                                index_));
    }
    if (!Request().echo) return;
    if (Request().likely >= 0) EnterPrompt();
    SettleEntries();
    Give(echo_, nullptr);
  }

  // The prompt's own entries, of which the first is not told how likely it is: OpenAI's clients expect that.
  void EnterPrompt() {
    const auto enter = [&](int32_t token, size_t at, bool scored) {
      TokenEntry entry{{}, scored, echo_characters_[waiting_.size()]};
      entry.token.token = token;
      if (scored) {
        entry.token.log_p = -scored_.nats[at];
        entry.token.likely = std::move(scored_.likely[at]);
      }
      waiting_.push_back(std::move(entry));
    };
    if (prompt_.opened) enter(Tokenizer::kEos, 0, false);
    for (size_t i = 0; i < prompt_.ids.size(); ++i) enter(prompt_.ids[i], i, prompt_.opened || i > 0);
  }

  void SettleEntries() {
    if (written_.stopped()) {  // tokens of which nothing is shown belong to the stop sequence
      while (!waiting_.empty() && waiting_.back().character >= echoed_ + written_.shown() &&
             waiting_.back().token.token != Tokenizer::kEos) {
        waiting_.pop_back();
      }
    }
    if (written_.known() == written_.shown()) settled_ = std::ssize(waiting_);
  }

  // To the client, or to what it gets at the end. Entries go with the text that they belong to.
  void Give(const std::string& text, const char* reason) {
    if (!Request().stream) {
      text_ += text;
      if (reason != nullptr) reason_ = reason;
      return;
    }
    const auto end = reason != nullptr ? waiting_.end() : waiting_.begin() + std::exchange(settled_, 0);
    const std::vector<TokenEntry> entries(std::move_iterator(waiting_.begin()), std::move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    if (text.empty() && entries.empty() && reason == nullptr) return;
    const std::string content = ToText(Json(text));
    std::string choice = fmt::format(R"({{"index":{},)", index_);
    if (Request().chat) {
      choice += text.empty() ? std::string(R"("delta":{},)") : fmt::format(R"("delta":{{"content":{}}},)", content);
    } else {
      choice += fmt::format(R"("text":{},)", content);
    }
    choice += fmt::format(R"("logprobs":{},)", Request().likely < 0 ? "null" : ToText(Logprobs(entries)));
    if (Request().details) choice += fmt::format(R"("details":{},)", ToText(TokenDetails(entries)));
    choice +=
        reason == nullptr ? std::string(R"("finish_reason":null})") : fmt::format(R"("finish_reason":"{}"}})", reason);
    answer_->Tell(choice);
  }

  Json Logprobs(std::span<const TokenEntry> entries) const {
    return Request().chat ? ChatLogprobs(entries, Tokenizer_()) : CompletionLogprobs(entries, Tokenizer_());
  }

  Json Whole() const {
    Json choice = {{"index", index_}};
    if (Request().chat) {
      choice["message"] = {{"role", "assistant"}, {"content", text_}, {"refusal", nullptr}};
    } else {
      choice["text"] = text_;
    }
    choice["logprobs"] = Request().likely < 0 ? Json() : Logprobs(waiting_);
    if (Request().details) choice["details"] = TokenDetails(waiting_);
    choice["finish_reason"] = reason_;
    return choice;
  }

  std::shared_ptr<Answer> answer_;
  size_t index_;
  Prompt prompt_;
  WrittenText written_;
  ScoredText scored_;
  std::string echo_;
  std::vector<int64_t> echo_characters_;  // where the prompt's tokens begin
  int64_t echoed_ = 0;                    // characters of the prompt before what is written
  bool begun_ = false;
  std::string untold_;               // text that can be shown
  std::vector<TokenEntry> waiting_;  // not told yet
  std::ptrdiff_t settled_ = 0;       // of these, whose text can be shown
  int64_t tokens_ = 0;
  std::string text_, reason_;
};

}  // namespace

std::vector<StreamJob> Completion::Jobs(const CompletionRequest& request, const ModelCard& card,
                                        std::shared_ptr<HttpReply> reply, const HttpHeaders& headers) {
  const auto answer = std::make_shared<Answer>(request, card, std::move(reply), headers);
  std::vector<StreamJob> jobs;
  for (const Prompt& prompt : request.prompts) {
    for (int i = 0; i < request.texts; ++i) {
      StreamJob job;
      job.prompt.push_back(Tokenizer::kEos);
      job.prompt.insert(job.prompt.end(), prompt.ids.begin(), prompt.ids.end());
      job.sampler = request.sampler;
      job.number = request.seeded ? i : std::ssize(jobs);
      job.max_tokens = request.max_tokens;
      job.likely = std::max(0, request.likely);
      job.score_prompt = request.echo && request.likely >= 0;
      job.listener = std::make_shared<Choice>(answer, jobs.size(), prompt);
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

}  // namespace flashlm
