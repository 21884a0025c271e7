#include "data/prepare.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/difficulty.h"
#include "data/documents.h"
#include "data/hash.h"
#include "data/output_folder.h"
#include "data/shards.h"
#include "data/sources.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokenizerSample = 64'000'000;
constexpr double kHeldOut = 0.01;
// Counts changes of how text becomes documents and documents become splits: what was made otherwise is made again.
constexpr int kPreparation = 2;

void StopIfInterrupted() {
  if (Interrupted()) throw Error("interrupted: no data set was written");
}

// "encoding  45 %  12.0 of 30.1 MB, 0:12 left" on a terminal.
class Meter {
 public:
  Meter(const char* doing, const DocumentSource& source) : doing_(doing), source_(source) {}
  void Update() const {
    StopIfInterrupted();
    const auto done = static_cast<double>(source_.bytes_read());
    const auto all = static_cast<double>(std::max<int64_t>(source_.total_bytes(), 1));
    ShowStatus(fmt::format("{} {:3.0f} %  {:.1f} of {:.1f} MB, {} left", doing_, 100 * done / all, done / 1e6,
                           all / 1e6, FormatDuration(watch_.Seconds() * (all - done) / std::max(done, 1.0))));
  }

 private:
  const char* doing_;
  const DocumentSource& source_;
  Stopwatch watch_;
};

using Hashes = std::vector<uint64_t>;

Hashes HashesOf(const std::vector<std::string_view>& documents) {
  Hashes hashes(documents.size());
  ParallelBlocks(static_cast<int64_t>(documents.size()), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) hashes[i] = Hash64(documents[i]);
  });
  return hashes;
}

// A source that is read several times and must say the same each time: which documents are held out, what the tokenizer
// learns and what is encoded come from different readings.
class Text {
 public:
  Text(std::unique_ptr<DocumentSource> source, std::string name) : source_(std::move(source)), name_(std::move(name)) {}

  const DocumentSource& source() const { return *source_; }
  const std::string& name() const { return name_; }

  // Calls visit(documents, their hashes) for batch after batch.
  template <class Visit>
  void Read(const char* doing, const Visit& visit) {
    const Meter meter(doing, *source_);
    DocumentBatch batch;
    uint64_t digest = 0;
    source_->Rewind();
    while (source_->Next(batch)) {
      const Hashes hashes = HashesOf(batch.documents);
      for (const uint64_t hash : hashes) digest = MultiplyFold(digest ^ hash, 0x9E3779B97F4A7C15ull) + hash;
      visit(batch.documents, hashes);
      meter.Update();
    }
    if (!digest_) digest_ = digest;
    if (*digest_ != digest) {
      throw Error(fmt::format("'{}' changed while it was being read", name_),
                  "run the command again when nothing writes to it");
    }
  }

  // Throws Error if there are none.
  Hashes ReadHashes(const char* doing) {
    Hashes all;
    Read(doing, [&](const auto&, const Hashes& some) { all.insert(all.end(), some.begin(), some.end()); });
    if (all.empty()) throw Error(fmt::format("'{}' holds no text", name_), "give a file that holds text");
    return all;
  }

 private:
  std::unique_ptr<DocumentSource> source_;
  std::string name_;
  std::optional<uint64_t> digest_;  // of the first reading
};

// Which documents belong to which split, decided by content, so that the same text never stands on both
// sides.
class Split {
 public:
  enum class Side { kTrain, kValid, kDropped };

  // Holds out the documents of `hashes` with the smallest ones, at least one.
  static Split HoldOut(std::vector<uint64_t> hashes, const std::string& input) {
    const auto count = static_cast<size_t>(std::max(1.0, kHeldOut * static_cast<double>(hashes.size())));
    std::nth_element(hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(count - 1), hashes.end());
    const uint64_t threshold = hashes[count - 1];
    Split split;
    split.validation_is_ = Side::kValid;
    std::copy_if(hashes.begin(), hashes.end(), std::inserter(split.validation_, split.validation_.end()),
                 [&](uint64_t hash) { return hash <= threshold; });
    if (std::all_of(hashes.begin(), hashes.end(), [&](uint64_t hash) { return hash <= threshold; })) {
      throw Error(fmt::format("'{}' is a single document, so none can be held out for validation", input),
                  "give --valid FILE, or put lines with <|endoftext|> between documents");
    }
    return split;
  }
  // Drops from training what the validation text holds.
  static Split Without(const std::vector<uint64_t>& valid) {
    Split split;
    split.validation_.insert(valid.begin(), valid.end());
    return split;
  }
  static Split All() { return {}; }

  Side SideOf(uint64_t hash) const { return InValidation(hash) ? validation_is_ : Side::kTrain; }
  bool InValidation(uint64_t hash) const { return validation_.contains(hash); }

 private:
  Side validation_is_ = Side::kDropped;
  std::unordered_set<uint64_t> validation_;  // hashes
};

struct Sample {
  std::string text;
  bool whole = true;  // no document was left out
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
Sample TakeSample(Text& text, const Split& split) {
  const auto total = static_cast<double>(std::max<int64_t>(text.source().total_bytes(), 1));
  const double share = std::min(1.0, static_cast<double>(kTokenizerSample) / total);
  Sample sample;
  double seen = 0;
  text.Read("reading", [&](const std::vector<std::string_view>& documents, const Hashes& hashes) {
    for (size_t i = 0; i < documents.size(); ++i) {
      if (split.SideOf(hashes[i]) != Split::Side::kTrain) continue;
      seen += static_cast<double>(documents[i].size());
      if (share < 1 && static_cast<double>(sample.text.size()) >= share * seen) {
        sample.whole = false;
        continue;
      }
      sample.text += documents[i];
      sample.ends.push_back(sample.text.size());
    }
  });
  return sample;
}

// One split while it is written.
class SplitWriter {
 public:
  // most_tokens: what comes after so many is left out; 0: nothing is.
  SplitWriter(const std::string& folder, const std::string& name, const Tokenizer& tokenizer, int64_t most_tokens = 0)
      : tokenizer_(tokenizer),
        shards_(folder, name, tokenizer.vocab_size(), tokenizer.Hash()),
        most_tokens_(most_tokens) {
    if (name != "valid") return;
    text_path_ = folder + "/valid.txt";
    text_.reset(std::fopen(text_path_.c_str(), "wb"));
    if (!text_) throw Error(fmt::format("cannot create '{}'", text_path_));
  }

  // Encodes in parallel, keeping the order.
  void Add(const std::vector<std::string_view>& documents) {
    if (full_) return;
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
    for (const auto& block : ids) {
      if (mixture_ == nullptr) {
        Append(block);
      } else {
        AppendMixed(block);
      }
    }
    for (const std::string_view document : documents) {
      if (most_tokens_ == 0) bytes_ += std::ssize(document);
      WriteText(document);
    }
  }

  Json Finish() {
    if (text_) FinishText();
    Json json = {{"documents", documents_}, {"tokens", shards_.tokens()}, {"bytes", bytes_}};
    json["shards"] = shards_.Finish();
    if (full_) json["subset_tokens"] = most_tokens_;
    return json;
  }

  int64_t tokens() const { return shards_.tokens(); }
  // From now on documents of `mixture`, which must outlive the writer, follow those added where they are due.
  void MixIn(Mixture& mixture) { mixture_ = &mixture; }
  // What was written of them.
  Json Mixed() const {
    const double share = static_cast<double>(mixed_tokens_) / static_cast<double>(std::max<int64_t>(tokens(), 1));
    return {{"documents", mixed_documents_.size()}, {"tokens", mixed_tokens_}, {"share_of_tokens", share}};
  }
  // Their numbers among all documents, ascending.
  const std::vector<uint32_t>& mixed_documents() const { return mixed_documents_; }

 private:
  // ids: whole documents.
  void AppendMixed(std::span<const uint16_t> ids) {
    while (!ids.empty()) {
      const auto end = std::find(ids.begin(), ids.end(), Tokenizer::kEos);
      const auto own = static_cast<size_t>(end - ids.begin()) + 1;
      Append(ids.first(own));
      ids = ids.subspan(own);
      mixture_->After(static_cast<int64_t>(own), tokenizer_, [&](const Mixture::Document& document) {
        StopIfInterrupted();
        const int64_t before = tokens(), number = documents_;
        Append(document.ids);
        if (most_tokens_ == 0) bytes_ += document.bytes;
        if (tokens() > before) mixed_documents_.push_back(static_cast<uint32_t>(number));
        mixed_tokens_ += tokens() - before;
      });
    }
  }

  void Append(std::span<const uint16_t> ids) {
    if (full_) return;
    if (most_tokens_ > 0 && std::ssize(ids) >= most_tokens_ - shards_.tokens()) {
      full_ = true;
      ids = ids.first(static_cast<size_t>(most_tokens_ - shards_.tokens()));
    }
    shards_.Append(ids);
    documents_ += std::count(ids.begin(), ids.end(), Tokenizer::kEos);
    documents_ += full_ && !ids.empty() && ids.back() != Tokenizer::kEos;
    if (most_tokens_ == 0) return;
    for (const uint16_t id : ids) bytes_ += std::ssize(tokenizer_.Bytes(id));
  }

  void WriteText(std::string_view document) {
    if (!text_) return;
    const std::string_view separator = texts_++ == 0 ? "" : kSeparatorLine;
    std::fwrite(separator.data(), 1, separator.size(), text_.get());
    std::fwrite(document.data(), 1, document.size(), text_.get());
    mentions_ += CountSeparators(document).inside_lines;
  }

  void FinishText() {
    // A story that mentions the separator again and again must not look like a text that uses it so: empty documents,
    // which nobody reads, tip the scales.
    while (Separators{texts_ - 1, mentions_}.SplitInside()) {
      std::fwrite(kSeparatorLine.data(), 1, kSeparatorLine.size(), text_.get());
      ++texts_;
    }
    std::fputc('\n', text_.get());
    if (std::fflush(text_.get()) != 0 || std::ferror(text_.get()) != 0) {
      throw Error(fmt::format("cannot write '{}'", text_path_), "is the disk full?");
    }
    SyncPath(text_path_);
  }

  static constexpr std::string_view kSeparatorLine = "\n<|endoftext|>\n";

  const Tokenizer& tokenizer_;
  ShardWriter shards_;
  int64_t most_tokens_;
  bool full_ = false;
  std::string text_path_;
  FilePointer text_;
  int64_t texts_ = 0, mentions_ = 0;  // documents in valid.txt, separators inside their lines
  int64_t documents_ = 0;             // one that was cut included
  int64_t bytes_ = 0;
  Mixture* mixture_ = nullptr;
  std::vector<uint32_t> mixed_documents_;
  int64_t mixed_tokens_ = 0;
};

// Encodes `text` into `kept`, and what `split` holds out into `held_out`. Returns the number of documents
// dropped.
int64_t EncodeAll(Text& text, const char* doing, const Split& split, SplitWriter& kept, SplitWriter& held_out) {
  int64_t dropped = 0;
  text.Read(doing, [&](const std::vector<std::string_view>& documents, const Hashes& hashes) {
    std::vector<std::string_view> for_kept, for_held_out;
    for (size_t i = 0; i < hashes.size(); ++i) {
      const Split::Side side = split.SideOf(hashes[i]);
      dropped += side == Split::Side::kDropped;
      if (side == Split::Side::kTrain) for_kept.push_back(documents[i]);
      if (side == Split::Side::kValid) for_held_out.push_back(documents[i]);
    }
    kept.Add(for_kept);
    held_out.Add(for_held_out);
  });
  return dropped;
}

// What is read, and what identifies it.
struct Inputs {
  std::unique_ptr<Text> train;
  std::unique_ptr<Text> valid;         // null: hold documents out of `train`
  std::unique_ptr<Mixture> mixture;    // null: none
  std::optional<Tokenizer> tokenizer;  // none: one is trained
  std::string fingerprint;
};

void RefuseOverlap(const std::string& out, const DocumentSource& source) {
  RefuseOutputInside("--out", out, source);
  for (const std::string& path : source.paths()) {
    if (IsInside(path, out)) {
      throw UsageError(fmt::format("--out '{}' holds '{}', which is read", out, path),
                       "it would be replaced; choose another folder");
    }
  }
}

Inputs OpenInputs(const PrepareOptions& options) {
  if (options.input == "-" && options.valid == "-") {
    throw UsageError("--input - and --valid - together", "standard input can be read once");
  }
  std::unique_ptr<DocumentSource> train = OpenSource(options.input, options.source_options);
  std::unique_ptr<DocumentSource> valid = options.valid.empty() ? train->Validation() : OpenSource(options.valid);
  Inputs inputs;
  Json identity = {kDataVersion, kPreparation, options.vocab, options.tokens, train->Identity()};
  RefuseOverlap(options.out, *train);
  if (valid) {
    identity.push_back(valid->Identity());
    RefuseOverlap(options.out, *valid);
    inputs.valid = std::make_unique<Text>(std::move(valid), options.valid.empty() ? options.input : options.valid);
  }
  inputs.train = std::make_unique<Text>(std::move(train), options.input);
  if (!options.mix.source.empty()) {
    inputs.mixture = std::make_unique<Mixture>(options.mix);
    RefuseOverlap(options.out, inputs.mixture->source());
    identity.push_back({"mix, told from the stories, without validation text", inputs.mixture->Identity()});
  }
  if (options.tokenizer) {
    inputs.tokenizer = options.tokenizer;
    identity.push_back({"tokenizer", inputs.tokenizer->Hash()});
  }
  inputs.fingerprint = Sha256(ToText(identity));
  return inputs;
}

// The folder that OUT stands for, links followed. Throws UsageError for options out of range.
std::string CheckOptions(const PrepareOptions& options) {
  if (options.out.empty()) throw UsageError("data prepare needs --out DIR");
  RefuseStandardOutput("--out", options.out);
  if (options.vocab < Tokenizer::kMinVocab || options.vocab > 65536) {
    throw UsageError(fmt::format("--vocab {} is not in {}..65536", options.vocab, Tokenizer::kMinVocab));
  }
  if (options.tokens < 0) throw UsageError(fmt::format("--tokens {}: at least one is needed", options.tokens));
  return ResolvePath(options.out).string();
}

// The meta.json of OUT if it is complete and was made from the same input and options; else null.
Json FindReusable(const std::string& out, const std::string& fingerprint) {
  if (!fs::exists(out + "/meta.json")) return nullptr;
  try {
    Json meta = ReadDataMeta(out);
    if (meta.value("input_fingerprint", "") != fingerprint) return nullptr;
    const std::string hash = Tokenizer::Load(out + "/tokenizer.json").Hash();
    for (const char* split : {"train", "valid"}) TokenData(out, split).ExpectTokenizer(hash, "tokenizer.json");
    if (DataFingerprint(out) != meta.value("fingerprint", "")) {
      throw Error(fmt::format("'{}/valid.txt' is not what was prepared", out));
    }
    return meta;
  } catch (const Error& e) {
    Say(fmt::format("{}: preparing it again", e.what()));
    return nullptr;
  }
}

struct Built {
  Json meta;
  std::vector<uint32_t> mixed_in;  // numbers of training documents
};

Built Build(const PrepareOptions& options, const Inputs& inputs, const std::string& folder) {
  const Split split = inputs.valid ? Split::Without(inputs.valid->ReadHashes("reading validation text"))
                                   : Split::HoldOut(inputs.train->ReadHashes("reading"), options.input);
  const Sample sample = TakeSample(*inputs.train, split);
  if (sample.ends.empty()) {
    throw Error(fmt::format("'{}' holds no text for training that is not validation text as well", options.input));
  }
  if (!inputs.tokenizer) {
    Say(fmt::format("training a tokenizer of {} entries on {:.1f} MB", options.vocab, sample.text.size() / 1e6));
  }
  const Tokenizer tokenizer = inputs.tokenizer ? *inputs.tokenizer : Tokenizer::Train(sample.Views(), options.vocab);
  StopIfInterrupted();
  tokenizer.Save(folder + "/tokenizer.json");

  SplitWriter train(folder, "train", tokenizer, options.tokens), valid(folder, "valid", tokenizer);
  if (inputs.mixture) {
    inputs.mixture->LeaveOut([&split](std::string_view document) { return split.InValidation(Hash64(document)); });
    train.MixIn(*inputs.mixture);
  }
  const int64_t dropped = EncodeAll(*inputs.train, "encoding", split, train, valid);
  if (inputs.valid) EncodeAll(*inputs.valid, "encoding validation text", Split::All(), valid, valid);

  Json meta = {{"format", "flashlm-data"}, {"version", kDataVersion}};
  meta["source"] = options.input == "-" ? "standard input" : options.input;
  meta["validation"] = inputs.valid ? (options.valid.empty() ? "its own validation set" : options.valid)
                                    : "held out: the 1 % of the documents with the smallest hashes";
  meta.update(inputs.train->source().Describe());
  if (inputs.mixture) {
    meta["mix"] = inputs.mixture->Describe();
    meta["mix"].update(train.Mixed());
  }
  meta["tokenizer"] = {{"sha256", tokenizer.Hash()}, {"vocab_size", tokenizer.vocab_size()}};
  if (inputs.tokenizer) {
    meta["tokenizer"]["from"] = options.tokenizer_name;
  } else {
    meta["tokenizer"].update(
        {{"trained_on", sample.whole ? "all training documents" : "evenly spread training documents"},
         {"trained_on_documents", sample.ends.size()},
         {"trained_on_bytes", sample.text.size()}});
  }
  meta["train"] = train.Finish();
  meta["train"]["dropped_documents_also_in_validation"] = dropped;
  if (options.tokens > train.tokens()) {
    Say(fmt::format("note: the training text has {} tokens, fewer than --tokens {}: all are kept", train.tokens(),
                    options.tokens));
  }
  meta["valid"] = valid.Finish();
  meta["input_fingerprint"] = inputs.fingerprint;
  return {meta, train.mixed_documents()};
}

void AddDifficulty(const std::string& folder, std::span<const uint32_t> mixed_in) {
  const TokenData train(folder, "train", Verify::kHeaders);
  const Stopwatch watch;
  const auto show = [&](double done) {
    StopIfInterrupted();
    ShowStatus(fmt::format("difficulty of the stories {:3.0f} %, {} left", 100 * done,
                           FormatDuration(watch.Seconds() * (1 - done) / std::max(done, 0.01))));
  };
  WriteDifficulty(folder, train, ComputeDifficulty(train, show, mixed_in));
}

void SaySummary(const Json& meta, const std::string& out) {
  const auto line = [&](const char* split) {
    const Json& part = meta.at(split);
    const auto bytes = part.at("bytes").get<double>(), tokens = part.at("tokens").get<double>();
    Say(fmt::format("{}: {} documents, {:.1f} MB, {} tokens ({:.2f} bytes each)", split,
                    part.at("documents").get<int64_t>(), bytes / 1e6, FormatCount(tokens), bytes / tokens));
  };
  line("train");
  if (meta.contains("mix")) Say(DescribeMix(meta.at("mix")));
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
  auto [meta, mixed_in] = Build(options, inputs, folder.work());
  meta["fingerprint"] = DataFingerprint(folder.work(), meta);
  WriteFileAtomic(folder.work() + "/meta.json", ToText(meta, 2) + "\n");
  AddDifficulty(folder.work(), mixed_in);
  StopIfInterrupted();
  folder.Publish();
  SaySummary(meta, out);
  return meta;
}

}  // namespace flashlm
