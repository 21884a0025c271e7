#include "data/prepare.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "data/documents.h"
#include "data/download.h"
#include "data/hash.h"
#include "data/output_folder.h"
#include "data/shards.h"
#include "data/synthetic_source.h"
#include "stories/story_text.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokenizerSample = 64'000'000;
constexpr double kHeldOut = 0.01;

void StopIfInterrupted() {
  if (Interrupted()) throw Error("interrupted: no data set was written");
}

// "encoding  45 %  12.0 of 30.1 MB, 0:12 left" on a terminal.
class Meter {
 public:
  Meter(const char* doing, const DocumentSource& source) : doing_(doing), source_(source) {}
  void Update() const {
    StopIfInterrupted();
    const auto done = static_cast<double>(source_.bytes_read()), all = static_cast<double>(source_.total_bytes());
    ShowStatus(fmt::format("{} {:3.0f} %  {:.1f} of {:.1f} MB, {} left", doing_, 100 * done / all, done / 1e6,
                           all / 1e6, FormatDuration(watch_.Seconds() * (all - done) / std::max(done, 1.0))));
  }

 private:
  const char* doing_;
  const DocumentSource& source_;
  Stopwatch watch_;
};

std::vector<uint64_t> HashesOf(const std::vector<std::string_view>& documents) {
  std::vector<uint64_t> hashes(documents.size());
  ParallelBlocks(static_cast<int64_t>(documents.size()), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) hashes[i] = Hash64(documents[i]);
  });
  return hashes;
}

std::vector<uint64_t> HashesOf(DocumentSource& source, const char* doing) {
  const Meter meter(doing, source);
  std::vector<uint64_t> hashes;
  DocumentBatch batch;
  source.Rewind();
  while (source.Next(batch)) {
    const std::vector<uint64_t> some = HashesOf(batch.documents);
    hashes.insert(hashes.end(), some.begin(), some.end());
    meter.Update();
  }
  return hashes;
}

// Which documents belong to which split, decided by content, so that the same text never stands on both
// sides.
class Split {
 public:
  enum class Side { kTrain, kValid, kDropped };

  // Holds out the documents of `hashes` with the smallest ones, at least one.
  static Split HoldOut(std::vector<uint64_t> hashes, const std::string& input) {
    const auto count = static_cast<size_t>(std::max(1.0, kHeldOut * static_cast<double>(hashes.size())));
    std::nth_element(hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(count - 1), hashes.end());
    Split split;
    split.threshold_ = hashes[count - 1];
    const uint64_t threshold = *split.threshold_;
    if (std::all_of(hashes.begin(), hashes.end(), [&](uint64_t hash) { return hash <= threshold; })) {
      throw Error(fmt::format("'{}' is a single document, so none can be held out for validation", input),
                  "give --valid FILE, or put lines with <|endoftext|> between documents");
    }
    return split;
  }
  // Drops from training what the validation text holds.
  static Split Without(const std::vector<uint64_t>& valid) {
    Split split;
    split.valid_.insert(valid.begin(), valid.end());
    return split;
  }
  static Split All() { return {}; }

  bool holds_out() const { return threshold_.has_value(); }
  Side SideOf(uint64_t hash) const {
    if (threshold_) return hash <= *threshold_ ? Side::kValid : Side::kTrain;
    return valid_.contains(hash) ? Side::kDropped : Side::kTrain;
  }

 private:
  std::optional<uint64_t> threshold_;
  std::unordered_set<uint64_t> valid_;
};

struct Sample {
  std::string text;
  std::vector<size_t> ends;
  std::vector<std::string_view> Views() const {
    std::vector<std::string_view> views;
    size_t begin = 0;
    for (const size_t end : ends) {
      views.push_back(std::string_view(text).substr(begin, end - begin));
      begin = end;
    }
    return views;
  }
};

// Copies training documents until the sample holds its share of the source read so far: all of a small
// source, evenly spread documents of a large one.
Sample TakeSample(DocumentSource& source, const Split& split) {
  const Meter meter("reading", source);
  const double share = std::min(1.0, static_cast<double>(kTokenizerSample) / static_cast<double>(source.total_bytes()));
  Sample sample;
  DocumentBatch batch;
  double seen = 0;
  source.Rewind();
  while (source.Next(batch)) {
    const std::vector<uint64_t> hashes = HashesOf(batch.documents);
    for (size_t i = 0; i < batch.documents.size(); ++i) {
      const std::string_view document = batch.documents[i];
      if (split.SideOf(hashes[i]) != Split::Side::kTrain) continue;
      seen += static_cast<double>(document.size());
      if (share < 1 && static_cast<double>(sample.text.size()) >= share * seen) continue;
      sample.text += document;
      sample.ends.push_back(sample.text.size());
    }
    meter.Update();
  }
  return sample;
}

// One split while it is written.
class SplitWriter {
 public:
  SplitWriter(const std::string& folder, const std::string& name, const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), shards_(folder, name, tokenizer.vocab_size(), tokenizer.Hash()) {
    if (name != "valid") return;
    text_path_ = folder + "/valid.txt";
    text_.reset(std::fopen(text_path_.c_str(), "wb"));
    if (!text_) throw Error(fmt::format("cannot create '{}'", text_path_));
  }

  // Encodes in parallel, keeping the order.
  void Add(const std::vector<std::string_view>& documents) {
    constexpr int64_t kBlock = 64;
    const auto count = static_cast<int64_t>(documents.size());
    std::vector<std::vector<uint16_t>> ids(static_cast<size_t>((count + kBlock - 1) / kBlock));
    ParallelBlocks(count, kBlock, [&](int64_t begin, int64_t end) {
      std::vector<uint16_t>& out = ids[begin / kBlock];
      for (int64_t i = begin; i < end; ++i) {
        tokenizer_.Encode(documents[i], out);
        out.push_back(Tokenizer::kEos);
      }
    });
    for (const auto& block : ids) shards_.Append(block);
    for (const std::string_view document : documents) {
      bytes_ += static_cast<int64_t>(document.size());
      const std::string_view separator = documents_++ == 0 ? "" : "\n<|endoftext|>\n";
      if (!text_) continue;
      std::fwrite(separator.data(), 1, separator.size(), text_.get());
      std::fwrite(document.data(), 1, document.size(), text_.get());
    }
  }

  Json Finish() {
    if (text_) {
      std::fputc('\n', text_.get());
      if (std::fflush(text_.get()) != 0 || std::ferror(text_.get()) != 0) {
        throw Error(fmt::format("cannot write '{}'", text_path_), "is the disk full?");
      }
      SyncPath(text_path_);
    }
    Json shards = shards_.Finish();
    return {{"documents", documents_}, {"tokens", shards_.tokens()}, {"bytes", bytes_}, {"shards", shards}};
  }

  int64_t documents() const { return documents_; }

 private:
  const Tokenizer& tokenizer_;
  ShardWriter shards_;
  std::string text_path_;
  std::unique_ptr<std::FILE, decltype(&std::fclose)> text_{nullptr, std::fclose};
  int64_t documents_ = 0;
  int64_t bytes_ = 0;
};

// Encodes `source` into `kept`, and what `split` holds out into `held_out`. Returns the number of documents
// dropped.
int64_t EncodeAll(DocumentSource& source, const char* doing, const Split& split, SplitWriter& kept,
                  SplitWriter& held_out) {
  const Meter meter(doing, source);
  DocumentBatch batch;
  int64_t dropped = 0;
  source.Rewind();
  while (source.Next(batch)) {
    const std::vector<uint64_t> hashes = HashesOf(batch.documents);
    std::vector<std::string_view> for_kept, for_held_out;
    for (size_t i = 0; i < hashes.size(); ++i) {
      const Split::Side side = split.SideOf(hashes[i]);
      dropped += side == Split::Side::kDropped;
      if (side == Split::Side::kTrain) for_kept.push_back(batch.documents[i]);
      if (side == Split::Side::kValid) for_held_out.push_back(batch.documents[i]);
    }
    kept.Add(for_kept);
    held_out.Add(for_held_out);
    meter.Update();
  }
  return dropped;
}

// What is read, and what identifies it.
struct Inputs {
  std::unique_ptr<DocumentSource> train;
  std::unique_ptr<DocumentSource> valid;  // null: hold documents out of `train`
  bool synthetic = false;
  std::string fingerprint;
};

std::unique_ptr<DocumentSource> OpenText(const std::string& path, Json& identity) {
  auto source = std::make_unique<TextSource>(path);
  for (const std::string& file : source->files()) {
    identity.push_back({fs::absolute(file).lexically_normal().string(), fs::file_size(file),
                        fs::last_write_time(file).time_since_epoch().count()});
  }
  return source;
}

Inputs OpenInputs(const PrepareOptions& options) {
  Inputs inputs;
  Json identity = {kDataVersion, options.vocab};
  std::string train = options.input, valid = options.valid;
  if (options.input == "tinystories") {
    const std::string folder = CacheFolder() + "/tinystories";
    if (valid.empty()) valid = Download(kTinyStoriesValid, TinyStoriesUrl(), folder);
    train = Download(kTinyStoriesTrain, TinyStoriesUrl(), folder);
  }
  if (options.input == "synthetic") {
    inputs.synthetic = true;
    inputs.train = std::make_unique<SyntheticSource>(options.seed, 0, options.synthetic_bytes);
    if (valid.empty()) {
      inputs.valid = std::make_unique<SyntheticSource>(options.seed, kFirstValidStory, options.synthetic_valid_bytes);
    }
    identity.push_back({options.seed, options.synthetic_bytes, options.synthetic_valid_bytes,
                        Hash64(kStoryWords, Hash64(kStorySentences, Hash64(kStoryPlots)))});
  } else {
    inputs.train = OpenText(train, identity);
  }
  if (!valid.empty()) {
    identity.push_back("valid");
    inputs.valid = OpenText(valid, identity);
  }
  inputs.fingerprint = Sha256(identity.dump());
  return inputs;
}

// OUT without a trailing slash. Throws UsageError for options out of range.
std::string CheckOptions(const PrepareOptions& options) {
  if (options.out.empty()) throw UsageError("data prepare needs --out DIR");
  if (options.vocab < Tokenizer::kMinVocab || options.vocab > 65536) {
    throw UsageError(fmt::format("--vocab {} is not in {}..65536", options.vocab, Tokenizer::kMinVocab));
  }
  if (options.synthetic_bytes < 1 || options.synthetic_valid_bytes < 1) {
    throw UsageError("the synthetic corpus needs at least one byte of text on each side");
  }
  fs::path out = fs::path(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();
  for (const std::string& input : {options.input, options.valid}) {
    std::error_code code;
    if (!fs::is_directory(input, code)) continue;
    const std::string relative = fs::weakly_canonical(out).lexically_relative(fs::canonical(input)).string();
    if (!relative.starts_with("..")) {
      throw UsageError(fmt::format("--out '{}' lies inside the folder '{}' that is read", options.out, input),
                       "its valid.txt would be read as input; choose another folder");
    }
  }
  return out.string();
}

// The meta.json of OUT if it is complete and was made from the same input and options; else null.
Json FindReusable(const std::string& out, const std::string& fingerprint) {
  if (!fs::exists(out + "/meta.json")) return nullptr;
  try {
    Json meta = ReadDataMeta(out);
    if (meta.value("input_fingerprint", "") != fingerprint) return nullptr;
    const std::string hash = Tokenizer::Load(out + "/tokenizer.json").Hash();
    for (const char* split : {"train", "valid"}) TokenData(out, split).ExpectTokenizer(hash, "tokenizer.json");
    MappedFile(out + "/valid.txt");
    return meta;
  } catch (const Error& e) {
    Say(fmt::format("{}: preparing it again", e.what()));
    return nullptr;
  }
}

Json Build(const PrepareOptions& options, const Inputs& inputs, const std::string& folder) {
  Split split = Split::All();
  if (!inputs.valid) {
    std::vector<uint64_t> hashes = HashesOf(*inputs.train, "reading");
    if (hashes.empty()) throw Error(fmt::format("'{}' holds no text", options.input), "give a file that holds text");
    split = Split::HoldOut(std::move(hashes), options.input);
  } else {
    const std::vector<uint64_t> hashes = HashesOf(*inputs.valid, "reading validation text");
    if (hashes.empty()) throw Error(fmt::format("'{}' holds no text", options.valid), "give a file that holds text");
    split = Split::Without(hashes);
  }
  const Sample sample = TakeSample(*inputs.train, split);
  if (sample.ends.empty()) {
    throw Error(fmt::format("'{}' holds no text for training that is not validation text as well", options.input));
  }
  Say(fmt::format("training a tokenizer of {} entries on {:.1f} MB", options.vocab, sample.text.size() / 1e6));
  const Tokenizer tokenizer = Tokenizer::Train(sample.Views(), options.vocab);
  StopIfInterrupted();
  tokenizer.Save(folder + "/tokenizer.json");

  SplitWriter train(folder, "train", tokenizer), valid(folder, "valid", tokenizer);
  const int64_t dropped = EncodeAll(*inputs.train, "encoding", split, train, valid);
  if (inputs.valid) EncodeAll(*inputs.valid, "encoding validation text", Split::All(), valid, valid);

  const bool whole = static_cast<int64_t>(sample.ends.size()) == train.documents();
  Json meta = {{"format", "flashlm-data"}, {"version", kDataVersion}, {"source", options.input}};
  meta["validation"] = inputs.valid ? (options.valid.empty() ? "its own validation set" : options.valid)
                                    : "held out: the 1 % of the documents with the smallest hashes";
  if (inputs.synthetic) {
    meta["seed"] = options.seed;
    meta["entropy_bound_bits_per_byte"] = EntropyBound(options.seed);
  }
  meta["tokenizer"] = {{"sha256", tokenizer.Hash()},
                       {"vocab_size", tokenizer.vocab_size()},
                       {"trained_on", whole ? "all training documents" : "evenly spread training documents"},
                       {"trained_on_documents", sample.ends.size()},
                       {"trained_on_bytes", sample.text.size()}};
  meta["train"] = train.Finish();
  meta["train"]["dropped_documents_also_in_validation"] = dropped;
  meta["valid"] = valid.Finish();
  meta["input_fingerprint"] = inputs.fingerprint;
  return meta;
}

void SaySummary(const Json& meta, const std::string& out) {
  const auto line = [&](const char* split) {
    const Json& part = meta.at(split);
    const auto bytes = part.at("bytes").get<double>(), tokens = part.at("tokens").get<double>();
    Say(fmt::format("{}: {} documents, {:.1f} MB, {} tokens ({:.2f} bytes each)", split,
                    part.at("documents").get<int64_t>(), bytes / 1e6, FormatCount(tokens), bytes / tokens));
  };
  line("train");
  line("valid");
  if (meta.contains("entropy_bound_bits_per_byte")) {
    Say(fmt::format("the text's entropy is at most {:.3f} bits per byte",
                    meta.at("entropy_bound_bits_per_byte").get<double>()));
  }
  Say(fmt::format("data set in {}", out));
}

}  // namespace

Json PrepareData(const PrepareOptions& options) {
  const std::string out = CheckOptions(options);
  const Inputs inputs = OpenInputs(options);
  if (Json meta = FindReusable(out, inputs.fingerprint); !meta.is_null()) {
    Say(fmt::format("{} already holds this data set: reusing it", out));
    return meta;
  }
  OutputFolder folder(out);
  Json meta = Build(options, inputs, folder.work());
  meta["fingerprint"] = DataFingerprint(folder.work(), meta);
  WriteFileAtomic(folder.work() + "/meta.json", meta.dump(2) + "\n");
  StopIfInterrupted();
  folder.Publish();
  SaySummary(meta, out);
  return meta;
}

}  // namespace flashlm
