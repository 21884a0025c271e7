#include "api/tokenizer.h"

#include "api/errors.h"
#include "base/error.h"

namespace flashlm::api {

void CheckIds(std::span<const int32_t> ids, int vocab) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab) throw UsageError(fmt::format("token id {} outside the vocabulary of {}", id, vocab));
  }
}

std::vector<uint16_t> EngineIds(std::span<const int32_t> ids, int vocab) {
  CheckIds(ids, vocab);
  return {ids.begin(), ids.end()};
}

static_assert(Tokenizer::kEos == flashlm::Tokenizer::kEos);

Tokenizer Tokenizer::Load(const std::string& path) {
  return Guarded([&] { return Tokenizer(std::make_shared<const Impl>(Impl{flashlm::Tokenizer::Load(path)})); });
}

Tokenizer Tokenizer::Train(std::span<const std::string_view> texts, int vocab) {
  return Guarded([&] {
    if (texts.empty()) throw UsageError("there is no text to learn a vocabulary from");
    return Tokenizer(std::make_shared<const Impl>(Impl{flashlm::Tokenizer::Train(texts, vocab)}));
  });
}

void Tokenizer::Save(const std::string& path) const {
  Guarded([&] { impl_->tokenizer.Save(path); });
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text) const {
  return Guarded([&] {
    const std::vector<uint16_t> ids = impl_->tokenizer.Encode(text);
    return std::vector<int32_t>(ids.begin(), ids.end());
  });
}

std::string Tokenizer::Decode(std::span<const int32_t> ids) const {
  return Guarded([&] { return impl_->tokenizer.Decode(EngineIds(ids, vocab())); });
}

int Tokenizer::vocab() const { return impl_->tokenizer.vocab_size(); }

}  // namespace flashlm::api
