// The file of a counted model (docs/formats.md): a header of 128 bytes, then the trie, all little-endian.
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "ngram/ngram_model.h"

namespace flashlm {
namespace {

constexpr char kMagic[] = "FLMNGRAM";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeader = 128, kChecksumAt = 64, kChecksumBytes = 64;

template <class T>
void Append(const T* values, size_t count, std::string& out) {
  out.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

// Seven bits a byte, low ones first; all but the last have the high bit.
void AppendNumber(uint32_t number, std::string& out) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(0x80 | (number & 0x7F)));
  out.push_back(static_cast<char>(number));
}

[[noreturn]] void Refuse(const std::string& where, const std::string& what) {
  throw Error(fmt::format("'{}' is no counted model that can be used: {}", where, what),
              "copy it from the run's folder again, or train anew");
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& where) : left_(bytes), where_(where) {}

  template <class T>
  void Read(T* values, size_t count) {
    if (left_.size() / sizeof(T) < count) Refuse(where_, "it is truncated");
    if (count == 0) return;  // `values` may be null
    std::memcpy(values, left_.data(), count * sizeof(T));
    left_.remove_prefix(count * sizeof(T));
  }
  template <class T>
  std::vector<T> Read(size_t count) {
    if (left_.size() / sizeof(T) < count) Refuse(where_, "it is truncated");
    std::vector<T> values(count);
    Read(values.data(), count);
    return values;
  }
  uint32_t ReadNumber() {
    uint32_t number = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      uint8_t byte = 0;
      Read(&byte, 1);
      number |= static_cast<uint32_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
    Refuse(where_, "a number is too long");
  }
  bool done() const { return left_.empty(); }

 private:
  std::string_view left_;
  const std::string& where_;
};

struct Header {
  uint32_t version = kVersion, order = 0, vocab = 0, unused = 0;
  int64_t counted_tokens = 0;
  std::array<uint32_t, kMaxNGramOrder> ngrams{};
};
static_assert(sizeof(kMagic) - 1 + sizeof(Header) <= kChecksumAt);

Header ReadHeader(std::string_view file, const std::string& where) {
  if (file.size() < kHeader || file.substr(0, sizeof(kMagic) - 1) != kMagic) Refuse(where, "it does not begin as one");
  Header header;
  std::memcpy(&header, file.data() + sizeof(kMagic) - 1, sizeof(header));
  if (header.version != kVersion) {
    Refuse(where, fmt::format("it has format version {}, this program reads {}", header.version, kVersion));
  }
  if (header.order < 2 || header.order > kMaxNGramOrder || header.vocab < 1 || header.vocab > 65536 ||
      header.ngrams[0] != header.vocab) {
    Refuse(where, "its header is damaged");
  }
  return header;
}

}  // namespace

std::string NGramModel::Body() const {
  std::string body;
  for (const Discounts& d : discounts_) Append(d.of.data(), d.of.size(), body);
  for (size_t n = 0; n < levels_.size(); ++n) {
    const Level& level = levels_[n];
    Append(level.words.data(), level.words.size(), body);
    Append(level.counts.data(), level.counts.size(), body);
    if (n + 1 == levels_.size()) continue;
    Append(level.pruned.data(), level.pruned.size(), body);
    for (size_t i = 0; i < level.counts.size(); ++i) AppendNumber(level.first[i + 1] - level.first[i], body);
  }
  return body;
}

std::string NGramModel::Serialize() const {
  Header header;
  header.order = static_cast<uint32_t>(order_);
  header.vocab = static_cast<uint32_t>(vocab_);
  header.counted_tokens = counted_tokens_;
  for (int n = 1; n <= order_; ++n) header.ngrams[static_cast<size_t>(n - 1)] = static_cast<uint32_t>(NGrams(n));
  std::string file = kMagic;
  Append(&header, 1, file);
  file.resize(kChecksumAt, '\0');
  const std::string body = Body();
  return file + Sha256(body) + body;
}

NGramModel NGramModel::Deserialize(std::string_view file, const std::string& where) {
  const Header header = ReadHeader(file, where);
  const std::string checksum = Sha256(file.substr(kHeader));
  if (file.substr(kChecksumAt, kChecksumBytes) != checksum)
    Refuse(where, "it is damaged: its SHA-256 is not the recorded one");
  NGramModel model(static_cast<int>(header.order), static_cast<int>(header.vocab));
  model.counted_tokens_ = header.counted_tokens;
  model.checksum_ = checksum;
  Reader reader(file.substr(kHeader), where);
  for (Discounts& d : model.discounts_) {
    reader.Read(d.of.data(), d.of.size());
    for (size_t i = 0; i < d.of.size(); ++i) {  // from a count of i + 1
      if (!(d.of[i] >= 0 && d.of[i] <= static_cast<float>(i + 1))) Refuse(where, "it takes more than was counted");
    }
  }
  for (size_t n = 0; n < model.levels_.size(); ++n) {
    Level& level = model.levels_[n];
    const size_t size = header.ngrams[n];
    if (n > 0) level.words = reader.Read<uint16_t>(size);
    level.counts = reader.Read<uint8_t>(size);
    if (n + 1 == model.levels_.size()) continue;
    level.pruned = reader.Read<uint8_t>(size);
    level.first.assign(1, 0);
    level.first.reserve(size + 1);
    const uint32_t next = header.ngrams[n + 1];
    for (size_t i = 0; i < size; ++i) {
      const uint32_t number = reader.ReadNumber();
      if (number > next - level.first.back()) Refuse(where, "its n-grams do not fit each other");
      level.first.push_back(level.first.back() + number);
    }
    if (level.first.back() != next) Refuse(where, "its n-grams do not fit each other");
  }
  if (!reader.done()) Refuse(where, "it is too long");
  for (size_t n = 1; n < model.levels_.size(); ++n) {
    const std::vector<uint16_t>& words = model.levels_[n].words;
    const std::vector<uint32_t>& first = model.levels_[n - 1].first;
    for (size_t node = 0; node + 1 < first.size(); ++node) {
      for (uint32_t i = first[node]; i < first[node + 1]; ++i) {
        if (words[i] >= header.vocab) Refuse(where, "a token is outside its vocabulary");
        if (i > first[node] && words[i] <= words[i - 1]) Refuse(where, "what follows a context is not in order");
      }
    }
  }
  if (!model.SumsFit()) Refuse(where, "it counts more than a context can have");
  model.Derive();
  return model;
}

}  // namespace flashlm
