// The routes: what each address answers. Holds the models and the engine; knows HTTP as requests and replies.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/loaded_model.h"
#include "serve/completion.h"
#include "serve/dashboard.h"
#include "serve/engine.h"
#include "serve/http_server.h"
#include "serve/worker.h"

namespace flashlm {

struct ServiceOptions {
  std::vector<std::string> models;  // run folders, checkpoints, model folders or files
  std::string run;                  // a run to watch; "": none
  std::string precision = "auto";
  std::vector<std::string> api_keys;  // empty: everybody may ask
  std::string cors_origin;            // of pages that may ask; "": none but our own
  std::string frame_origin;           // of pages that may show ours within theirs; "": none but our own
  std::string public_origin;          // what the server is called where a proxy stands before it; "": as it is asked
  bool loopback = true;               // only this machine can connect
  double seconds = 300;               // a request may take
  EngineLimits engine;
  RequestLimits request;
};

// One key a line; empty lines and lines that begin with # are none. Throws Error if there is none.
std::vector<std::string> ReadApiKeys(const std::string& path);

class Service {
 public:
  // Loads the models, the first one warm. Throws Error as LoadModel does.
  explicit Service(const ServiceOptions& options);

  void Handle(HttpRequest request, const std::shared_ptr<HttpReply>& reply);
  // For /metrics.
  void Watch(const HttpServer* http) { http_ = http; }
  // Nothing new; true if all that was begun is finished within so many seconds.
  bool Finish(double seconds);
  // Ends what is still being written; clients are told.
  void Stop() {
    finishing_ = true;
    if (engine_ == nullptr) return;
    reading_->Stop();
    tokenizing_->Stop();
    engine_->Stop();
  }

  std::vector<std::string> ids() const;

 private:
  struct Served {
    LoadedModel loaded;
    ModelCard card;
    Json description;
  };
  // One request on its way through the routes.
  struct Call {
    HttpRequest request;
    std::shared_ptr<HttpReply> reply;
    HttpHeaders headers = {};  // of the answer
    std::chrono::steady_clock::time_point arrived = std::chrono::steady_clock::now();
    void Send(const Json& json, int status = 200) const {
      reply->Send(status, "application/json", ToText(json), headers);
    }
  };
  using Route = void (Service::*)(const Call&);
  struct Place {
    const char *method, *path;
    Route route;
    bool open = false;                                   // without a key
    std::unique_ptr<Worker> Service::*worker = nullptr;  // that answers; null: the thread of the connections
  };
  static const std::vector<Place>& Places();

  // What `work` throws becomes the answer.
  void Guard(Call& call, const std::function<void()>& work);
  void AllowOrigin(Call& call) const;
  bool AnswerPreflight(Call& call) const;
  void CheckKey(const HttpRequest& request) const;
  const Place& Find(Call& call) const;
  static bool IsAt(const Place& place, const HttpRequest& request);
  void RefuseIfFinishing() const;
  [[noreturn]] void RefuseBusy();
  int64_t LongestText() const { return int64_t{options_.request.prompt_tokens} + options_.request.new_tokens; }
  size_t ModelOf(const std::string& name) const;
  // Of the model of that name; "": of all of them, if it is one. Throws ApiError.
  const Tokenizer& TokenizerOf(const std::string& model) const;
  Dashboard& Watched() const;
  std::string WithFrameOrigin(const std::string& policy) const;

  void Health(const Call& call);
  void Models(const Call& call);
  void Completions(const Call& call);
  void ChatCompletions(const Call& call);
  void Tokenize(const Call& call);
  void Detokenize(const Call& call);
  void TokenizerInfo(const Call& call);
  void Metrics(const Call& call);
  void Page(const Call& call);
  void PageScript(const Call& call);
  void PageStyle(const Call& call);
  void RunPage(const Call& call);
  void RunParts(const Call& call);
  void Write(const Call& call, const CompletionRequest& request, size_t model);

  ServiceOptions options_;
  std::vector<Served> models_;
  bool one_tokenizer_ = true;  // of all of them
  std::unique_ptr<Dashboard> dashboard_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Worker> reading_, tokenizing_;  // of prompts; of texts that are only to be tokenized
  const HttpServer* http_ = nullptr;
  std::atomic<bool> finishing_ = false;
  std::atomic<int64_t> requests_ = 0, refused_ = 0, busy_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace flashlm
