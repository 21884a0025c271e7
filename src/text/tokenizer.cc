#include "text/tokenizer.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "text/bpe_encode.h"
#include "text/bpe_model.h"
#include "text/bpe_train.h"
#include "text/tokenizer_json.h"

namespace flashlm {

struct Tokenizer::Impl {
  explicit Impl(BpeModel learnt) : model(std::move(learnt)), encoder(model) {}

  const BpeModel model;
  const BpeEncoder encoder;
};

namespace {
constexpr int kMaxVocab = 65536;
}

Tokenizer Tokenizer::Train(std::span<const std::string_view> texts, int vocab_size) {
  if (vocab_size < kMinVocab || vocab_size > kMaxVocab) {
    throw UsageError(
        fmt::format("a vocabulary of {} entries", vocab_size),
        fmt::format("choose {} to {}: {} reserved ids, 256 bytes, and merges", kMinVocab, kMaxVocab, kSpecials));
  }
  Tokenizer tokenizer;
  tokenizer.impl_ = std::make_shared<const Impl>(TrainBpe(texts, vocab_size));
  if (tokenizer.vocab_size() < vocab_size) {
    Say(fmt::format("note: {} entries instead of {}: no pair of the text occurs twice any more", tokenizer.vocab_size(),
                    vocab_size));
  }
  return tokenizer;
}

Tokenizer Tokenizer::FromJson(const std::string& json, const std::string& where) {
  Tokenizer tokenizer;
  tokenizer.impl_ = std::make_shared<const Impl>(BpeFromJson(json, where));
  return tokenizer;
}

Tokenizer Tokenizer::Load(const std::string& path) {
  std::error_code unreadable;  // left for ReadFile to report
  const uintmax_t bytes = std::filesystem::file_size(path, unreadable);
  if (!unreadable && bytes > kMaxTokenizerJsonBytes) {
    throw Error(
        fmt::format("{}: {} bytes, more than the {} a tokenizer.json may have", path, bytes, kMaxTokenizerJsonBytes),
        "is this a tokenizer.json?");
  }
  return FromJson(ReadFile(path), path);
}

std::string Tokenizer::ToJson() const { return BpeToJson(impl_->model); }

void Tokenizer::Save(const std::string& path) const {
  const std::string json = ToJson();
  if (json.size() > kMaxTokenizerJsonBytes) {
    throw Error(fmt::format("{}: the tokenizer would take {} bytes, more than the {} that are read back", path,
                            json.size(), kMaxTokenizerJsonBytes),
                "the training text repeats very long runs without spaces; leave them out");
  }
  WriteFileAtomic(path, json);
}

void Tokenizer::Encode(std::string_view text, std::vector<uint16_t>& ids) const { impl_->encoder.Encode(text, ids); }

std::vector<uint16_t> Tokenizer::Encode(std::string_view text) const {
  std::vector<uint16_t> ids;
  Encode(text, ids);
  return ids;
}

std::string Tokenizer::Decode(std::span<const uint16_t> ids) const {
  std::string text;
  for (const uint16_t id : ids) text += Bytes(id);
  return text;
}

std::string_view Tokenizer::Bytes(int id) const {
  if (id < 0 || id >= vocab_size()) {
    throw Error(fmt::format("token id {} is outside the vocabulary of {} entries", id, vocab_size()),
                "the ids were made with another tokenizer");
  }
  return impl_->model.entries[id].bytes;
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->model.entries.size()); }

std::string Tokenizer::Hash() const { return Sha256(ToJson()); }

}  // namespace flashlm
