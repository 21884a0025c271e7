// Servers of small untrained models, one for all tests of a suite.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "infer/generate.h"
#include "io/model_folder.h"
#include "ngram/ngram_counts.h"
#include "serve/service.h"
#include "tests/infer/tiny_model.h"
#include "tests/serve/http_client.h"

namespace flashlm {

// A folder of its own, removed at the end.
class ServeScratch {
 public:
  ServeScratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_serve_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ServeScratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Writes TinyModel of this architecture as a model folder.
inline std::string WriteTinyModel(const ServeScratch& scratch, const std::string& architecture, const std::string& name,
                                  uint64_t seed = 7) {
  const auto model = TinyModel(FindModel(architecture), Json::object(), seed);
  WriteModelFolder(scratch / name, model->config(), model->bank(), TinyTokenizer().ToJson());
  return scratch / name;
}

// The same with n-grams of three tokens beside it, and a gate that opens where a context was counted.
inline std::string WriteNGramModel(const ServeScratch& scratch, const std::string& name) {
  const auto model = TinyModel(FindModel("gpt"), {{"ngram_order", 3}});
  NGramOptions options;
  options.order = 3;
  options.vocab = model->vocab();
  options.eos = Tokenizer::kEos;
  std::vector<uint16_t> tokens = TinyTokenizer().Encode("Once upon a time there was a little cat. The cat was happy.");
  tokens.push_back(Tokenizer::kEos);
  const NGramModel counted = NGramCounts(tokens, options).Pack();
  model->SetNGrams(std::make_shared<NGramModel>(counted));
  const ParamInfo* gate = model->bank().Find("ngram.gate.features");
  std::fill_n(model->bank().values() + gate->offset, gate->size, 1.0f);
  model->bank().Touch();
  WriteModelFolder(scratch / name, model->config(), model->bank(), TinyTokenizer().ToJson());
  WriteFileAtomic(scratch / (name + "/" + kNGramFile), counted.Serialize());
  return scratch / name;
}

// A service and its HTTP server.
class Serving {
 public:
  explicit Serving(const ServiceOptions& options, const HttpLimits& limits = {})
      : service(options),
        http("127.0.0.1", 0, limits, [this](HttpRequest request, const std::shared_ptr<HttpReply>& reply) {
          service.Handle(std::move(request), reply);
        }) {
    service.Watch(&http);
  }
  ~Serving() { service.Stop(); }
  int port() const { return http.port(); }

  Service service;
  HttpServer http;
};

inline ServiceOptions OptionsOf(const std::vector<std::string>& models) {
  ServiceOptions options;
  options.models = models;
  options.precision = "f32";
  return options;
}

// One server of one tiny model for all tests of a suite.
class TinyServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = std::make_unique<ServeScratch>();
    folder_ = WriteTinyModel(*scratch_, "cortex-viii", "tiny");
    serving_ = std::make_unique<Serving>(OptionsOf({folder_}));
  }
  static void TearDownTestSuite() {
    serving_.reset();
    scratch_.reset();
  }

  static inline std::unique_ptr<ServeScratch> scratch_;
  static inline std::unique_ptr<Serving> serving_;
  static inline std::string folder_;
};

// What `flashlm generate` writes with a model folder.
inline Generation Alone(const std::string& folder, const std::string& prompt, const SamplerConfig& sampler,
                        int tokens) {
  LoadedModel loaded = LoadModel(folder);
  Session session(*loaded.model, DType::kF32);
  GenerateOptions options;
  options.sampler = sampler;
  options.max_tokens = tokens;
  return Generate(session, loaded.tokenizer, prompt, options, {});
}

}  // namespace flashlm
