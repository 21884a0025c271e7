#include "api/model.h"

#include <algorithm>

#include "api/errors.h"
#include "api/tokenizer.h"
#include "base/error.h"
#include "data/documents.h"
#include "eval/evaluate.h"
#include "eval/scorer.h"
#include "infer/log_probabilities.h"

namespace flashlm::api {
namespace {

Evaluation ToApi(const EvalResult& result) {
  return {result.bits_per_byte(), result.bits_per_char(), result.nats_per_token(), result.stderr_bits_per_byte,
          result.bytes,           result.tokens,          result.documents,        result.seconds};
}

}  // namespace

Model Model::Load(const std::string& path) {
  return Guarded([&] {
    auto impl = std::make_shared<Impl>();
    impl->loaded = LoadModel(path);
    return Model(std::move(impl));
  });
}

Tokenizer Model::tokenizer() const {
  return Tokenizer(std::make_shared<const Tokenizer::Impl>(Tokenizer::Impl{impl_->loaded.tokenizer}));
}

int Model::vocab() const { return impl_->loaded.model->vocab(); }
const std::string& Model::architecture() const { return impl_->loaded.model->architecture(); }
int64_t Model::parameters() const { return impl_->loaded.model->bank().ParameterCount(); }
const std::string& Model::folder() const { return impl_->loaded.folder; }
int64_t Model::step() const { return impl_->loaded.step; }
std::string Model::config() const { return ToText(impl_->loaded.model->config()); }

void Model::SetDepth(int depth) {
  Guarded([&] {
    const std::lock_guard turn(impl_->turns);
    impl_->loaded.model->SetDepth(depth);
  });
}

std::vector<float> Model::Score(std::span<const int32_t> ids, const std::string& precision) const {
  return Guarded([&]() -> std::vector<float> {
    const std::vector<TokenIds> texts = {EngineIds(ids, vocab())};
    const std::lock_guard turn(impl_->turns);
    return Scorer(*impl_->loaded.model, ScoringType(impl_->loaded, precision)).Score(texts).front();
  });
}

void Model::Logits(std::span<const int32_t> ids, float* logits, const std::string& precision) const {
  Guarded([&] {
    CheckIds(ids, vocab());
    const std::lock_guard turn(impl_->turns);
    ReadLogProbabilities(*impl_->loaded.model, ScoringType(impl_->loaded, precision), ids, logits);
  });
}

std::vector<float> Model::Logits(std::span<const int32_t> ids, const std::string& precision) const {
  std::vector<float> logits(ids.size() * static_cast<size_t>(vocab()));
  Logits(ids, logits.data(), precision);
  return logits;
}

Evaluation Model::Evaluate(std::span<const std::string_view> documents, const std::string& precision) const {
  return Guarded([&] {
    std::vector<std::string_view> stripped;
    for (const std::string_view text : documents) {
      const size_t before = stripped.size();
      ForEachDocument(text, [&](std::string_view document) { stripped.push_back(document); });
      if (stripped.size() != before + 1) {
        throw UsageError(
            fmt::format("the text of index {} holds {} documents", before, stripped.size() - before),
            fmt::format("give each document by itself, not empty and without lines {}", kDocumentSeparator));
      }
    }
    if (stripped.empty()) throw UsageError("there is no document to evaluate on");
    const std::lock_guard turn(impl_->turns);
    return ToApi(flashlm::Evaluate(*impl_->loaded.model, ScoringType(impl_->loaded, precision), impl_->loaded.tokenizer,
                                   stripped));
  });
}

Evaluation Model::EvaluateFile(const std::string& path, const std::string& precision) const {
  return Guarded([&] {
    const DocumentFile file(path);
    const std::lock_guard turn(impl_->turns);
    return ToApi(flashlm::Evaluate(*impl_->loaded.model, ScoringType(impl_->loaded, precision), impl_->loaded.tokenizer,
                                   file.documents()));
  });
}

}  // namespace flashlm::api
