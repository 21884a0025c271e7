// Text to token ids and back: byte-level BPE, in the format of Hugging Face's tokenizer.json.
#pragma once

#if __cplusplus < 202002L
#error "FlashLM's C++ API is for C++20: -std=c++20, or set(CMAKE_CXX_STANDARD 20)"
#endif

#include <flashlm/export.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm::FLASHLM_API {

// A value that is cheap to copy and never changes; for any number of threads at once.
class FLASHLM_EXPORT Tokenizer {
 public:
  // Of every vocabulary: stands before and behind every document. No text encodes to it.
  static constexpr int32_t kEos = 3;

  // Reads a tokenizer.json. Throws Error naming the file and what is wrong with it.
  static Tokenizer Load(const std::string& path);
  // Learns a vocabulary of 260 to 65,536 entries; fewer where no pair of entries occurs twice any more. Each text is
  // a document.
  static Tokenizer Train(std::span<const std::string_view> texts, int vocab);
  // Writes a tokenizer.json; an older one is replaced only when all is on disk.
  void Save(const std::string& path) const;

  // Any bytes, UTF-8 or not; Decode gives them back.
  std::vector<int32_t> Encode(std::string_view text) const;
  // Reserved ids, as kEos, stand for nothing. Throws Error for an id outside the vocabulary.
  std::string Decode(std::span<const int32_t> ids) const;
  // Ids are 0 .. vocab() - 1.
  int vocab() const;

 private:
  friend class Model;
  friend class Session;
  friend class Generator;
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace flashlm::FLASHLM_API
