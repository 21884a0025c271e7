#include "serve/completion_request.h"

#include <algorithm>
#include <random>

#include "base/error.h"

namespace flashlm {

const char* const kReservedNames[4] = {"<pad>", "<unk>", "<bos>", "<eos>"};

const char* const kChatTemplate =
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}";

namespace {

// Seeds that clients do not choose; small enough to be exact in every JSON reader.
int64_t AnySeed() {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return static_cast<int64_t>(generator() >> 12);
}

void CheckLength(const Prompt& prompt, const RequestLimits& limits, const char* field) {
  if (std::ssize(prompt.ids) <= limits.prompt_tokens) return;
  throw BadRequest(
      fmt::format("a prompt of {} tokens; this server reads {} at most", prompt.ids.size(), limits.prompt_tokens),
      field, "context_length_exceeded");
}

// Encoding takes time, and all connections wait for it: a text that cannot be short enough is not encoded.
void CheckBytes(std::string_view text, const Tokenizer& tokenizer, const RequestLimits& limits, const char* field) {
  size_t longest = 1;
  for (int id = 0; id < tokenizer.vocab_size(); ++id) longest = std::max(longest, tokenizer.Bytes(id).size());
  if (text.size() / longest <= static_cast<size_t>(limits.prompt_tokens)) return;
  throw BadRequest(
      fmt::format("a prompt of {} bytes; this server reads {} tokens at most", text.size(), limits.prompt_tokens),
      field, "context_length_exceeded");
}

Prompt FromText(const std::string& text, const Tokenizer& tokenizer, const RequestLimits& limits) {
  CheckBytes(text, tokenizer, limits, "prompt");
  return EncodePrompt(tokenizer, text);
}

Prompt FromIds(const Json& ids, const Tokenizer& tokenizer) {
  Prompt prompt;
  prompt.ids.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!IsWhole(ids[i], 0, tokenizer.vocab_size() - 1)) {
      throw BadRequest(fmt::format("'prompt' must hold token ids from 0 to {}", tokenizer.vocab_size() - 1), "prompt");
    }
    const auto id = ids[i].get<uint16_t>();
    if (i == 0 && id == Tokenizer::kEos) {
      prompt.opened = true;
    } else {
      prompt.ids.push_back(id);
    }
  }
  return prompt;
}

// A text, ids, a list of texts, or a list of lists of ids.
std::vector<Prompt> ReadPrompts(const Json* value, const Tokenizer& tokenizer, const RequestLimits& limits) {
  std::vector<Prompt> prompts;
  if (value == nullptr) {
    prompts.emplace_back();  // a new document
  } else if (value->is_string()) {
    prompts.push_back(FromText(value->get_ref<const std::string&>(), tokenizer, limits));
  } else if (value->is_array() && !value->empty() && value->front().is_number()) {
    prompts.push_back(FromIds(*value, tokenizer));
  } else if (value->is_array() && !value->empty() && std::ssize(*value) <= limits.texts) {
    for (const Json& one : *value) {
      if (one.is_string()) {
        prompts.push_back(FromText(one.get_ref<const std::string&>(), tokenizer, limits));
      } else if (one.is_array()) {
        prompts.push_back(FromIds(one, tokenizer));
      } else {
        throw BadRequest("'prompt' must hold texts, or lists of token ids", "prompt");
      }
    }
  } else {
    throw BadRequest(fmt::format("'prompt' must be a text, token ids, or a list of up to {} of these", limits.texts),
                     "prompt");
  }
  for (const Prompt& prompt : prompts) CheckLength(prompt, limits, "prompt");
  return prompts;
}

void ReadStops(BodyFields& fields, const RequestLimits& limits, CompletionRequest& request) {
  const Json* value = fields.Find("stop");
  if (value == nullptr) return;
  const auto add = [&](const Json& stop) {
    const bool right = stop.is_string() && !stop.get_ref<const std::string&>().empty() &&
                       stop.get_ref<const std::string&>().size() <= limits.stop_bytes;
    if (!right) fields.Refuse("stop", fmt::format("must hold texts of 1 to {} bytes", limits.stop_bytes));
    request.stops.push_back(stop.get<std::string>());
  };
  if (value->is_array()) {
    if (std::ssize(*value) > limits.stops) fields.Refuse("stop", fmt::format("may have {} texts", limits.stops));
    for (const Json& stop : *value) add(stop);
  } else {
    add(*value);
  }
}

// What both kinds of request have.
void ReadCommon(BodyFields& fields, const RequestLimits& limits, CompletionRequest& request) {
  SamplerConfig& sampler = request.sampler;
  sampler.temperature = fields.Real("temperature", 1, 0, 100);
  sampler.top_p = fields.Real("top_p", 1, 0, 1);
  sampler.top_k = static_cast<int>(fields.Whole("top_k", 0, -1, 1 << 20));
  sampler.top_k = std::max(0, sampler.top_k);  // -1 is all, too, for other servers
  sampler.min_p = fields.Real("min_p", 0, 0, 1);
  sampler.frequency_penalty = fields.Real("frequency_penalty", 0, -100, 100);
  sampler.penalty_window = static_cast<int>(fields.Whole("penalty_window", sampler.penalty_window, 0, 1 << 20));
  request.seeded = fields.Has("seed");
  sampler.seed = fields.Whole("seed", AnySeed(), 0, INT64_MAX);
  request.texts = static_cast<int>(fields.Whole("n", 1, 1, limits.texts));
  request.stream = fields.Flag("stream", false);
  request.details = fields.Flag("details", false);
  if (const Json* options = fields.Find("stream_options")) {
    if (!options->is_object()) fields.Refuse("stream_options", "must be an object");
    if (!request.stream) fields.Refuse("stream_options", "goes with 'stream': true");
    BodyFields inner(*options, "stream_options.");
    request.include_usage = inner.Flag("include_usage", false);
    inner.Ignore({"include_obfuscation"});
    inner.RefuseOthers();
  }
  ReadStops(fields, limits, request);
  fields.Ignore({"model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"});
  fields.Only("presence_penalty", 0, "is not supported; frequency_penalty is");
  fields.Only("logit_bias", Json::object(), "is not supported");
}

void CheckTexts(const CompletionRequest& request, const RequestLimits& limits) {
  const auto texts = std::ssize(request.prompts) * request.texts;
  if (texts > limits.texts) {
    throw BadRequest(fmt::format("{} prompts with {} texts each; a request may have {} texts", request.prompts.size(),
                                 request.texts, limits.texts),
                     "n");
  }
}

// A text, or a list of parts {"type": "text", "text": ...}.
std::string ContentOf(const Json& message) {
  constexpr char kWrong[] = "'messages' must hold objects with 'role' and 'content', a text";
  const auto content = message.is_object() ? message.find("content") : message.end();
  if (!message.is_object() || content == message.end() || !message.value("role", Json()).is_string()) {
    throw BadRequest(kWrong, "messages");
  }
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) throw BadRequest(kWrong, "messages");
  for (const Json& part : *content) {
    const bool is_text = part.is_object() && part.value("type", Json()) == "text" && part.contains("text") &&
                         part.at("text").is_string();
    if (!is_text) throw BadRequest("'messages' may hold parts of type \"text\" alone", "messages");
    text += part.at("text").get<std::string>();
  }
  return text;
}

}  // namespace

Prompt EncodePrompt(const Tokenizer& tokenizer, std::string_view text) {
  Prompt prompt;
  const std::string_view eos = kReservedNames[Tokenizer::kEos];
  if (text.starts_with(eos)) {
    prompt.opened = true;
    text.remove_prefix(eos.size());
  }
  prompt.ids = tokenizer.Encode(text);
  return prompt;
}

std::string ModelNameOf(const Json& body) { return BodyFields(body).Text("model", ""); }

CompletionRequest ReadCompletionRequest(const Json& body, const Tokenizer& tokenizer, const RequestLimits& limits) {
  BodyFields fields(body);
  CompletionRequest request;
  request.model = ModelNameOf(body);
  request.prompts = ReadPrompts(fields.Find("prompt"), tokenizer, limits);
  ReadCommon(fields, limits, request);
  request.max_tokens = static_cast<int>(fields.Whole("max_tokens", 16, 0, limits.new_tokens));
  request.echo = fields.Flag("echo", false);
  request.likely = static_cast<int>(fields.Whole("logprobs", -1, 0, limits.likely));
  fields.Only("best_of", request.texts, "must be n: all texts are returned");
  fields.Only("suffix", "", "is not supported");
  fields.RefuseOthers();
  CheckTexts(request, limits);
  return request;
}

CompletionRequest ReadChatRequest(const Json& body, const Tokenizer& tokenizer, const RequestLimits& limits) {
  constexpr int kUsual = 512;
  constexpr size_t kMostMessages = 1024;
  BodyFields fields(body);
  CompletionRequest request;
  request.chat = true;
  request.model = ModelNameOf(body);
  const Json* messages = fields.Find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty() || messages->size() > kMostMessages) {
    throw BadRequest(fmt::format("'messages' must be a list of 1 to {} messages", kMostMessages), "messages");
  }
  std::string text;
  for (const Json& message : *messages) text += (&message == &messages->front() ? "" : "\n") + ContentOf(message);
  CheckBytes(text, tokenizer, limits, "messages");
  request.prompts.push_back({tokenizer.Encode(text), false});
  CheckLength(request.prompts.front(), limits, "messages");
  ReadCommon(fields, limits, request);
  const int64_t usual = std::min(kUsual, limits.new_tokens);
  const int64_t older = fields.Whole("max_tokens", usual, 0, limits.new_tokens);
  request.max_tokens = static_cast<int>(fields.Whole("max_completion_tokens", older, 0, limits.new_tokens));
  const int64_t likely = fields.Whole("top_logprobs", 0, 0, limits.likely);
  if (fields.Flag("logprobs", false)) {
    request.likely = static_cast<int>(likely);
  } else if (likely > 0) {
    fields.Refuse("top_logprobs", "goes with 'logprobs': true");
  }
  const std::pair<const char*, Json> neutral[] = {{"tools", Json::array()},
                                                  {"tool_choice", "none"},
                                                  {"functions", Json::array()},
                                                  {"function_call", "none"},
                                                  {"response_format", {{"type", "text"}}},
                                                  {"modalities", Json::array({"text"})}};
  for (const auto& [name, value] : neutral) {
    const Json* given = fields.Find(name);
    if (given != nullptr && *given == "auto" && value == "none") continue;  // there is nothing to choose from
    fields.Only(name, value, "is not supported: these models continue texts");
  }
  fields.Ignore({"parallel_tool_calls", "reasoning_effort"});
  fields.RefuseOthers();
  CheckTexts(request, limits);
  return request;
}

}  // namespace flashlm
