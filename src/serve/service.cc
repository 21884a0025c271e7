#include "serve/service.h"

#include <flashlm/version.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "infer/describe.h"
#include "serve/api_error.h"
#include "serve/origin.h"
#include "serve/page_files.h"
#include "serve/written_text.h"

namespace flashlm {
namespace {

std::string NameOfFolder(const std::string& path) {
  std::error_code code;
  const std::filesystem::path whole = std::filesystem::canonical(path, code);
  const std::string name = (code ? std::filesystem::path(path) : whole).filename().string();
  return ToText(Json(name)).size() == name.size() + 2 ? name : "model";  // nothing that needs escaping
}

// In a time that does not tell how much of a key is right.
bool SameKey(std::string_view a, std::string_view b) {
  const std::string ours = Sha256(a), theirs = Sha256(b);
  unsigned different = 0;
  for (size_t i = 0; i < ours.size(); ++i) different |= static_cast<unsigned>(ours[i] ^ theirs[i]);
  return different == 0;
}

void AddMetric(std::string& text, const char* name, const char* type, const char* help, double value) {
  text += fmt::format("# HELP flashlm_{0} {1}\n# TYPE flashlm_{0} {2}\nflashlm_{0} {3}\n", name, help, type, value);
}

}  // namespace

std::vector<std::string> ReadApiKeys(const std::string& path) {
  constexpr char kBlanks[] = " \t\r\v\f";
  std::istringstream lines(ReadFile(path));
  std::vector<std::string> keys;
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find_first_not_of(kBlanks), end = line.find_last_not_of(kBlanks);
    if (begin != std::string::npos && line[begin] != '#') keys.push_back(line.substr(begin, end + 1 - begin));
  }
  if (keys.empty()) throw Error(fmt::format("'{}' holds no key", path), "write one key a line");
  return keys;
}

Service::Service(const ServiceOptions& options) : options_(options) {
  constexpr size_t kWaitingBytes = 64 << 20;
  // More would be told to try again later, for ever.
  options_.request.texts = std::min<int>(options_.request.texts, static_cast<int>(options_.engine.waiting));
  std::vector<ServedModel> served;
  models_.reserve(options.models.size());
  for (const std::string& folder : options.models) {
    Served& one = models_.emplace_back(Served{LoadModel(folder), {}, {}});
    const DType decode = DecodingType(one.loaded, options.precision);
    std::string id = NameOfFolder(folder);
    if (!models_.empty() && models_.front().card.id == id) id += "-2";
    one.card = {id, fmt::format("flashlm-{}-{}", Version(), NameOf(decode)), &one.loaded.tokenizer};
    one.description = DescribeModel(*one.loaded.model, 0);
    one_tokenizer_ &= one.loaded.tokenizer.Hash() == models_.front().loaded.tokenizer.Hash();
    served.push_back({one.loaded.model.get(), decode, ScoringType(one.loaded, options.precision)});
  }
  if (!options.run.empty()) dashboard_ = std::make_unique<Dashboard>(options.run);
  if (served.empty()) return;
  engine_ = std::make_unique<Engine>(std::move(served), options.engine);
  reading_ = std::make_unique<Worker>(kWaitingBytes);
  tokenizing_ = std::make_unique<Worker>(kWaitingBytes);
}

bool Service::Finish(double seconds) {
  finishing_ = true;
  return engine_ == nullptr || engine_->Finish(seconds);
}

std::vector<std::string> Service::ids() const {
  std::vector<std::string> ids;
  for (const Served& model : models_) ids.push_back(model.card.id);
  return ids;
}

const std::vector<Service::Place>& Service::Places() {
  static const std::vector<Place> kPlaces = {
      {"GET", "/health", &Service::Health, true},
      {"GET", "/v1/health", &Service::Health, true},
      {"GET", "/", &Service::Page, true},
      {"GET", "/page.js", &Service::PageScript, true},
      {"GET", "/page.css", &Service::PageStyle, true},
      {"GET", "/v1/models", &Service::Models},
      {"POST", "/v1/completions", &Service::Completions, false, &Service::reading_},
      {"POST", "/v1/chat/completions", &Service::ChatCompletions, false, &Service::reading_},
      {"POST", "/tokenize", &Service::Tokenize, false, &Service::tokenizing_},
      {"POST", "/detokenize", &Service::Detokenize, false, &Service::tokenizing_},
      {"GET", "/tokenizer_info", &Service::TokenizerInfo},
      {"GET", "/metrics", &Service::Metrics},
      {"GET", "/run", &Service::RunPage},
      {"GET", "/run/data", &Service::RunParts},
  };
  return kPlaces;
}

void Service::Handle(HttpRequest request, const std::shared_ptr<HttpReply>& reply) {
  ++requests_;
  if (request.method == "HEAD") request.method = "GET";
  const auto call = std::make_shared<Call>(Call{std::move(request), reply});
  call->headers.emplace_back("X-Content-Type-Options", "nosniff");
  Guard(*call, [&] {
    AllowOrigin(*call);
    RefuseForeign(call->request, {options_.cors_origin, options_.public_origin, options_.loopback});
    if (AnswerPreflight(*call)) return;
    const Place& place = Find(*call);
    if (!place.open) CheckKey(call->request);
    if (place.worker == nullptr || this->*place.worker == nullptr) return (this->*place.route)(*call);
    const auto answer = [this, call, &place] {
      if (call->reply->gone()) return;
      Guard(*call, [&] {
        RefuseIfFinishing();
        (this->*place.route)(*call);
      });
    };
    if ((this->*place.worker)->Post(call->request.body.size(), answer)) return;
    RefuseIfFinishing();
    RefuseBusy();
  });
}

void Service::Guard(Call& call, const std::function<void()>& work) {
  try {
    work();
  } catch (const ApiError& e) {
    ++refused_;
    if (e.status() == 429) call.headers.emplace_back("Retry-After", "1");
    if (e.status() == 401) call.headers.emplace_back("WWW-Authenticate", "Bearer");
    call.Send(e.ToJson(), e.status());
  } catch (const std::exception&) {
    call.Send(ApiError(500, "the server failed", "server_error").ToJson(), 500);
  }
}

void Service::RefuseIfFinishing() const {
  if (finishing_) throw ApiError(503, "the server is shutting down", "server_error", "", "shutdown");
}

void Service::RefuseBusy() {
  ++busy_;
  throw ApiError(429, "too many requests wait already; try again later", "rate_limit_error", "", "rate_limit_exceeded");
}

void Service::AllowOrigin(Call& call) const {
  if (options_.cors_origin.empty() || call.request.origin != options_.cors_origin) return;
  call.headers.emplace_back("Access-Control-Allow-Origin", options_.cors_origin);
  call.headers.emplace_back("Vary", "Origin");
}

// A browser asks what another site's page may do before it lets it. Headers are no secret of ours: those that it names
// may be sent.
bool Service::AnswerPreflight(Call& call) const {
  const HttpRequest& request = call.request;
  if (request.method != "OPTIONS" || request.origin.empty() || request.origin != options_.cors_origin) return false;
  if (std::none_of(Places().begin(), Places().end(), [&](const Place& p) { return IsAt(p, request); })) return false;
  const bool plain = request.asked_headers.size() < 1000 &&
                     std::all_of(request.asked_headers.begin(), request.asked_headers.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '-' || c == ',' || c == ' ';
                     });
  call.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST");
  call.headers.emplace_back("Access-Control-Allow-Headers", plain && !request.asked_headers.empty()
                                                                ? request.asked_headers
                                                                : "Authorization, Content-Type");
  call.headers.emplace_back("Access-Control-Max-Age", "600");
  call.reply->Send(204, "text/plain", "", call.headers);
  return true;
}

void Service::CheckKey(const HttpRequest& request) const {
  if (options_.api_keys.empty()) return;
  constexpr std::string_view kBearer = "bearer ";  // as in HTTP, in any letters
  const std::string_view given = request.authorization;
  const bool bearer =
      given.size() > kBearer.size() && std::equal(kBearer.begin(), kBearer.end(), given.begin(),
                                                  [](char a, unsigned char b) { return a == std::tolower(b); });
  if (bearer) {
    bool right = false;
    for (const std::string& key : options_.api_keys) right |= SameKey(key, given.substr(kBearer.size()));
    if (right) return;
  }
  throw ApiError(401,
                 given.empty() ? "this server wants an API key: Authorization: Bearer KEY" : "the API key is wrong",
                 "invalid_request_error", "", "invalid_api_key");
}

bool Service::IsAt(const Place& place, const HttpRequest& request) {
  return request.path == place.path ||
         (place.path == std::string_view("/v1/models") && request.path.starts_with("/v1/models/"));
}

const Service::Place& Service::Find(Call& call) const {
  const char* method = nullptr;
  for (const Place& place : Places()) {
    if (!IsAt(place, call.request)) continue;
    if (call.request.method == place.method) return place;
    method = place.method;
  }
  if (method == nullptr) {
    throw ApiError(404, "there is nothing at this address", "invalid_request_error", "", "not_found");
  }
  call.headers.emplace_back("Allow", method == std::string_view("GET") ? "GET, HEAD" : method);
  throw ApiError(405, fmt::format("this address takes {} alone", method), "invalid_request_error", "",
                 "method_not_allowed");
}

// One model answers to any name: there is no choice.
size_t Service::ModelOf(const std::string& name) const {
  if (models_.empty())
    throw ApiError(404, "this server has no model", "invalid_request_error", "model", "model_not_found");
  if (models_.size() == 1 || name.empty()) return 0;
  for (size_t i = 0; i < models_.size(); ++i) {
    if (models_[i].card.id == name) return i;
  }
  throw ApiError(404, fmt::format("there is no such model; this server has {}", fmt::join(ids(), ", ")),
                 "invalid_request_error", "model", "model_not_found");
}

const Tokenizer& Service::TokenizerOf(const std::string& model) const {
  if (model.empty() && !one_tokenizer_) {
    throw ApiError(400, fmt::format("name a model: these have different tokenizers ({})", fmt::join(ids(), ", ")),
                   "invalid_request_error", "model");
  }
  return models_[ModelOf(model)].loaded.tokenizer;
}

void Service::Health(const Call& call) {
  if (finishing_) throw ApiError(503, "the server is shutting down", "unavailable_error", "", "shutdown");
  call.Send({{"status", "ok"}});
}

void Service::Models(const Call& call) {
  Json list = Json::array();
  for (const Served& model : models_) {
    const Json& about = model.description;
    const LoadedModel& loaded = model.loaded;
    list.push_back({{"id", model.card.id},
                    {"object", "model"},
                    {"created", 0},
                    {"owned_by", "flashlm"},
                    {"max_model_len", LongestText()},
                    {"max_tokens", options_.request.new_tokens},
                    {"architecture", about.at("architecture")},
                    {"parameters", about.at("parameters")},
                    {"vocab_size", loaded.tokenizer.vocab_size()},
                    {"ngrams", loaded.model->ngram() != nullptr},
                    {"step", loaded.step}});
  }
  const std::string one = call.request.path.substr(std::min(call.request.path.size(), sizeof "/v1/models"));
  if (one.empty()) return call.Send({{"object", "list"}, {"data", list}});
  for (const Json& model : list) {
    if (model.at("id") == one) return call.Send(model);
  }
  throw ApiError(404, "there is no such model", "invalid_request_error", "model", "model_not_found");
}

void Service::Completions(const Call& call) {
  const Json body = ParseBody(call.request.body);
  const size_t model = ModelOf(ModelNameOf(body));
  Write(call, ReadCompletionRequest(body, models_[model].loaded.tokenizer, options_.request), model);
}

void Service::ChatCompletions(const Call& call) {
  const Json body = ParseBody(call.request.body);
  const size_t model = ModelOf(ModelNameOf(body));
  Write(call, ReadChatRequest(body, models_[model].loaded.tokenizer, options_.request), model);
}

void Service::Write(const Call& call, const CompletionRequest& request, size_t model) {
  std::vector<StreamJob> jobs = Completion::Jobs(request, models_[model].card, call.reply, call.headers);
  const auto deadline = call.arrived + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                           std::chrono::duration<double>(options_.seconds));
  for (StreamJob& job : jobs) {
    job.model = model;
    job.client = options_.api_keys.size() > 1 ? call.request.authorization : call.request.peer;
    job.deadline = deadline;
  }
  if (engine_->Submit(std::move(jobs))) return;
  RefuseIfFinishing();
  RefuseBusy();
}

void Service::Tokenize(const Call& call) {
  const Json body = ParseBody(call.request.body);
  BodyFields fields(body);
  const Tokenizer& tokenizer = TokenizerOf(ModelNameOf(body));
  const char* name = fields.Has("prompt") ? "prompt" : fields.Has("content") ? "content" : "text";
  if (!fields.Has(name)) fields.Refuse("prompt", "must be a text");
  const Prompt prompt = EncodePrompt(tokenizer, fields.Text(name, ""));
  const bool open = fields.Flag("add_special_tokens", false) || fields.Flag("add_special", false) || prompt.opened;
  const bool pieces = fields.Flag("with_pieces", false);
  const bool names = fields.Flag("return_token_strs", false);
  fields.Ignore({"model", "prompt", "content", "text", "parse_special"});
  fields.RefuseOthers();
  std::vector<int32_t> ids(prompt.ids.begin(), prompt.ids.end());
  if (open) ids.insert(ids.begin(), Tokenizer::kEos);
  Json tokens = Json::array();
  for (const int32_t id : ids) {
    if (pieces) {
      tokens.push_back({{"id", id}, {"piece", TokenName(id, tokenizer.Bytes(id))}});
    } else {
      tokens.push_back(id);
    }
  }
  Json answer = {{"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", LongestText()}};
  if (names) {
    answer["token_strs"] = Json::array();
    for (const int32_t id : ids) answer["token_strs"].push_back(TokenName(id, tokenizer.Bytes(id)));
  }
  call.Send(answer);
}

void Service::Detokenize(const Call& call) {
  const Json body = ParseBody(call.request.body);
  BodyFields fields(body);
  const Tokenizer& tokenizer = TokenizerOf(ModelNameOf(body));
  const Json* tokens = fields.Find("tokens");
  if (tokens == nullptr || !tokens->is_array()) fields.Refuse("tokens", "must be a list of token ids");
  fields.Ignore({"model"});
  fields.RefuseOthers();
  std::string text;
  for (const Json& token : *tokens) {
    if (!IsWhole(token, 0, tokenizer.vocab_size() - 1)) {
      fields.Refuse("tokens", fmt::format("must hold token ids from 0 to {}", tokenizer.vocab_size() - 1));
    }
    const auto id = token.get<int32_t>();
    text += id < Tokenizer::kSpecials ? kReservedNames[id] : tokenizer.Bytes(id);
  }
  Utf8Stream utf8;
  std::string valid(utf8.Push(text));
  valid += utf8.Finish();
  call.Send({{"prompt", valid}, {"content", valid}});
}

// Documents begin with <eos>, so that it is what others call <bos>, too.
void Service::TokenizerInfo(const Call& call) {
  std::string model;
  for (const auto& [name, value] : call.request.query) {
    if (name == "model") model = value;
  }
  const Tokenizer& tokenizer = TokenizerOf(model);
  call.Send({{"tokenizer_class", "flashlm"},
             {"vocab_size", tokenizer.vocab_size()},
             {"model_max_length", options_.request.prompt_tokens},
             {"bos_token", kReservedNames[Tokenizer::kEos]},
             {"eos_token", kReservedNames[Tokenizer::kEos]},
             {"eos_token_id", Tokenizer::kEos},
             {"pad_token", kReservedNames[Tokenizer::kPad]},
             {"unk_token", kReservedNames[Tokenizer::kUnk]},
             {"chat_template", kChatTemplate}});
}

void Service::Metrics(const Call& call) {
  std::string text;
  const auto counter = [&](const char* name, const char* help, int64_t value) {
    AddMetric(text, name, "counter", help, static_cast<double>(value));
  };
  const auto gauge = [&](const char* name, const char* help, double value) {
    AddMetric(text, name, "gauge", help, value);
  };
  counter("requests_total", "HTTP requests.", requests_);
  counter("requests_refused_total", "Requests answered with an error.", refused_);
  counter("requests_busy_total", "Requests refused because too many waited.", busy_);
  if (engine_ != nullptr) {
    const EngineCounts& counts = engine_->counts();
    counter("prompt_tokens_total", "Prompt tokens that were read.", counts.prompt_tokens);
    counter("prompt_tokens_cached_total", "Prompt tokens that were known already.", counts.known_tokens);
    counter("prompt_tokens_scored_total", "Prompt tokens that were scored.", counts.scored_tokens);
    counter("tokens_total", "Tokens that were written.", counts.tokens);
    counter("texts_total", "Texts that have ended.", counts.texts);
    counter("texts_failed_total", "Texts that a failure ended.", counts.failures);
    gauge("texts_active", "Texts being read or written.", engine_->active());
    gauge("texts_waiting", "Texts waiting for their turn.", engine_->waiting());
    gauge("prompt_cache_bytes", "Memory of prompts that were read.", static_cast<double>(engine_->cache_bytes()));
  }
  if (http_ != nullptr) gauge("connections", "Open connections.", http_->connections());
  gauge("uptime_seconds", "Since the start.",
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count());
  call.reply->Send(200, "text/plain; version=0.0.4; charset=utf-8", text, call.headers);
}

// A policy that ends with who may show the page.
std::string Service::WithFrameOrigin(const std::string& policy) const {
  return options_.frame_origin.empty() ? policy : policy + " " + options_.frame_origin;
}

void Service::Page(const Call& call) {
  if (models_.empty() && dashboard_ != nullptr) {
    CheckKey(call.request);
    return RunPage(call);
  }
  HttpHeaders headers = call.headers;
  headers.emplace_back("Content-Security-Policy", WithFrameOrigin(kPagePolicy));
  call.reply->Send(200, "text/html; charset=utf-8", std::string(kWritingHtml), headers);
}
void Service::PageScript(const Call& call) {
  call.reply->Send(200, "text/javascript; charset=utf-8", std::string(kWritingScript), call.headers);
}
void Service::PageStyle(const Call& call) {
  call.reply->Send(200, "text/css; charset=utf-8", std::string(kWritingStyle), call.headers);
}

void Service::RunPage(const Call& call) {
  HttpHeaders headers = call.headers;
  // Beside the page's own policy, in a tag, which cannot say that.
  headers.emplace_back("Content-Security-Policy", WithFrameOrigin("frame-ancestors 'self'"));
  call.reply->Send(200, "text/html; charset=utf-8", Watched().Html(), headers);
}
void Service::RunParts(const Call& call) { call.reply->Send(200, "application/json", Watched().Parts(), call.headers); }

Dashboard& Service::Watched() const {
  if (dashboard_ != nullptr) return *dashboard_;
  throw ApiError(404, "this server watches no run; --run does", "invalid_request_error", "", "not_found");
}

}  // namespace flashlm
