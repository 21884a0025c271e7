#include "data/shards.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>

#include "base/error.h"
#include "base/parallel.h"
#include "data/hash.h"

namespace flashlm {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are read as they lie");

constexpr char kMagic[9] = "FLMTOKEN";
constexpr size_t kChunkTokens = (1 << 20) / sizeof(uint16_t);

struct ShardHeader {
  char magic[8];
  uint32_t version;
  uint32_t vocab_size;
  uint64_t tokens;
  uint64_t checksum;
  uint8_t tokenizer[32];
};
static_assert(sizeof(ShardHeader) == 64);

std::string ToHex(const uint8_t* bytes, size_t count) {
  std::string hex;
  for (size_t i = 0; i < count; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

ShardHeader MakeHeader(int vocab_size, int64_t tokens, const std::string& tokenizer_hash) {
  FLASHLM_CHECK(tokenizer_hash.size() == 64, "a tokenizer hash has 64 hexadecimal digits");
  ShardHeader header{};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  header.version = kDataVersion;
  header.vocab_size = static_cast<uint32_t>(vocab_size);
  header.tokens = static_cast<uint64_t>(tokens);
  for (size_t i = 0; i < 32; ++i) {
    header.tokenizer[i] = static_cast<uint8_t>(std::stoi(tokenizer_hash.substr(2 * i, 2), nullptr, 16));
  }
  return header;
}

std::string_view BytesOf(const void* data, size_t size) { return {static_cast<const char*>(data), size}; }

uint64_t FinishChecksum(ShardHeader header, uint64_t of_ids) {
  header.checksum = 0;
  return Hash64(BytesOf(&header, sizeof header), of_ids);
}

uint64_t ChecksumOfIds(const OpenFile& file, int64_t count) {
  uint64_t hash = 0;
  std::vector<uint16_t> ids(kChunkTokens);
  for (int64_t i = 0; i < count; i += kChunkTokens) {
    const size_t bytes = static_cast<size_t>(std::min<int64_t>(kChunkTokens, count - i)) * sizeof(uint16_t);
    file.ReadAt(sizeof(ShardHeader) + static_cast<size_t>(i) * sizeof(uint16_t), ids.data(), bytes);
    hash = Hash64(BytesOf(ids.data(), bytes), hash);
  }
  return hash;
}

void WriteAll(int descriptor, const void* data, size_t size, const std::string& path) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(descriptor, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw Error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)),
                  errno == ENOSPC || errno == EDQUOT ? "free some disk space" : "");
    }
    bytes += n;
    size -= static_cast<size_t>(n);
  }
}

constexpr const char* kPrepareAgain = "run `flashlm data prepare` again";

ShardHeader HeaderOf(const OpenFile& file) {
  ShardHeader header{};
  if (file.size() >= sizeof header) file.ReadAt(0, &header, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0) {
    throw Error(fmt::format("'{}' is not a token shard", file.path()), kPrepareAgain);
  }
  return header;
}

}  // namespace

ShardWriter::ShardWriter(const std::string& folder, const std::string& split, int vocab_size,
                         const std::string& tokenizer_hash, int64_t shard_tokens)
    : folder_(folder),
      split_(split),
      tokenizer_hash_(tokenizer_hash),
      vocab_size_(vocab_size),
      shard_tokens_(shard_tokens) {
  buffer_.reserve(kChunkTokens);
}

ShardWriter::~ShardWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ShardWriter::Open() {
  path_ = fmt::format("{}/{}_{:05}.bin", folder_, split_, shards_.size());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw Error(fmt::format("cannot create '{}': {}", path_, std::strerror(errno)));
  open_tokens_ = 0;
  checksum_ = 0;
  const ShardHeader placeholder{};  // Close writes the true one
  WriteAll(descriptor_, &placeholder, sizeof placeholder, path_);
}

void ShardWriter::Append(std::span<const uint16_t> ids) {
  while (!ids.empty()) {
    if (descriptor_ < 0) Open();
    const auto room = static_cast<size_t>(shard_tokens_ - open_tokens_);
    const size_t n = std::min({ids.size(), room, kChunkTokens - buffer_.size()});
    buffer_.insert(buffer_.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
    ids = ids.subspan(n);
    open_tokens_ += static_cast<int64_t>(n);
    tokens_ += static_cast<int64_t>(n);
    if (buffer_.size() == kChunkTokens) Flush();
    if (open_tokens_ == shard_tokens_) Close();
  }
}

void ShardWriter::Flush() {
  if (buffer_.empty()) return;
  const size_t bytes = buffer_.size() * sizeof(uint16_t);
  checksum_ = Hash64(BytesOf(buffer_.data(), bytes), checksum_);
  WriteAll(descriptor_, buffer_.data(), bytes, path_);
  buffer_.clear();
}

void ShardWriter::Close() {
  Flush();
  ShardHeader header = MakeHeader(vocab_size_, open_tokens_, tokenizer_hash_);
  header.checksum = FinishChecksum(header, checksum_);
  const bool written = ::pwrite(descriptor_, &header, sizeof header, 0) == sizeof header && ::fsync(descriptor_) == 0;
  const int code = errno;
  ::close(descriptor_);
  descriptor_ = -1;
  if (!written) throw Error(fmt::format("cannot write '{}': {}", path_, std::strerror(code)));
  shards_.push_back({{"file", std::filesystem::path(path_).filename().string()},
                     {"tokens", open_tokens_},
                     {"sha256", Sha256OfFile(path_)}});
}

Json ShardWriter::Finish() {
  if (descriptor_ >= 0) Close();
  return shards_;
}

Json ReadDataMeta(const std::string& folder) {
  const std::string path = folder + "/meta.json";
  if (!std::filesystem::exists(path)) {
    throw Error(fmt::format("'{}' is not a prepared data set: it has no meta.json", folder),
                "make one with `flashlm data prepare --out DIR`");
  }
  Json meta = ReadJsonFile(path);
  if (!meta.is_object() || !meta.contains("format") || meta["format"] != "flashlm-data") {
    throw Error(fmt::format("'{}' does not describe a FlashLM data set", path), kPrepareAgain);
  }
  const int64_t version = meta["version"].is_number_integer() ? meta["version"].get<int64_t>() : -1;
  if (version != kDataVersion) {
    throw Error(fmt::format("'{}' has format version {}; this program reads version {}", path, version, kDataVersion),
                kPrepareAgain);
  }
  return meta;
}

std::string DataFingerprint(const std::string& folder) { return DataFingerprint(folder, ReadDataMeta(folder)); }

std::string DataFingerprint(const std::string& folder, const Json& meta) {
  Json identity;
  try {
    for (const char* split : {"train", "valid"}) {
      Json headers = Json::array();
      for (const Json& entry : meta.at(split).at("shards")) {
        const ShardHeader header = HeaderOf(OpenFile(folder + "/" + entry.at("file").get<std::string>()));
        headers.push_back(ToHex(reinterpret_cast<const uint8_t*>(&header), sizeof header));
      }
      identity.push_back(headers);
    }
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}/meta.json' does not list its shards: {}", folder, e.what()), kPrepareAgain);
  }
  identity.push_back(Sha256OfFile(folder + "/valid.txt"));
  return Sha256(identity.dump());
}

TokenData::TokenData(const std::string& folder, const std::string& split, Verify verify)
    : folder_(folder), meta_(ReadDataMeta(folder)) {
  Json entries;
  int64_t tokens = 0;
  try {
    vocab_size_ = meta_.at("tokenizer").at("vocab_size").get<int>();
    tokenizer_hash_ = meta_.at("tokenizer").at("sha256").get<std::string>();
    entries = meta_.at(split).at("shards");
    tokens = meta_.at(split).at("tokens").get<int64_t>();
    for (const Json& entry : entries) {
      AddShard(folder + "/" + entry.at("file").get<std::string>(), entry);
    }
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}/meta.json' lacks something about '{}': {}", folder, split, e.what()), kPrepareAgain);
  }
  if (size_ != tokens) {
    throw Error(fmt::format("the shards of '{}' hold {} tokens, but meta.json says {}", folder, size_, tokens),
                kPrepareAgain);
  }
  constexpr int64_t kAutoTokens = int64_t{1} << 30;  // 2 GiB
  if (verify == Verify::kChecksums || (verify == Verify::kAuto && size_ <= kAutoTokens)) VerifyChecksums();
}

void TokenData::VerifyChecksums() const {
  std::vector<std::exception_ptr> failures(shards_.size());
  ParallelFor(static_cast<int64_t>(shards_.size()), [&](int64_t s) {
    const Shard& shard = shards_[s];
    try {
      const ShardHeader header = HeaderOf(*shard.file);
      if (header.checksum == FinishChecksum(header, ChecksumOfIds(*shard.file, shard.end - shard.begin))) return;
      throw Error(fmt::format("'{}' is damaged: its checksum does not fit", shard.file->path()), kPrepareAgain);
    } catch (...) {
      failures[s] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

void TokenData::AddShard(const std::string& path, const Json& entry) {
  const auto file = std::make_shared<OpenFile>(path);
  const ShardHeader header = HeaderOf(*file);
  if (header.version != kDataVersion) {
    throw Error(
        fmt::format("'{}' has format version {}; this program reads version {}", path, header.version, kDataVersion),
        kPrepareAgain);
  }
  const auto expected = entry.at("tokens").get<int64_t>();
  const size_t ids = (file->size() - sizeof header) / sizeof(uint16_t);
  if (header.tokens != static_cast<uint64_t>(expected) || header.tokens != ids || file->size() % 2 != 0) {
    throw Error(fmt::format("'{}' holds {} tokens, but should hold {}: truncated or damaged", path, ids, expected),
                kPrepareAgain);
  }
  if (header.vocab_size != static_cast<uint32_t>(vocab_size_) || ToHex(header.tokenizer, 32) != tokenizer_hash_) {
    throw Error(fmt::format("'{}' was made with another tokenizer than meta.json says", path), kPrepareAgain);
  }
  shards_.push_back({file, nullptr, size_, size_ + expected});
  size_ += expected;
}

TokenData TokenData::FromTokens(std::vector<uint16_t> tokens, int vocab_size) {
  TokenData data;
  data.folder_ = "memory";
  data.vocab_size_ = vocab_size;
  data.size_ = static_cast<int64_t>(tokens.size());
  const auto memory = std::make_shared<const std::vector<uint16_t>>(std::move(tokens));
  data.shards_.push_back({nullptr, memory, 0, data.size_});
  return data;
}

const TokenData::Shard& TokenData::ShardOf(int64_t i) const {
  FLASHLM_CHECK(i >= 0 && i < size_, "token {} of {}", i, size_);
  return *std::upper_bound(shards_.begin(), shards_.end(), i, [](int64_t at, const Shard& s) { return at < s.end; });
}

template <class Visit>
void TokenData::Shard::Read(int64_t from, int64_t count, const Visit& visit) const {
  if (memory) return visit(memory->data() + (from - begin), count);
  uint16_t ids[2048];
  for (int64_t n; count > 0; from += n, count -= n) {
    n = std::min<int64_t>(count, std::size(ids));
    const size_t offset = sizeof(ShardHeader) + static_cast<size_t>(from - begin) * sizeof(uint16_t);
    file->ReadAt(offset, ids, static_cast<size_t>(n) * sizeof(uint16_t));
    visit(ids, n);
  }
}

uint16_t TokenData::operator[](int64_t i) const {
  uint16_t id = 0;
  ShardOf(i).Read(i, 1, [&](const uint16_t* ids, int64_t) { id = *ids; });
  return id;
}

void TokenData::Copy(int64_t begin, int64_t count, int32_t* out) const {
  FLASHLM_CHECK(begin >= 0 && count >= 0 && begin + count <= size_, "tokens {}+{} of {}", begin, count, size_);
  while (count > 0) {
    const Shard& shard = ShardOf(begin);
    const int64_t n = std::min(count, shard.end - begin);
    shard.Read(begin, n, [&](const uint16_t* ids, int64_t some) {
      // A shard from a stranger has the checksum that he gave it; whoever trains looks ids up in tables.
      if (const uint16_t most = *std::max_element(ids, ids + some); most >= vocab_size_) {
        throw Error(
            fmt::format("the data in '{}' has a token {} outside its vocabulary of {}", folder_, most, vocab_size_),
            kPrepareAgain);
      }
      out = std::copy(ids, ids + some, out);
    });
    begin += n;
    count -= n;
  }
}

std::vector<int64_t> TokenData::PositionsOf(uint16_t id) const {
  std::vector<int64_t> positions;
  for (const Shard& shard : shards_) {
    int64_t at = shard.begin;
    shard.Read(shard.begin, shard.end - shard.begin, [&](const uint16_t* ids, int64_t some) {
      for (int64_t i = 0; i < some; ++i) {
        if (ids[i] == id) positions.push_back(at + i);
      }
      at += some;
    });
  }
  return positions;
}

void TokenData::ExpectTokenizer(const std::string& hash, const std::string& whose) const {
  if (hash == tokenizer_hash_) return;
  throw Error(fmt::format("the data in '{}' was encoded with another tokenizer than {} has", folder_, whose),
              "prepare the data again, or choose the data set this was trained on");
}

}  // namespace flashlm
