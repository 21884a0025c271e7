// Byte-level BPE (GPT-2 style): full 256-byte alphabet, no normalisation, no prefix space, the GPT-2 split regex.
// Every byte string has an encoding and decode(encode(b)) == b. The file format is Hugging Face tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

class Tokenizer {
 public:
  // Reserved ids, never produced by encoding raw text. Documents end with kEos.
  static constexpr int kPad = 0, kUnk = 1, kBos = 2, kEos = 3;
  static constexpr int kSpecials = 4;
  // Specials, 256 bytes.
  static constexpr int kMinVocab = kSpecials + 256;

  // Learns merges until there are `vocab_size` entries or no pair occurs twice. Each text is a training document.
  // Throws UsageError if vocab_size is below kMinVocab or above 65536 (ids are stored as uint16).
  static Tokenizer Train(std::span<const std::string_view> texts, int vocab_size);

  // Reads tokenizer.json (the subset that is written here: BPE, byte level, no normaliser). Throws Error naming
  // `where` and what is wrong or not supported.
  static Tokenizer FromJson(const std::string& json, const std::string& where);
  static Tokenizer Load(const std::string& path);
  std::string ToJson() const;
  void Save(const std::string& path) const;

  // Any bytes, valid UTF-8 or not. Thread-safe; appends to `ids`.
  void Encode(std::string_view text, std::vector<uint16_t>& ids) const;
  std::vector<uint16_t> Encode(std::string_view text) const;

  // Specials decode to nothing; ids out of range throw Error.
  std::string Decode(std::span<const uint16_t> ids) const;
  // The bytes one id stands for ("" for specials).
  std::string_view Bytes(int id) const;

  int vocab_size() const;
  // SHA-256 of the canonical tokenizer.json: what a checkpoint and a shard remember of their tokenizer.
  std::string Hash() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace flashlm
