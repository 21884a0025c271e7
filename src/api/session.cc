#include <flashlm/session.h>

#include <atomic>
#include <mutex>

#include "api/errors.h"
#include "api/json.h"
#include "api/model.h"
#include "api/tokenizer.h"
#include "base/error.h"
#include "infer/generate.h"

namespace flashlm::api {

struct Session::Impl {
  Impl(std::shared_ptr<Model::Impl> of, DType dtype)
      : model(std::move(of)), session(*model->loaded.model, dtype), precision(NameOf(dtype)) {}

  std::shared_ptr<Model::Impl> model;
  flashlm::Session session;
  std::string precision;
  std::atomic<bool> busy = false;
  uint64_t text = 0;                  // number of the text that it is in: a generator of an earlier one is over
  std::atomic<int64_t> position = 0;  // of `session`, for whoever looks meanwhile
};

namespace {

// A call that uses a session: the only one now, and its model's turn.
template <class SessionImpl>
class Use {
 public:
  explicit Use(SessionImpl& session) : session_(session) {
    if (session_.busy.exchange(true)) {
      throw UsageError("the session is in use, by another thread or by the caller of a callback",
                       "give each thread a session of its own; those of one model may run at the same time");
    }
    session_.model->turns.lock();
  }
  ~Use() {
    session_.position = session_.session.position();
    session_.model->turns.unlock();
    session_.busy = false;
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  SessionImpl& session_;
};

flashlm::GenerateOptions ToEngine(const GenerateOptions& options) {
  flashlm::GenerateOptions engine;
  engine.sampler = {.temperature = options.temperature,
                    .top_k = options.top_k,
                    .top_p = options.top_p,
                    .min_p = options.min_p,
                    .frequency_penalty = options.frequency_penalty,
                    .penalty_window = options.penalty_window,
                    .seed = options.seed};
  engine.max_tokens = options.max_tokens;
  engine.search = options.search;
  engine.search_beta = options.search_beta;
  return engine;
}

Generation ToApi(const flashlm::Generation& engine) {
  return {.text = engine.text,
          .tokens = engine.tokens,
          .stop_reason = static_cast<StopReason>(engine.stop_reason),
          .prompt_tokens = engine.prompt_tokens,
          .prompt_tokens_per_s = engine.prompt_tokens_per_s(),
          .tokens_per_s = engine.tokens_per_s()};
}
static_assert(static_cast<int>(StopReason::kRequest) == static_cast<int>(flashlm::StopReason::kRequest));

}  // namespace

Json ToJson(const Generation& generation) {
  return {{"text", generation.text},
          {"tokens", generation.tokens},
          {"stop_reason", NameOf(static_cast<flashlm::StopReason>(generation.stop_reason))},
          {"prompt_tokens", generation.prompt_tokens},
          {"generated_tokens", generation.tokens.size()},
          {"prompt_tokens_per_s", generation.prompt_tokens_per_s},
          {"tokens_per_s", generation.tokens_per_s}};
}

Session::Session(const Model& model, const std::string& precision) {
  Guarded([&] {
    const DType dtype = DecodingType(model.impl_->loaded, precision);
    impl_ = std::make_shared<Impl>(model.impl_, dtype);
  });
}

std::span<const float> Session::Feed(std::span<const int32_t> ids) {
  return Guarded([&]() -> std::span<const float> {
    if (ids.empty()) throw UsageError("no token to read", "give one at least");
    CheckIds(ids, impl_->session.vocab());
    const Use use(*impl_);
    ++impl_->text;
    return {impl_->session.Feed(ids), static_cast<size_t>(impl_->session.vocab())};
  });
}

int64_t Session::position() const { return impl_->position; }

void Session::Reset() {
  Guarded([&] {
    const Use use(*impl_);
    ++impl_->text;
    impl_->session.Reset();
  });
}

const std::string& Session::precision() const { return impl_->precision; }

Generation Session::Generate(std::string_view prompt, const GenerateOptions& options,
                             const std::function<bool(std::string_view piece)>& on_text) {
  Generator generator(*this, prompt, options);
  while (generator.Next()) {
    if (on_text && !generator.piece().empty() && !on_text(generator.piece())) generator.Stop();
  }
  return generator.generation();
}

struct Generator::Impl {
  std::shared_ptr<Session::Impl> session;
  uint64_t text = 0;
  std::unique_ptr<flashlm::Generator> generator;
  std::mutex mutex;  // of the generator: whoever looks at a text may not be who writes it
};

Generator::Generator(Session& session, std::string_view prompt, const GenerateOptions& options)
    : impl_(std::make_unique<Impl>()) {
  Guarded([&] {
    impl_->session = session.impl_;
    const Use use(*session.impl_);
    impl_->text = ++session.impl_->text;
    impl_->generator = std::make_unique<flashlm::Generator>(
        session.impl_->session, session.impl_->model->loaded.tokenizer, prompt, ToEngine(options));
  });
}

Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;

bool Generator::Next() {
  return Guarded([&] {
    const Use use(*impl_->session);
    const std::lock_guard lock(impl_->mutex);
    if (impl_->text != impl_->session->text) {
      throw UsageError("the session has been used for something else since this text was begun",
                       "give each text a session of its own");
    }
    return impl_->generator->Next();
  });
}

std::string_view Generator::piece() const { return impl_->generator->piece(); }
void Generator::Stop() {
  const std::lock_guard lock(impl_->mutex);
  impl_->generator->Stop();
}
Generation Generator::generation() const {
  const std::lock_guard lock(impl_->mutex);
  return ToApi(impl_->generator->generation());
}

}  // namespace flashlm::api
