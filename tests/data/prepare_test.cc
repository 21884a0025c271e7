#include "data/prepare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "data/difficulty.h"
#include "data/documents.h"
#include "data/inspect.h"
#include "data/shards.h"
#include "data/sources.h"
#include "probes/probes.h"
#include "stories/story_writer.h"
#include "tests/data/scratch.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

std::string Stories(int count, uint64_t seed = 1) {
  std::string text;
  for (int i = 0; i < count; ++i) text += StoryWriter(seed).Write(static_cast<uint64_t>(i)).text + "\n<|endoftext|>\n";
  return text;
}

std::vector<std::string> Decoded(const std::string& folder, const std::string& split) {
  const TokenData data(folder, split);
  const Tokenizer tokenizer = Tokenizer::Load(folder + "/tokenizer.json");
  data.ExpectTokenizer(tokenizer.Hash(), "tokenizer.json");
  std::vector<std::string> documents;
  std::vector<uint16_t> ids;
  for (int64_t i = 0; i < data.size(); ++i) {
    if (data[i] != Tokenizer::kEos) {
      ids.push_back(data[i]);
      continue;
    }
    documents.push_back(tokenizer.Decode(ids));
    ids.clear();
  }
  EXPECT_TRUE(ids.empty()) << "the stream must end with <eos>";
  return documents;
}

std::vector<std::string> DocumentsOf(const std::string& text) {
  std::vector<std::string> documents;
  ForEachDocument(text, [&](std::string_view document) { documents.emplace_back(document); });
  return documents;
}

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    options_.input = folder_.Write("in.txt", Stories(250));
    options_.out = folder_ / "out";
    options_.vocab = 600;
  }
  void ExpectNothingMade() {
    EXPECT_FALSE(fs::exists(options_.out));
    EXPECT_FALSE(fs::exists(options_.out + ".tmp"));
  }

  ScratchFolder folder_;
  PrepareOptions options_;
};

TEST_F(PrepareTest, HoldsOutOnePercentAndKeepsTheOrder) {
  const Json meta = PrepareData(options_);
  const std::vector<std::string> all = DocumentsOf(ReadFile(options_.input));
  const std::vector<std::string> train = Decoded(options_.out, "train"), valid = Decoded(options_.out, "valid");
  EXPECT_EQ(valid.size(), 2u);
  EXPECT_EQ(train.size() + valid.size(), all.size());
  EXPECT_EQ(DocumentsOf(ReadFile(options_.out + "/valid.txt")), valid);
  const std::set<std::string> held_out(valid.begin(), valid.end());
  std::vector<std::string> rest;
  for (const std::string& document : all) {
    if (!held_out.contains(document)) rest.push_back(document);
  }
  EXPECT_EQ(train, rest);
  EXPECT_EQ(meta["train"]["documents"], train.size());
  EXPECT_EQ(meta["tokenizer"]["vocab_size"], 600);
  EXPECT_EQ(meta["tokenizer"]["trained_on_documents"], train.size());
  EXPECT_EQ(meta["tokenizer"]["trained_on_bytes"], meta["train"]["bytes"]);
  EXPECT_FALSE(fs::exists(options_.out + ".tmp"));
}

TEST_F(PrepareTest, DropsTrainingDocumentsThatAreInTheValidationText) {
  const std::string fresh = "A story that is nowhere else.";
  options_.valid = folder_.Write("valid.txt", fresh + "\n<|endoftext|>\n" + StoryWriter(1).Write(7).text);
  const Json meta = PrepareData(options_);
  EXPECT_EQ(meta["train"]["dropped_documents_also_in_validation"], 1);
  EXPECT_EQ(Decoded(options_.out, "train").size(), 249u);
  EXPECT_EQ(Decoded(options_.out, "valid"), (std::vector<std::string>{fresh, StoryWriter(1).Write(7).text}));
  options_.valid = options_.input;
  options_.out = folder_ / "out2";
  ExpectError([&] { PrepareData(options_); }, "no text for training");
  ExpectNothingMade();
}

TEST_F(PrepareTest, TheTokenizerSeesNoValidationText) {
  options_.valid = folder_.Write("valid.txt", Stories(100, 99));
  PrepareData(options_);
  const std::string with = ReadFile(options_.out + "/tokenizer.json");
  options_.valid = folder_.Write("other.txt", "zzyzx zzyzx zzyzx zzyzx zzyzx zzyzx zzyzx zzyzx zzyzx zzyzx");
  PrepareData(options_);
  EXPECT_EQ(with, ReadFile(options_.out + "/tokenizer.json"));
}

TEST_F(PrepareTest, ReusesWhatIsThereAndRepairsDamage) {
  PrepareData(options_);
  const auto made = fs::last_write_time(options_.out + "/meta.json");
  PrepareData(options_);
  EXPECT_EQ(fs::last_write_time(options_.out + "/meta.json"), made);
  std::string shard = ReadFile(options_.out + "/train_00000.bin");
  shard[500] ^= 1;
  WriteFileAtomic(options_.out + "/train_00000.bin", shard);
  PrepareData(options_);
  EXPECT_NO_THROW(TokenData(options_.out, "train"));
  options_.vocab = 500;
  EXPECT_EQ(PrepareData(options_)["tokenizer"]["vocab_size"], 500);
  folder_.Write("in.txt", Stories(120));
  EXPECT_LT(PrepareData(options_)["train"]["documents"], 120);
}

TEST_F(PrepareTest, TheFingerprintIsOfTheDataAlone) {
  const std::string made = PrepareData(options_).at("fingerprint").get<std::string>();
  EXPECT_EQ(DataFingerprint(options_.out), made);
  const std::string moved = folder_ / "moved";
  fs::rename(options_.out, moved);
  EXPECT_EQ(DataFingerprint(moved), made);
  Json old = ReadDataMeta(moved);  // data sets from before meta.json had it
  old.erase("fingerprint");
  WriteFileAtomic(moved + "/meta.json", old.dump());
  EXPECT_EQ(DataFingerprint(moved), made);
  options_.input = folder_.Write("copy.txt", Stories(250));
  EXPECT_EQ(PrepareData(options_)["fingerprint"], made);
  // The same training text and tokenizer, other validation text.
  options_.valid = folder_.Write("valid.txt", "zzyzx");
  const Json one = PrepareData(options_);
  folder_.Write("valid.txt", "zzyzy");
  const Json other = PrepareData(options_);
  EXPECT_EQ(one["tokenizer"], other["tokenizer"]);
  EXPECT_EQ(one["train"], other["train"]);
  EXPECT_NE(one["fingerprint"], other["fingerprint"]);
  options_.input = folder_.Write("fewer.txt", Stories(249));
  EXPECT_NE(PrepareData(options_)["fingerprint"], other["fingerprint"]);
  // What is on disk counts, not what meta.json says of it.
  const std::string valid = ReadFile(moved + "/valid.txt");
  std::ofstream(moved + "/valid.txt", std::ios::binary) << "another";
  EXPECT_NE(DataFingerprint(moved), made);
  std::ofstream(moved + "/valid.txt", std::ios::binary) << valid;
  EXPECT_EQ(DataFingerprint(moved), made);
  fs::remove(moved + "/train_00000.bin");
  ExpectError([&] { DataFingerprint(moved); }, "train_00000.bin");
}

TEST_F(PrepareTest, SyntheticSplitsAreDisjointAndStateTheirEntropy) {
  options_.input = "synthetic";
  options_.source_options = {{"bytes", 400'000}, {"valid_bytes", 30'000}};
  const Json meta = PrepareData(options_);
  const std::vector<std::string> train = Decoded(options_.out, "train"), valid = Decoded(options_.out, "valid");
  EXPECT_EQ(train[5], StoryWriter(0).Write(5).text);
  const std::set<std::string> seen(train.begin(), train.end());
  EXPECT_EQ(seen.size(), train.size());
  for (const std::string& story : valid) EXPECT_FALSE(seen.contains(story));
  EXPECT_GE(meta["train"]["bytes"], 400'000);
  EXPECT_LT(meta["train"]["bytes"], 402'000);
  EXPECT_GE(meta["valid"]["bytes"], 30'000);
  const auto bound = meta["entropy_bound_bits_per_byte"].get<double>();
  EXPECT_GT(bound, 0.25);
  EXPECT_LT(bound, 0.60);
}

TEST_F(PrepareTest, BadInputLeavesNothingBehind) {
  const auto refuse = [&](std::string_view content, const std::string& part) {
    options_.input = folder_.Write("bad.txt", content);
    ExpectError([&] { PrepareData(options_); }, part);
    ExpectNothingMade();
  };
  refuse("", "is empty");
  refuse(" \n<|endoftext|>\n \n", "holds no text");
  refuse(std::string_view("text\0text", 9), "control byte 0x00 at byte 4");
  refuse("one\n<|endoftext|>\ncaf\xe9", "invalid UTF-8 byte 0xe9 at byte 21");
  refuse("only one short document", "is a single document");
  options_.input = folder_ / "missing.txt";
  ExpectError([&] { PrepareData(options_); }, "missing.txt");
  ExpectNothingMade();
}

TEST_F(PrepareTest, BadOptionsAreUsageErrors) {
  options_.vocab = 100;
  EXPECT_THROW(PrepareData(options_), UsageError);
  options_.vocab = 70'000;
  EXPECT_THROW(PrepareData(options_), UsageError);
  options_.vocab = 600;
  options_.out = "";
  EXPECT_THROW(PrepareData(options_), UsageError);
  folder_.Write("texts/a.txt", Stories(20));
  options_.input = folder_ / "texts";
  options_.out = folder_ / "texts/prepared";
  ExpectError([&] { PrepareData(options_); }, "lies inside the folder");
  options_.input = "-";
  options_.valid = "-";
  options_.out = folder_ / "out";
  ExpectError([&] { PrepareData(options_); }, "can be read once");
  options_.input = "synthetic";
  options_.valid = "";
  options_.source_options = {{"sead", 1}};
  ExpectError([&] { PrepareData(options_); }, "did you mean 'seed'");
  options_.input = folder_ / "texts";
  ExpectError([&] { PrepareData(options_); }, "text files have no options");
}

// Folders that were made for a data set that did not come about go, others stay.
TEST_F(PrepareTest, AFailureLeavesNoNewFolders) {
  fs::create_directory(folder_ / "there");
  options_.input = folder_.Write("one.txt", "A single document cannot be split.\n");
  for (const char* out : {"there/a/b/out", "there/out"}) {
    options_.out = folder_ / out;
    ExpectError([&] { PrepareData(options_); }, "single document");
    EXPECT_TRUE(fs::is_empty(folder_ / "there")) << out;
  }
  fs::create_directory(folder_ / "there/a");
  folder_.Write("there/a/mine", "x");
  options_.out = folder_ / "there/a/b/out";
  ExpectError([&] { PrepareData(options_); }, "single document");
  EXPECT_TRUE(fs::exists(folder_ / "there/a/mine"));
  EXPECT_FALSE(fs::exists(folder_ / "there/a/b"));
  options_.input = folder_.Write("many.txt", Stories(20));
  PrepareData(options_);
  EXPECT_TRUE(fs::exists(folder_ / "there/a/b/out/meta.json"));
}

TEST_F(PrepareTest, OutMayLieBesideTheInputHoweverItIsWritten) {
  folder_.Write("my-text/a.txt", Stories(20));
  folder_.Write("valid/v.txt", Stories(5, 7));
  const fs::path before = fs::current_path();
  fs::current_path(folder_ / "");
  options_.input = "my-text";
  for (const char* out : {"new/my-text", "my-text2", "my-text/../beside"}) {
    options_.out = out;
    EXPECT_NO_THROW(PrepareData(options_)) << out;
  }
  options_.out = "other/my-text";
  options_.valid = "valid";
  EXPECT_NO_THROW(PrepareData(options_));
  fs::create_directory_symlink("my-text", "link");
  for (const std::string& out :
       std::vector<std::string>{"my-text/..x", "my-text/new/deeper", "my-text", "link/x", "valid/x", "valid"}) {
    options_.out = out;
    ExpectError([&] { PrepareData(options_); }, "--out '" + out + "' lies inside the folder");
  }
  options_.input = "synthetic";
  options_.out = "valid/x";
  ExpectError([&] { PrepareData(options_); }, "lies inside the folder 'valid'");
  fs::current_path(before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "my-text"), {}), 1);
}

TEST_F(PrepareTest, ADataSetIsNotMadeFromItsOwnFiles) {
  PrepareData(options_);
  const std::string valid = ReadFile(options_.out + "/valid.txt");
  options_.input = options_.out + "/valid.txt";
  options_.vocab = 500;
  ExpectError([&] { PrepareData(options_); }, "would be replaced");
  options_.input = folder_ / "in.txt";
  options_.valid = folder_ / "link.txt";
  fs::create_symlink("out/valid.txt", options_.valid);
  ExpectError([&] { PrepareData(options_); }, "would be replaced");
  EXPECT_EQ(ReadFile(options_.out + "/valid.txt"), valid);
}

TEST_F(PrepareTest, OutMayBeALink) {
  MakeFolder(folder_ / "elsewhere");
  fs::create_directory_symlink("elsewhere/set", options_.out);  // to nothing, at first
  for (const int vocab : {400, 500}) {
    options_.vocab = vocab;
    PrepareData(options_);
    EXPECT_TRUE(fs::is_symlink(options_.out));
    EXPECT_EQ(ReadDataMeta(folder_ / "elsewhere/set")["tokenizer"]["vocab_size"], vocab);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "elsewhere"), {}), 1);
    EXPECT_FALSE(fs::exists(options_.out + ".tmp"));
  }
}

// A source whose documents are others after `stable` readings.
class FickleSource final : public DocumentSource {
 public:
  explicit FickleSource(int stable) : left_(stable) {}
  bool Next(DocumentBatch& batch) override {
    batch = {};
    if (done_) return false;
    const auto texts = std::make_shared<std::vector<std::string>>();
    for (int i = 0; i < (left_ < 0 ? 150 : 200); ++i) texts->push_back("story " + std::to_string(i));
    batch.documents.assign(texts->begin(), texts->end());
    batch.owners.push_back(texts);
    return done_ = true;
  }
  void Rewind() override { done_ = false, --left_; }
  int64_t bytes_read() const override { return 0; }
  int64_t total_bytes() const override { return 1; }
  Json Identity() const override { return "fickle"; }

 private:
  int left_;
  bool done_ = false;
};

TEST_F(PrepareTest, AnInputThatChangesBetweenReadingsIsRefused) {
  static int stable;
  RegisterSource({.name = "fickle",
                  .about = "",
                  .ending = "",
                  .open = [](const std::string&, const Json&) { return std::make_unique<FickleSource>(stable); },
                  .help = [] { return ""; }});
  options_.input = "fickle";
  for (stable = 1; stable <= 2; ++stable) {
    ExpectError([&] { PrepareData(options_); }, "'fickle' changed while it was being read");
    ExpectNothingMade();
  }
  EXPECT_NO_THROW(PrepareData(options_));
}

TEST_F(PrepareTest, KeepsTheFirstTokensWhereAsked) {
  PrepareData(options_);
  const std::string whole = options_.out;
  const TokenData all(whole, "train");
  const Json whole_meta = all.meta();
  for (const int64_t tokens : {1000, 1001, 1002, 1003}) {
    options_.tokens = tokens;
    options_.out = folder_ / "first";
    const Json meta = PrepareData(options_);
    const TokenData first(options_.out, "train");
    ASSERT_EQ(first.size(), tokens);
    int64_t ends = 0;
    for (int64_t i = 0; i < tokens; ++i) {
      ASSERT_EQ(first[i], all[i]);
      ends += first[i] == Tokenizer::kEos;
    }
    EXPECT_EQ(meta["train"]["subset_tokens"], tokens);
    EXPECT_EQ(meta["train"]["documents"], ends + (first[tokens - 1] != Tokenizer::kEos));
    EXPECT_EQ(meta["tokenizer"], whole_meta["tokenizer"]);
    EXPECT_EQ(meta["valid"], whole_meta["valid"]);
    EXPECT_EQ(ReadFile(options_.out + "/valid.txt"), ReadFile(whole + "/valid.txt"));
    std::vector<uint16_t> ids;
    for (int64_t i = 0; i < tokens; ++i) ids.push_back(first[i]);
    EXPECT_EQ(meta["train"]["bytes"], Tokenizer::Load(options_.out + "/tokenizer.json").Decode(ids).size());
  }
  options_.tokens = all.size() + 1;
  Json more = PrepareData(options_);
  EXPECT_FALSE(more["train"].contains("subset_tokens"));
  EXPECT_EQ(more["train"], whole_meta["train"]);
  options_.tokens = -1;
  EXPECT_THROW(PrepareData(options_), UsageError);
}

TEST_F(PrepareTest, NamesThatAreNoUtf8AreCarried) {
  options_.input = folder_.Write("in\xff.txt", Stories(100));
  options_.valid = folder_.Write("valid\xff.txt", Stories(10, 5));
  options_.out = folder_ / "out\xff";
  const Json made = PrepareData(options_);
  EXPECT_EQ(made["fingerprint"], DataFingerprint(options_.out));
  const auto time = fs::last_write_time(options_.out + "/meta.json");
  PrepareData(options_);  // finds it again
  EXPECT_EQ(fs::last_write_time(options_.out + "/meta.json"), time);
}

TEST_F(PrepareTest, ValidationTextThatMentionsTheSeparatorIsReadAsItWasPrepared) {
  // On lines of their own often enough in the whole, but not in what is held out.
  std::string story = "What is <|endoftext|> for? It";
  for (int i = 0; i < 30; ++i) story += " says <|endoftext|> again";
  options_.valid =
      folder_.Write("valid.txt", story + "\n<|endoftext|>\nTom.\n<|endoftext|>\nAnna.\n<|endoftext|>\n<|endoftext|>\n");
  PrepareData(options_);
  EXPECT_EQ(Decoded(options_.out, "valid").size(), 3u);
  EXPECT_EQ(DocumentsOf(ReadFile(options_.out + "/valid.txt")), Decoded(options_.out, "valid"));
}

// Documents of another source stand evenly among the training documents, and nowhere else.
TEST_F(PrepareTest, MixesAnotherSourceIntoTraining) {
  const Json plain = PrepareData(options_);
  const std::vector<std::string> own = Decoded(options_.out, "train");
  const std::string valid = ReadFile(options_.out + "/valid.txt");
  options_.mix = ParseMix("probes=0.1");
  options_.out = folder_ / "mixed";
  const Json meta = PrepareData(options_);
  EXPECT_EQ(meta["tokenizer"], plain["tokenizer"]);
  EXPECT_EQ(meta["valid"], plain["valid"]);
  EXPECT_EQ(ReadFile(options_.out + "/valid.txt"), valid);
  EXPECT_NE(meta["fingerprint"], plain["fingerprint"]);

  const Tokenizer tokenizer = Tokenizer::Load(options_.out + "/tokenizer.json");
  size_t next_own = 0;
  uint64_t next_probe = 0;
  double own_tokens = 0, probe_tokens = 0, bytes = 0;
  const std::vector<float> difficulty = ReadDifficulty(options_.out, TokenData(options_.out, "train"));
  for (const std::string& document : Decoded(options_.out, "train")) {
    const size_t number = next_own + next_probe;
    const auto tokens = static_cast<double>(tokenizer.Encode(document).size() + 1);
    bytes += static_cast<double>(document.size());
    if (next_own < own.size() && document == own[next_own]) {
      ++next_own;
      own_tokens += tokens;
      ASSERT_GT(difficulty[number], 0);
    } else {
      ASSERT_EQ(document, ProbeDocument(0, next_probe++));
      probe_tokens += tokens;
      ASSERT_EQ(difficulty[number], kMixedIn);
    }
    // Everywhere, but for the documents at the end.
    if (next_own <= 50) continue;
    ASSERT_NEAR(probe_tokens / (own_tokens + probe_tokens), 0.1, 0.01);
  }
  EXPECT_EQ(next_own, own.size());
  EXPECT_NEAR(probe_tokens / (own_tokens + probe_tokens), 0.1, 0.002);
  EXPECT_EQ(meta["mix"]["source"], "probes");
  EXPECT_EQ(meta["mix"]["share"], 0.1);
  EXPECT_EQ(meta["mix"]["documents"], next_probe);
  EXPECT_EQ(meta["mix"]["tokens"], probe_tokens);
  EXPECT_EQ(meta["train"]["documents"], own.size() + next_probe);
  EXPECT_EQ(meta["train"]["tokens"], own_tokens + probe_tokens);
  EXPECT_EQ(meta["train"]["bytes"], bytes);
  EXPECT_EQ(InspectData(options_.out)["mix"], meta["mix"]);

  const auto time = fs::last_write_time(options_.out + "/meta.json");
  PrepareData(options_);  // finds it again
  EXPECT_EQ(fs::last_write_time(options_.out + "/meta.json"), time);
  options_.tokens = 5000;
  const Json first = PrepareData(options_);
  EXPECT_EQ(first["train"]["tokens"], 5000);
  EXPECT_NEAR(first["mix"]["share_of_tokens"].get<double>(), 0.1, 0.02);
}

TEST_F(PrepareTest, AShortSourceIsMixedInAgainAndAgain) {
  options_.mix = ParseMix(folder_.Write("two.txt", "One.\n<|endoftext|>\nTwo.") + "=0.5");
  PrepareData(options_);
  int ones = 0, twos = 0;
  for (const std::string& document : Decoded(options_.out, "train")) {
    ones += document == "One.";
    twos += document == "Two.";
  }
  EXPECT_GT(ones, 1000);
  EXPECT_NEAR(ones, twos, 1);
}

// Whatever the validation text is: named, or held out of what is prepared.
TEST_F(PrepareTest, WhatIsMixedInIsNoValidationTextEither) {
  const std::string held_out = ReadFile(folder_.Write("valid.txt", "Held out, one.\n<|endoftext|>\nHeld out, two."));
  options_.valid = folder_ / "valid.txt";
  options_.mix = ParseMix(folder_.Write("mixed.txt", held_out + "\n<|endoftext|>\nNew.") + "=0.3");
  Json meta = PrepareData(options_);
  std::vector<std::string> train = Decoded(options_.out, "train");
  EXPECT_EQ(std::count(train.begin(), train.end(), "Held out, one."), 0);
  EXPECT_GT(std::count(train.begin(), train.end(), "New."), 100);
  EXPECT_GT(meta["mix"]["dropped_documents_also_in_validation"], 100);
  options_.mix = ParseMix(options_.valid + "=0.3");
  ExpectError([&] { PrepareData(options_); }, "not validation text as well");

  options_.valid = "";
  options_.mix = ParseMix(options_.input + "=0.5");
  meta = PrepareData(options_);
  train = Decoded(options_.out, "train");
  const std::vector<std::string> valid = Decoded(options_.out, "valid");
  for (const std::string& document : valid) EXPECT_EQ(std::count(train.begin(), train.end(), document), 0) << document;
  EXPECT_GE(meta["mix"]["dropped_documents_also_in_validation"], valid.size());
}

TEST_F(PrepareTest, WrongMixturesAreRefused) {
  for (const char* wrong : {"probes", "probes=", "=0.1", "probes=0", "probes=1", "probes=-1", "probes=0.1x",
                            "probes=nan", "probes=0.99999"}) {
    ExpectError([&] { ParseMix(wrong); }, std::string("--mix '") + wrong);
  }
  options_.mix = {folder_ / "missing.txt", 0.1};
  ExpectError([&] { PrepareData(options_); }, "missing.txt");
  options_.mix = {folder_.Write("blank.txt", " \n<|endoftext|>\n"), 0.1};
  ExpectError([&] { PrepareData(options_); }, "holds no text");
  options_.mix = {folder_.Write("out/a.txt", "One."), 0.1};
  ExpectError([&] { PrepareData(options_); }, "would be replaced");
}

TEST_F(PrepareTest, InspectionTellsWhatIsThere) {
  options_.tokens = 1000;
  const Json meta = PrepareData(options_);
  const Json report = InspectData(options_.out);
  EXPECT_EQ(report["train"]["tokens"], 1000);
  EXPECT_EQ(report["train"]["subset_tokens"], 1000);
  EXPECT_EQ(report["valid"]["documents"], meta["valid"]["documents"]);
  EXPECT_EQ(report["tokens"], 1000 + meta["valid"]["tokens"].get<int64_t>());
  EXPECT_EQ(report["vocab_size"], 600);
  EXPECT_EQ(report["fingerprint"], meta["fingerprint"]);
  EXPECT_NE(DescribeData(report).find("train: "), std::string::npos);
  std::ofstream(options_.out + "/valid.txt") << "\n";
  ExpectError([&] { InspectData(options_.out); }, "valid.txt' holds no text");
}

TEST_F(PrepareTest, DifficultyLiesBesideTheShardsAndIsComputedWhereItDoesNot) {
  PrepareData(options_);
  const TokenData train(options_.out, "train");
  const std::vector<float> difficulty = ReadDifficulty(options_.out, train);
  EXPECT_TRUE(fs::exists(options_.out + "/train_difficulty.bin"));
  EXPECT_EQ(difficulty, ComputeDifficulty(train));
  const Json stored = InspectData(options_.out);
  fs::remove(options_.out + "/train_difficulty.bin");  // data sets from before it was made
  Json computed = InspectData(options_.out);
  EXPECT_EQ(computed["difficulty"]["stored"], false);
  computed["difficulty"]["stored"] = true;
  EXPECT_EQ(computed, stored);

  const Json& report = stored["difficulty"];
  const auto documents = Decoded(options_.out, "train");
  int64_t counted = 0;
  for (const Json& bin : report["histogram"]) {
    EXPECT_LE(bin["from"], bin["to"]);
    counted += bin["documents"].get<int64_t>();
  }
  EXPECT_EQ(counted, std::ssize(documents));
  EXPECT_EQ(report["percentiles"]["0"], *std::min_element(difficulty.begin(), difficulty.end()));
  EXPECT_EQ(report["percentiles"]["100"], *std::max_element(difficulty.begin(), difficulty.end()));
  for (const auto& [end, extreme] : {std::pair{"easiest", "0"}, {"hardest", "100"}}) {
    ASSERT_EQ(report[end].size(), 5u);
    EXPECT_EQ(report[end][0]["difficulty"], report["percentiles"][extreme]);
    for (const Json& shown : report[end]) {
      const auto document = shown["document"].get<size_t>();
      EXPECT_EQ(shown["difficulty"].get<float>(), difficulty[document]);
      auto text = shown["text"].get<std::string>();
      if (text.ends_with("...")) text.resize(text.size() - 3);
      EXPECT_TRUE(documents[document].starts_with(text)) << text;
    }
  }
  EXPECT_NE(DescribeData(stored).find("hardest:"), std::string::npos);
  options_.vocab = 500;  // replaces the folder with what lies in it
  EXPECT_NO_THROW(PrepareData(options_));
}

TEST_F(PrepareTest, ForeignFoldersAndLocksAreRespected) {
  folder_.Write("out/thesis.doc", "precious");
  ExpectError([&] { PrepareData(options_); }, "'thesis.doc', which is not part of a data set");
  EXPECT_EQ(ReadFile(folder_ / "out/thesis.doc"), "precious");
  fs::remove_all(options_.out);
  options_.out = folder_.Write("file", "x");
  ExpectError([&] { PrepareData(options_); }, "is a file");
  options_.out = folder_ / "busy";
  MakeFolder(options_.out);
  const FolderLock lock(options_.out);
  ExpectError([&] { PrepareData(options_); }, "in use by another process");
}

TEST_F(PrepareTest, LeftoversOfAKilledRunAreCleared) {
  folder_.Write("out.tmp/train_00099.bin", "half");
  PrepareData(options_);
  EXPECT_FALSE(fs::exists(options_.out + "/train_00099.bin"));
  EXPECT_FALSE(fs::exists(options_.out + ".tmp"));
}

TEST_F(PrepareTest, ABookWithoutSeparatorsIsCutAndHeldOut) {
  std::string book;
  for (int i = 0; i < 800; ++i) book += StoryWriter(4).Write(static_cast<uint64_t>(i)).text + "\n\n";
  options_.input = folder_.Write("book.txt", book);
  const Json meta = PrepareData(options_);
  EXPECT_GT(meta["train"]["documents"], 40);
  EXPECT_GE(meta["valid"]["documents"], 1);
}

}  // namespace
}  // namespace flashlm
