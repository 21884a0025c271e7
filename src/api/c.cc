// flashlm/flashlm.h: the C++ API behind handles, and what it throws as a status and a message.
#include <flashlm/flashlm.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <flashlm/flashlm.hpp>
#include <functional>
#include <new>

#include "api/json.h"
#include "base/error.h"
#include "base/json.h"

namespace api = flashlm::api;
using flashlm::Json;

struct flashlm_tokenizer {
  api::Tokenizer tokenizer;
};
struct flashlm_model {
  api::Model model;
};
struct flashlm_session {
  api::Session session;
  int vocab;
};
struct flashlm_generator {
  api::Generator generator;
};

namespace {

// Of the thread's last failed call. Not a std::string, which would need memory where there may be none.
thread_local char last_error[1024] = "";

flashlm_status Fail(flashlm_status status, const char* message) {
  std::strncpy(last_error, message, sizeof last_error - 1);
  return status;
}

template <class F>
flashlm_status Try(const F& f) {
  try {
    f();
    return FLASHLM_OK;
  } catch (const api::Error& e) {
    const flashlm_status status = e.kind() == api::Error::Kind::kUsage ? FLASHLM_USAGE : FLASHLM_FAILED;
    try {
      return Fail(status, e.OneLine().c_str());
    } catch (const std::bad_alloc&) {
      return Fail(status, e.what());
    }
  } catch (const std::bad_alloc&) {
    return Fail(FLASHLM_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return Fail(FLASHLM_FAILED, e.what());
  } catch (...) {
    return Fail(FLASHLM_FAILED, "an unknown exception");
  }
}

// What a caller must give.
void Need(bool given, const char* name) {
  if (!given) throw api::Error(api::Error::Kind::kUsage, fmt::format("{} is NULL", name), "");
}

std::string Text(const char* text) { return text == nullptr ? "" : text; }
std::string Precision(const char* precision) { return precision == nullptr ? "auto" : precision; }

// Memory of the caller's, for flashlm_free. Of text it holds a zero behind it.
template <class T>
T* ForCaller(const T* values, size_t count) {
  auto* memory = static_cast<T*>(std::malloc((count + 1) * sizeof(T)));
  if (memory == nullptr) throw std::bad_alloc();
  std::copy_n(values, count, memory);
  memory[count] = T();
  return memory;
}
char* ForCaller(const Json& json) {
  const std::string text = flashlm::ToText(json);
  return ForCaller(text.data(), text.size());
}

std::vector<std::string_view> Views(const char* const* texts, const size_t* sizes, size_t count) {
  Need(count == 0 || (texts != nullptr && sizes != nullptr), "texts or sizes");
  std::vector<std::string_view> views;
  for (size_t i = 0; i < count; ++i) {
    Need(texts[i] != nullptr, "a text");
    views.emplace_back(texts[i], sizes[i]);
  }
  return views;
}

std::span<const int32_t> Ids(const int32_t* ids, size_t count) {
  Need(ids != nullptr || count == 0, "ids");
  return {ids, count};
}

flashlm_evaluation ToC(const api::Evaluation& e) {
  return {e.bits_per_byte, e.bits_per_char, e.nats_per_token, e.stderr_bits_per_byte,
          e.bytes,         e.tokens,        e.documents,      e.seconds};
}

}  // namespace

const char* flashlm_version(void) { return flashlm::Version(); }
const char* flashlm_error(void) { return last_error; }
void flashlm_free(void* memory) { std::free(memory); }

flashlm_status flashlm_set_message_handler(flashlm_message_handler handler, void* user) {
  return Try([&] {
    if (handler == nullptr) return api::SetMessageHandler({});
    api::SetMessageHandler([=](std::string_view line) { handler(line.data(), line.size(), user); });
  });
}

flashlm_status flashlm_tokenizer_load(const char* path, flashlm_tokenizer** out) {
  return Try([&] {
    Need(path != nullptr && out != nullptr, "path or out");
    *out = new flashlm_tokenizer{api::Tokenizer::Load(path)};
  });
}

flashlm_status flashlm_tokenizer_train(const char* const* texts, const size_t* sizes, size_t count, int vocab,
                                       flashlm_tokenizer** out) {
  return Try([&] {
    Need(out != nullptr, "out");
    *out = new flashlm_tokenizer{api::Tokenizer::Train(Views(texts, sizes, count), vocab)};
  });
}

flashlm_status flashlm_tokenizer_save(const flashlm_tokenizer* tokenizer, const char* path) {
  return Try([&] {
    Need(tokenizer != nullptr && path != nullptr, "tokenizer or path");
    tokenizer->tokenizer.Save(path);
  });
}

void flashlm_tokenizer_free(flashlm_tokenizer* tokenizer) { delete tokenizer; }
int flashlm_tokenizer_vocab(const flashlm_tokenizer* tokenizer) {
  return tokenizer == nullptr ? 0 : tokenizer->tokenizer.vocab();
}

flashlm_status flashlm_tokenizer_encode(const flashlm_tokenizer* tokenizer, const char* text, size_t size,
                                        int32_t** ids, size_t* count) {
  return Try([&] {
    Need(tokenizer != nullptr && ids != nullptr && count != nullptr, "tokenizer, ids or count");
    Need(text != nullptr || size == 0, "text");
    const std::vector<int32_t> encoded = tokenizer->tokenizer.Encode({text, size});
    *ids = ForCaller(encoded.data(), encoded.size());
    *count = encoded.size();
  });
}

flashlm_status flashlm_tokenizer_decode(const flashlm_tokenizer* tokenizer, const int32_t* ids, size_t count,
                                        char** text, size_t* size) {
  return Try([&] {
    Need(tokenizer != nullptr && text != nullptr && size != nullptr, "tokenizer, text or size");
    const std::string decoded = tokenizer->tokenizer.Decode(Ids(ids, count));
    *text = ForCaller(decoded.data(), decoded.size());
    *size = decoded.size();
  });
}

flashlm_status flashlm_model_load(const char* path, flashlm_model** out) {
  return Try([&] {
    Need(path != nullptr && out != nullptr, "path or out");
    *out = new flashlm_model{api::Model::Load(path)};
  });
}

void flashlm_model_free(flashlm_model* model) { delete model; }

flashlm_status flashlm_model_tokenizer(const flashlm_model* model, flashlm_tokenizer** out) {
  return Try([&] {
    Need(model != nullptr && out != nullptr, "model or out");
    *out = new flashlm_tokenizer{model->model.tokenizer()};
  });
}

int flashlm_model_vocab(const flashlm_model* model) { return model == nullptr ? 0 : model->model.vocab(); }

flashlm_status flashlm_model_describe(const flashlm_model* model, char** json) {
  return Try([&] {
    Need(model != nullptr && json != nullptr, "model or json");
    const api::Model& m = model->model;
    *json = ForCaller(Json{{"architecture", m.architecture()},
                           {"parameters", m.parameters()},
                           {"vocab", m.vocab()},
                           {"folder", m.folder()},
                           {"step", m.step()},
                           {"config", Json::parse(m.config())}});
  });
}

flashlm_status flashlm_model_set_depth(flashlm_model* model, int depth) {
  return Try([&] {
    Need(model != nullptr, "model");
    model->model.SetDepth(depth);
  });
}

flashlm_status flashlm_model_score(const flashlm_model* model, const char* precision, const int32_t* ids, size_t count,
                                   float* nats) {
  return Try([&] {
    Need(model != nullptr && (nats != nullptr || count == 0), "model or nats");
    const std::vector<float> scores = model->model.Score(Ids(ids, count), Precision(precision));
    std::copy(scores.begin(), scores.end(), nats);
  });
}

flashlm_status flashlm_model_logits(const flashlm_model* model, const char* precision, const int32_t* ids, size_t count,
                                    float* logits) {
  return Try([&] {
    Need(model != nullptr && (logits != nullptr || count == 0), "model or logits");
    model->model.Logits(Ids(ids, count), logits, Precision(precision));
  });
}

flashlm_status flashlm_model_evaluate(const flashlm_model* model, const char* precision, const char* const* documents,
                                      const size_t* sizes, size_t count, flashlm_evaluation* out) {
  return Try([&] {
    Need(model != nullptr && out != nullptr, "model or out");
    *out = ToC(model->model.Evaluate(Views(documents, sizes, count), Precision(precision)));
  });
}

flashlm_status flashlm_model_evaluate_file(const flashlm_model* model, const char* precision, const char* path,
                                           flashlm_evaluation* out) {
  return Try([&] {
    Need(model != nullptr && path != nullptr && out != nullptr, "model, path or out");
    *out = ToC(model->model.EvaluateFile(path, Precision(precision)));
  });
}

flashlm_status flashlm_session_new(const flashlm_model* model, const char* precision, flashlm_session** out) {
  return Try([&] {
    Need(model != nullptr && out != nullptr, "model or out");
    *out = new flashlm_session{api::Session(model->model, Precision(precision)), model->model.vocab()};
  });
}

void flashlm_session_free(flashlm_session* session) { delete session; }

flashlm_status flashlm_session_feed(flashlm_session* session, const int32_t* ids, size_t count, float* log_probs) {
  return Try([&] {
    Need(session != nullptr, "session");
    const std::span<const float> next = session->session.Feed(Ids(ids, count));
    if (log_probs != nullptr) std::copy(next.begin(), next.end(), log_probs);
  });
}

flashlm_status flashlm_session_reset(flashlm_session* session) {
  return Try([&] {
    Need(session != nullptr, "session");
    session->session.Reset();
  });
}

int64_t flashlm_session_position(const flashlm_session* session) {
  return session == nullptr ? -1 : session->session.position();
}

flashlm_generate_options flashlm_generate_defaults(void) {
  const api::GenerateOptions o;
  return {o.max_tokens,        o.temperature,    o.top_k, o.top_p,  o.min_p,
          o.frequency_penalty, o.penalty_window, o.seed,  o.search, o.search_beta};
}

flashlm_status flashlm_generator_new(flashlm_session* session, const char* prompt, size_t size,
                                     const flashlm_generate_options* options, flashlm_generator** out) {
  return Try([&] {
    Need(session != nullptr && out != nullptr, "session or out");
    Need(prompt != nullptr || size == 0, "prompt");
    const flashlm_generate_options o = options == nullptr ? flashlm_generate_defaults() : *options;
    const api::GenerateOptions wanted{o.max_tokens,        o.temperature,    o.top_k, o.top_p,  o.min_p,
                                      o.frequency_penalty, o.penalty_window, o.seed,  o.search, o.search_beta};
    *out = new flashlm_generator{api::Generator(session->session, {prompt, size}, wanted)};
  });
}

void flashlm_generator_free(flashlm_generator* generator) { delete generator; }

flashlm_status flashlm_generator_next(flashlm_generator* generator, const char** piece, size_t* size) {
  return Try([&] {
    Need(generator != nullptr && piece != nullptr && size != nullptr, "generator, piece or size");
    const bool more = generator->generator.Next();
    const std::string_view text = generator->generator.piece();
    *piece = !more ? nullptr : text.empty() ? "" : text.data();
    *size = text.size();
  });
}

flashlm_status flashlm_generator_describe(const flashlm_generator* generator, char** json) {
  return Try([&] {
    Need(generator != nullptr && json != nullptr, "generator or json");
    *json = ForCaller(api::ToJson(generator->generator.generation()));
  });
}

flashlm_status flashlm_train(const flashlm_train_config* config, flashlm_on_progress on_progress, void* user,
                             char** result) {
  return Try([&] {
    Need(config != nullptr && result != nullptr, "config or result");
    Need(config->set != nullptr || config->set_count == 0, "set");
    for (size_t i = 0; i < config->set_count; ++i) Need(config->set[i] != nullptr, "a setting");
    api::TrainConfig wanted{.data = Text(config->data),
                            .out = Text(config->out),
                            .resume = Text(config->resume),
                            .start = Text(config->start),
                            .preset = Text(config->preset),
                            .recipe = Text(config->recipe),
                            .time = Text(config->time),
                            .hours = Text(config->hours),
                            .tokens = Text(config->tokens),
                            .steps = Text(config->steps),
                            .set = {config->set, config->set + config->set_count},
                            .seed = {},
                            .tensorboard = config->tensorboard != 0};
    if (config->seed != nullptr) wanted.seed = *config->seed;
    std::function<bool(const api::TrainProgress&)> report;
    if (on_progress != nullptr) {
      report = [=](const api::TrainProgress& p) {
        const flashlm_train_progress progress{p.evaluation,    p.step,         p.tokens,      p.fraction,   p.loss,
                                              p.bits_per_byte, p.tokens_per_s, p.line.data(), p.line.size()};
        return on_progress(&progress, user) != 0;
      };
    }
    const api::TrainResult done = api::Train(wanted, report);
    *result = ForCaller(Json{{"finished", done.finished},
                             {"run", done.run},
                             {"step", done.step},
                             {"tokens", done.tokens},
                             {"results", done.finished ? Json::parse(done.results) : Json()}});
  });
}
