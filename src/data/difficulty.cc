#include "data/difficulty.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "data/document_ring.h"
#include "data/hash.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is read as it lies");

constexpr char kDifficultyMagic[9] = "FLMDIFFI";
constexpr uint32_t kDifficultyVersion = 1;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t zero;
  uint64_t documents;
  uint64_t tokens;    // of the stream
  uint64_t checksum;  // Hash64 of the values
  uint8_t more[24];
};
static_assert(sizeof(Header) == 64);

// Counts of tokens and of pairs, from which a document can be taken away and put back.
class Bigrams {
 public:
  explicit Bigrams(int vocab)
      : vocab_(static_cast<uint64_t>(vocab)),
        tokens_(vocab_, 0),
        pairs_(std::min(vocab_ * vocab_, uint64_t{1} << 24), 0) {}

  // times: 1, or -1 to take the document away. It ends with <eos>, and one stands before it.
  void Count(std::span<const int32_t> document, int times) {
    int32_t before = Tokenizer::kEos;
    for (const int32_t token : document) {
      tokens_[static_cast<size_t>(token)] += static_cast<uint32_t>(times);
      pairs_[Cell(before, token)] += static_cast<uint32_t>(times);
      before = token;
    }
    total_ += times * std::ssize(document);
  }

  double Nats(std::span<const int32_t> document) const {
    constexpr double kPrior = 50;  // on stories 10 to 300 differ by 0.04 nats per token
    double nats = 0;
    int32_t before = Tokenizer::kEos;
    for (const int32_t token : document) {
      const double alone =
          (tokens_[static_cast<size_t>(token)] + 1.0) / static_cast<double>(total_ + std::ssize(tokens_));
      const double seen = pairs_[Cell(before, token)];
      nats -= std::log((seen + kPrior * alone) / (tokens_[static_cast<size_t>(before)] + kPrior));
      before = token;
    }
    return nats;
  }

 private:
  size_t Cell(int32_t before, int32_t token) const {
    const uint64_t pair = static_cast<uint64_t>(before) * vocab_ + static_cast<uint64_t>(token);
    if (pairs_.size() == vocab_ * vocab_) return pair;
    return MultiplyFold(pair, 0x9E3779B97F4A7C15ull) % pairs_.size();
  }

  uint64_t vocab_;
  std::vector<uint32_t> tokens_;  // [V]; also how often each stands before another
  std::vector<uint32_t> pairs_;
  int64_t total_ = 0;
};

std::string_view BytesOf(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

std::vector<float> ComputeDifficulty(const TokenData& data, const std::function<void(double)>& on_progress,
                                     std::span<const uint32_t> mixed_in) {
  const std::vector<int64_t> borders = DocumentBorders(data);
  const size_t documents = borders.size() - 1;
  std::vector<float> difficulty(documents, 0.0f);
  for (const uint32_t document : mixed_in) difficulty.at(document) = kMixedIn;
  std::vector<int32_t> ids;
  const auto read = [&](size_t d) {
    ids.resize(static_cast<size_t>(borders[d + 1] - borders[d]));
    data.Copy(borders[d], std::ssize(ids), ids.data());
    if (ids.back() != Tokenizer::kEos) ids.push_back(Tokenizer::kEos);
  };
  const auto report = [&](size_t done) {
    constexpr size_t kEvery = 1 << 14;
    if (on_progress && done % kEvery == 0) on_progress(static_cast<double>(done) / static_cast<double>(2 * documents));
  };
  Bigrams bigrams(data.vocab_size());
  for (size_t d = 0; d < documents; ++d) {
    report(d);
    if (difficulty[d] == kMixedIn) continue;
    read(d);
    bigrams.Count(ids, 1);
  }
  for (size_t d = 0; d < documents; ++d) {
    report(documents + d);
    if (difficulty[d] == kMixedIn) continue;
    read(d);
    bigrams.Count(ids, -1);
    const auto tokens = static_cast<double>(ids.size());
    // Hashed counts may say that a pair was seen more often than its first token.
    const double of_document = bigrams.Nats(ids) / tokens + kDifficultyOfLength * std::log(tokens);
    difficulty[d] = static_cast<float>(std::max(of_document, 0.0));
    bigrams.Count(ids, 1);
  }
  return difficulty;
}

void WriteDifficulty(const std::string& folder, const TokenData& train, std::span<const float> difficulty) {
  Header header{};
  std::memcpy(header.magic, kDifficultyMagic, sizeof header.magic);
  header.version = kDifficultyVersion;
  header.documents = difficulty.size();
  header.tokens = static_cast<uint64_t>(train.size());
  header.checksum = Hash64(BytesOf(difficulty));
  std::string content(reinterpret_cast<const char*>(&header), sizeof header);
  content += BytesOf(difficulty);
  WriteFileAtomic(folder + "/" + kDifficultyFile, content);
}

std::vector<float> ReadDifficulty(const std::string& folder, const TokenData& train) {
  const std::string path = folder + "/" + kDifficultyFile;
  if (!std::filesystem::exists(path)) return ComputeDifficulty(train);
  const MappedFile file(path);
  const auto refuse = [&](const char* what) {
    throw Error(fmt::format("'{}' {}", path, what),
                "remove it, and it is computed anew; or run `flashlm data prepare` again");
  };
  Header header{};
  if (file.size() >= sizeof header) std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.magic, kDifficultyMagic, sizeof header.magic) != 0 || header.version != kDifficultyVersion) {
    refuse("does not hold the difficulty of stories as this program writes it");
  }
  std::vector<float> difficulty((file.size() - sizeof header) / sizeof(float));
  if (difficulty.empty()) refuse("is of no story");
  std::memcpy(difficulty.data(), file.data() + sizeof header, difficulty.size() * sizeof(float));
  if ((file.size() - sizeof header) % sizeof(float) != 0 || header.documents != difficulty.size() ||
      header.checksum != Hash64(BytesOf(difficulty))) {
    refuse("is truncated or damaged");
  }
  if (header.tokens != static_cast<uint64_t>(train.size()) || difficulty.size() + 1 != DocumentBorders(train).size()) {
    refuse("is of another training text than lies beside it");
  }
  const auto possible = [](float d) { return d == kMixedIn || (std::isfinite(d) && d >= 0); };
  if (!std::all_of(difficulty.begin(), difficulty.end(), possible)) refuse("has a difficulty that no story has");
  if (std::count(difficulty.begin(), difficulty.end(), kMixedIn) == std::ssize(difficulty)) refuse("is of no story");
  return difficulty;
}

std::vector<uint32_t> EasiestFirst(std::span<const float> difficulty) {
  std::vector<uint32_t> order;
  for (uint32_t document = 0; document < difficulty.size(); ++document) {
    if (difficulty[document] != kMixedIn) order.push_back(document);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return difficulty[a] < difficulty[b]; });
  return order;
}

std::vector<uint32_t> DocumentsWithin(std::span<const float> difficulty, double low, double high) {
  if (!(low >= 0 && low < high && high <= 100)) {
    throw UsageError(fmt::format("percentiles {} to {}: the first must be less than the second", low, high),
                     "both lie in 0..100");
  }
  const std::vector<uint32_t> order = EasiestFirst(difficulty);
  FLASHLM_CHECK(!order.empty(), "percentiles of no stories");
  const auto rank = [&](double percentile) {
    return static_cast<int64_t>(std::llround(percentile / 100 * static_cast<double>(order.size())));
  };
  const int64_t begin = std::min(rank(low), std::ssize(order) - 1), end = std::max(rank(high), begin + 1);
  std::vector<uint32_t> chosen(order.begin() + begin, order.begin() + end);
  for (uint32_t document = 0; document < difficulty.size(); ++document) {
    if (difficulty[document] == kMixedIn) chosen.push_back(document);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace flashlm
