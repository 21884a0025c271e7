// Answers one request for texts: listens to them being written, on the inference thread, and tells the client in
// OpenAI's form, at the end or as server-sent events.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/completion_request.h"
#include "serve/http_server.h"
#include "serve/stream_job.h"

namespace flashlm {

// A model as clients see it.
struct ModelCard {
  std::string id, fingerprint;
  const Tokenizer* tokenizer = nullptr;
};

class Completion {
 public:
  // Jobs for the engine, which hold what is needed for the answer. They come without model, client and deadline.
  static std::vector<StreamJob> Jobs(const CompletionRequest& request, const ModelCard& card,
                                     std::shared_ptr<HttpReply> reply, const HttpHeaders& headers);
};

}  // namespace flashlm
