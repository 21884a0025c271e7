#include "data/inspect.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "data/difficulty.h"
#include "data/document_ring.h"
#include "data/documents.h"
#include "data/mixture.h"
#include "data/shards.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// The value at a percentile of ascending values.
float At(std::span<const float> sorted, double percentile) {
  return sorted[static_cast<size_t>(std::llround(percentile / 100 * static_cast<double>(sorted.size() - 1)))];
}

// Bins of equal width over what all but a few documents have; the outer ones reach to the extremes.
Json Histogram(std::span<const float> sorted) {
  constexpr int kBins = 16;
  const double low = At(sorted, 0.5), width = (At(sorted, 99.5) - low) / kBins;
  if (width <= 0) return {{{"from", sorted.front()}, {"to", sorted.back()}, {"documents", sorted.size()}}};
  Json histogram;
  auto begin = sorted.begin();
  for (int bin = 0; bin < kBins; ++bin) {
    const bool last = bin == kBins - 1;
    const double from = low + bin * width, to = last ? sorted.back() : from + width;
    const auto end = last ? sorted.end() : std::lower_bound(begin, sorted.end(), to);
    histogram.push_back({{"from", bin == 0 ? double{sorted.front()} : from}, {"to", to}, {"documents", end - begin}});
    begin = end;
  }
  return histogram;
}

std::string Beginning(const std::string& text, size_t most) {
  return text.size() <= most ? text : text.substr(0, WholeCharacters(text, most)) + "...";
}

// Training documents as `data inspect` shows them.
class Documents {
 public:
  Documents(const std::string& folder, const TokenData& train, std::span<const float> difficulty)
      : train_(train),
        difficulty_(difficulty),
        borders_(DocumentBorders(train)),
        tokenizer_(Tokenizer::Load(folder + "/tokenizer.json")) {
    train.ExpectTokenizer(tokenizer_.Hash(), "tokenizer.json");
  }

  Json Describe(uint32_t document) const {
    constexpr size_t kBytes = 100;
    std::vector<int32_t> ids(static_cast<size_t>(borders_[document + 1] - borders_[document]));
    train_.Copy(borders_[document], std::ssize(ids), ids.data());
    const double difficulty = difficulty_[document];
    const size_t tokens = ids.size() + (ids.back() != Tokenizer::kEos);
    return {{"document", document},
            {"difficulty", difficulty},
            {"nats_per_token", difficulty - kDifficultyOfLength * std::log(static_cast<double>(tokens))},
            {"tokens", tokens},
            {"text", Beginning(tokenizer_.Decode(std::vector<uint16_t>(ids.begin(), ids.end())), kBytes)}};
  }

 private:
  const TokenData& train_;
  std::span<const float> difficulty_;
  std::vector<int64_t> borders_;
  Tokenizer tokenizer_;
};

Json DescribeDifficulty(const std::string& folder, const TokenData& train) {
  constexpr int64_t kShown = 5;
  const std::vector<float> difficulty = ReadDifficulty(folder, train);
  const std::vector<uint32_t> order = EasiestFirst(difficulty);
  std::vector<float> sorted;
  sorted.reserve(order.size());
  for (const uint32_t document : order) sorted.push_back(difficulty[document]);
  Json json = {{"measure", kDifficultyMeasure},
               {"stored", std::filesystem::exists(folder + "/" + kDifficultyFile)},
               {"mean", std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size())}};
  for (const int percentile : {0, 10, 30, 50, 70, 90, 100}) {
    json["percentiles"][std::to_string(percentile)] = At(sorted, percentile);
  }
  json["histogram"] = Histogram(sorted);
  const Documents documents(folder, train, difficulty);
  json["easiest"] = json["hardest"] = Json::array();
  for (int64_t i = 0; i < std::min(kShown, std::ssize(order)); ++i) {
    json["easiest"].push_back(documents.Describe(order[static_cast<size_t>(i)]));
    json["hardest"].push_back(documents.Describe(order[order.size() - 1 - static_cast<size_t>(i)]));
  }
  return json;
}

std::string DifficultyText(const Json& difficulty) {
  constexpr double kWidest = 50;
  std::string text = fmt::format(
      "difficulty of the training documents ({}{}): mean {:.2f}\n", difficulty.at("measure").get<std::string>(),
      difficulty.at("stored").get<bool>() ? "" : "; computed now", difficulty.at("mean").get<double>());
  int64_t most = 1;
  for (const Json& bin : difficulty.at("histogram")) most = std::max(most, bin.at("documents").get<int64_t>());
  for (const Json& bin : difficulty.at("histogram")) {
    const auto count = bin.at("documents").get<int64_t>();
    const auto length =
        static_cast<size_t>(std::ceil(kWidest * static_cast<double>(count) / static_cast<double>(most)));
    text += fmt::format("  {:5.2f} to {:5.2f} {:>9}  {}\n", bin.at("from").get<double>(), bin.at("to").get<double>(),
                        count, std::string(length, '#'));
  }
  for (const char* end : {"easiest", "hardest"}) {
    text += fmt::format("{}:\n", end);
    for (const Json& document : difficulty.at(end)) {
      auto beginning = document.at("text").get<std::string>();
      std::replace(beginning.begin(), beginning.end(), '\n', ' ');
      text += fmt::format("  {:5.2f}  ({} tokens, {:.2f} nats each)  {}\n", document.at("difficulty").get<double>(),
                          document.at("tokens").get<int64_t>(), document.at("nats_per_token").get<double>(), beginning);
    }
  }
  return text;
}

}  // namespace

Json InspectData(const std::string& folder) {
  const Json meta = ReadDataMeta(folder);
  Json report = {
      {"folder", folder}, {"source", meta.value("source", "")}, {"validation", meta.value("validation", "")}};
  report["fingerprint"] = DataFingerprint(folder, meta);
  if (meta.contains("mix")) report["mix"] = meta["mix"];
  Json splits, difficulty;
  const auto count_of = [](const Json& part, const char* what) {
    const Json count = part.value(what, Json());
    return count.is_number_integer() ? count.get<int64_t>() : int64_t{0};
  };
  int64_t documents = 0, tokens = 0, bytes = 0;
  for (const char* split : {"train", "valid"}) {
    const TokenData data(folder, split);
    report["vocab_size"] = data.vocab_size();
    const Json& part = meta.at(split);
    splits[split] = {
        {"documents", count_of(part, "documents")}, {"tokens", data.size()}, {"bytes", count_of(part, "bytes")}};
    if (part.contains("subset_tokens")) splits[split]["subset_tokens"] = part["subset_tokens"];
    documents += splits[split]["documents"].get<int64_t>();
    tokens += data.size();
    if (std::string_view(split) == "train") difficulty = DescribeDifficulty(folder, data);
    bytes += splits[split]["bytes"].get<int64_t>();
  }
  [[maybe_unused]] const DocumentFile readable(folder + "/valid.txt");
  report.update({{"documents", documents}, {"tokens", tokens}, {"bytes", bytes}});
  report.update(splits);
  report["difficulty"] = std::move(difficulty);
  return report;
}

std::string DescribeData(const Json& report) {
  std::string text =
      fmt::format("{}: {} tokens of {} documents, vocabulary {}, from {}\n", report.at("folder").get<std::string>(),
                  report.at("tokens").get<int64_t>(), report.at("documents").get<int64_t>(),
                  report.at("vocab_size").get<int>(), report.at("source").get<std::string>());
  for (const char* split : {"train", "valid"}) {
    const Json& part = report.at(split);
    text += fmt::format("{}: {} documents, {} tokens, {} bytes{}\n", split, part.at("documents").get<int64_t>(),
                        part.at("tokens").get<int64_t>(), part.at("bytes").get<int64_t>(),
                        part.contains("subset_tokens") ? ", the first tokens of a longer text" : "");
  }
  if (report.contains("mix")) text += DescribeMix(report["mix"]) + "\n";
  text += fmt::format("fingerprint: {}\n", report.at("fingerprint").get<std::string>());
  return text + DifficultyText(report.at("difficulty"));
}

}  // namespace flashlm
