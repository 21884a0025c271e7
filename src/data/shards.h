// Token shards: a prepared data set on disk, and reading it as one range of tokens.
//
//   OUT/train_00000.bin ... valid_00000.bin ...  meta.json  tokenizer.json
//
// A shard is a 64-byte header and uint16 ids, all little-endian: magic "FLMTOKEN", uint32 version, uint32
// vocabulary size, uint64 tokens, uint64 checksum (Hash64 of the ids in chunks of 1 MiB, then of the header's
// other fields), 32 bytes SHA-256 of the tokenizer. Shards end anywhere, also inside a document; every
// document ends with <eos>.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace flashlm {

inline constexpr int kDataVersion = 1;
inline constexpr int64_t kTokensPerShard = 100'000'000;

// Writes FOLDER/SPLIT_00000.bin, SPLIT_00001.bin, ... with at most `shard_tokens` ids each. Throws Error (a
// full disk).
class ShardWriter {
 public:
  ShardWriter(const std::string& folder, const std::string& split, int vocab_size, const std::string& tokenizer_hash,
              int64_t shard_tokens = kTokensPerShard);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  void Append(std::span<const uint16_t> ids);
  // Completes and syncs the last shard; returns [{"file", "tokens", "sha256"}, ...].
  Json Finish();
  int64_t tokens() const { return tokens_; }

 private:
  void Open();
  void Flush();
  void Close();

  std::string folder_, split_, tokenizer_hash_;
  int vocab_size_;
  int64_t shard_tokens_;
  int64_t tokens_ = 0;
  std::string path_;
  int descriptor_ = -1;
  int64_t open_tokens_ = 0;  // in the open shard, buffered ones included
  uint64_t checksum_ = 0;
  std::vector<uint16_t> buffer_;
  Json shards_ = Json::array();
};

// How much of a data set is checked when it is opened; headers and sizes always are.
enum class Verify {
  kHeaders,
  // Checksums too if the split has at most 2 GiB, which takes about a second; beyond, opening should not cost
  // a minute of reading a disk, and a damaged token costs one wrong target.
  kAuto,
  kChecksums,
};

// One split of a prepared data set: a contiguous range of token ids. Thread-safe to read. Ids are read from the files
// when they are asked for, a sequence at a time (a microsecond, from the page cache), not through maps: a shard that
// another program truncates during a training of hours is then an Error that names it, and no signal.
class TokenData {
 public:
  // `split` is "train" or "valid". Throws Error if the folder is not a data set of this version or a shard is
  // missing, truncated, damaged, foreign or made with another tokenizer than meta.json says.
  TokenData(const std::string& folder, const std::string& split, Verify verify = Verify::kAuto);
  // A data set in memory; for batches as prepared, the last id is <eos>.
  static TokenData FromTokens(std::vector<uint16_t> tokens, int vocab_size);

  int64_t size() const { return size_; }
  int vocab_size() const { return vocab_size_; }
  const std::string& tokenizer_hash() const { return tokenizer_hash_; }
  // meta.json of the folder; null for a data set in memory.
  const Json& meta() const { return meta_; }

  // All throw Error if a shard has become shorter since it was opened.
  uint16_t operator[](int64_t i) const;
  // Copies ids [begin, begin + count).
  void Copy(int64_t begin, int64_t count, int32_t* out) const;
  // Where `id` stands, in order. Reads everything.
  std::vector<int64_t> PositionsOf(uint16_t id) const;

  // Throws Error if the data was not encoded with the tokenizer of this hash; `whose` says who has it ("the
  // model").
  void ExpectTokenizer(const std::string& hash, const std::string& whose) const;

 private:
  struct Shard {
    std::shared_ptr<const OpenFile> file;                 // null in memory
    std::shared_ptr<const std::vector<uint16_t>> memory;  // null on disk
    int64_t begin, end;                                   // of the whole range
    // Calls visit(ids, n) for pieces of [from, from + count), positions in the whole range.
    template <class Visit>
    void Read(int64_t from, int64_t count, const Visit& visit) const;
  };

  TokenData() noexcept(false) = default;  // meta_ may throw
  void AddShard(const std::string& path, const Json& entry);
  // Throws Error naming the first shard whose checksum does not fit.
  void VerifyChecksums() const;
  const Shard& ShardOf(int64_t i) const;

  std::string folder_;
  std::vector<Shard> shards_;
  int64_t size_ = 0;
  int vocab_size_ = 0;
  std::string tokenizer_hash_;
  Json meta_;
};

// meta.json of a prepared data set. Throws Error if the folder holds none, or one of another version.
Json ReadDataMeta(const std::string& folder);

// What a run remembers of its data: SHA-256 (64 hexadecimal digits) over the headers of all shards of both splits,
// which hold the checksums of their ids and the tokenizer's hash, and over valid.txt. Equal for copies of one data set
// wherever they lie, different for other text, another split or another tokenizer. Computed from the files, not read
// from meta.json, so it is the same for data sets from before meta.json had it. Does not read the ids: opening
// TokenData checks them against the headers. Throws Error if a file is missing or no shard.
std::string DataFingerprint(const std::string& folder);
// The same while meta.json is still to be written.
std::string DataFingerprint(const std::string& folder, const Json& meta);

}  // namespace flashlm
