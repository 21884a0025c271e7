// Byte-level BPE (GPT-2 style): full 256-byte alphabet, no normalisation, no prefix space, the GPT-2 split
// regex. Every byte string has an encoding and decode(encode(b)) == b. The file format is Hugging Face
// tokenizer.json, and for every text the tokenizers package gives the same ids with the same file. (It takes
// only valid UTF-8. Here each byte that is not part of valid UTF-8 counts as a character that is no letter,
// number or space.)
//
// The reserved ids stand in the file's vocabulary and not under "added_tokens": the package cuts added tokens
// out of raw text, so a story with the letters "<eos>" would end there. As it is, both sides read "<eos>" as
// ordinary text. The price: the package's decode() prints "<eos>" for id 3. A caller who minds declares the
// token and keeps it out of raw text: tokenizer.add_special_tokens(["<eos>"]) (it keeps id 3) and
// tokenizer.encode_special_tokens = True.
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
  // Reserved ids, 256 bytes.
  static constexpr int kMinVocab = kSpecials + 256;

  // Learns merges until there are `vocab_size` entries or no pair occurs twice, which is said. Each text is a training
  // document. Deterministic for any number of threads; the same merges as Hugging Face's BpeTrainer gives for
  // the same texts (min_frequency 2, initial_alphabet of all bytes, the four special tokens). Throws
  // UsageError if vocab_size is below kMinVocab or above 65536 (ids are stored as uint16).
  static Tokenizer Train(std::span<const std::string_view> texts, int vocab_size);

  // Reads tokenizer.json: what is written here, and files of the tokenizers package with byte-level BPE, no
  // normaliser, no prefix space, all 256 bytes, and ids 0 to 3 reserved under any names. Further special
  // added tokens stay reserved ids and are likewise never read from a text. Throws Error naming `where`, what
  // is wrong or not supported, and a hint.
  static Tokenizer FromJson(const std::string& json, const std::string& where);
  static Tokenizer Load(const std::string& path);
  std::string ToJson() const;
  void Save(const std::string& path) const;

  // Any bytes, valid UTF-8 or not. Thread-safe; appends to `ids`. About 100 MB/s of stories on one thread,
  // and never worse than O(n log n). For several threads give each its own documents, or the pieces of a long
  // text between places found by SafeCut (text/split.h): their ids, joined, are those of the whole.
  void Encode(std::string_view text, std::vector<uint16_t>& ids) const;
  std::vector<uint16_t> Encode(std::string_view text) const;

  // Reserved ids decode to nothing; ids out of range throw Error.
  std::string Decode(std::span<const uint16_t> ids) const;
  // The bytes one id stands for ("" for reserved ids).
  std::string_view Bytes(int id) const;

  int vocab_size() const;
  // SHA-256 of the canonical tokenizer.json: what a checkpoint and a shard remember of their tokenizer.
  std::string Hash() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace flashlm
