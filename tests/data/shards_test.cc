#include "data/shards.h"

#include <gtest/gtest.h>

#include <numeric>

#include "data/first_documents.h"
#include "tests/data/scratch.h"

namespace flashlm {
namespace {

const std::string kHash(64, 'a');

// A set of 1,000 tokens in shards of 300: train_00000.bin ... train_00003.bin.
class ShardsTest : public testing::Test {
 protected:
  ShardsTest() {
    tokens_.resize(1000);
    std::iota(tokens_.begin(), tokens_.end(), uint16_t{0});
    path_ = folder_ / "set";
    MakeFolder(path_);
    ShardWriter writer(path_, "train", 1000, kHash, 300);
    for (size_t i = 0; i < tokens_.size(); i += 7) {
      writer.Append(std::span(tokens_).subspan(i, std::min<size_t>(7, tokens_.size() - i)));
    }
    meta_ = {{"format", "flashlm-data"}, {"version", kDataVersion}};
    meta_["tokenizer"] = {{"sha256", kHash}, {"vocab_size", 1000}};
    meta_["train"]["shards"] = writer.Finish();
    meta_["train"]["tokens"] = writer.tokens();
    WriteMeta();
  }

  void WriteMeta() { WriteFileAtomic(path_ + "/meta.json", meta_.dump()); }
  void Edit(const std::string& shard, const std::function<void(std::string&)>& change) {
    std::string content = ReadFile(path_ + "/" + shard);
    change(content);
    std::ofstream(path_ + "/" + shard, std::ios::binary) << content;
  }
  void ExpectRefused(const std::string& part) {
    ExpectError([&] { TokenData(path_, "train"); }, part);
  }

  ScratchFolder folder_;
  std::string path_;
  std::vector<uint16_t> tokens_;
  Json meta_;
};

TEST_F(ShardsTest, ReadBackAsOneRange) {
  const TokenData data(path_, "train");
  ASSERT_EQ(data.size(), 1000);
  EXPECT_EQ(data.vocab_size(), 1000);
  EXPECT_EQ(data.meta()["train"]["shards"].size(), 4u);
  EXPECT_EQ(data[0], 0);
  EXPECT_EQ(data[999], 999);
  std::vector<int32_t> copy(700);
  data.Copy(250, 700, copy.data());  // three borders
  for (int i = 0; i < 700; ++i) ASSERT_EQ(copy[i], 250 + i);
  EXPECT_ANY_THROW(data.Copy(990, 11, copy.data()));
  EXPECT_ANY_THROW(data[1000]);
  EXPECT_EQ(meta_["train"]["shards"][0]["sha256"], Sha256OfFile(path_ + "/train_00000.bin"));
}

// As docs/formats.md has it: sets that lie on disk stay readable until kDataVersion changes.
TEST_F(ShardsTest, AreLaidOutAsDocumented) {
  const std::string bytes = ReadFile(path_ + "/train_00003.bin");  // the last 100 tokens
  ASSERT_EQ(bytes.size(), 64u + 2 * 100);
  const auto number = [&](size_t at, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  EXPECT_EQ(bytes.substr(0, 8), "FLMTOKEN");
  EXPECT_EQ(number(8, 4), uint64_t{kDataVersion});
  EXPECT_EQ(number(12, 4), 1000u);                  // the vocabulary
  EXPECT_EQ(number(16, 8), 100u);                   // tokens
  EXPECT_EQ(number(24, 8), 0x86b8b5e49bd14b69ull);  // of ids and header, computed apart from this program
  EXPECT_EQ(bytes.substr(32, 32), std::string(32, '\xaa'));
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(number(64 + 2 * i, 2), 900 + i);
}

TEST_F(ShardsTest, EveryFlippedBitIsFound) {
  const std::string good = ReadFile(path_ + "/train_00001.bin");
  for (size_t i = 0; i < good.size(); i += 5) {
    Edit("train_00001.bin", [&](std::string& bytes) { bytes = good, bytes[i] ^= 1 << (i % 8); });
    EXPECT_THROW(TokenData(path_, "train"), Error) << i;
  }
  Edit("train_00001.bin", [&](std::string& bytes) { bytes = good, bytes[200] ^= 4; });
  ExpectRefused("'" + path_ + "/train_00001.bin' is damaged: its checksum does not fit");
  EXPECT_NO_THROW(TokenData(path_, "train", Verify::kHeaders));
}

TEST_F(ShardsTest, TruncatedForeignAndMissingShardsAreNamed) {
  Edit("train_00002.bin", [](std::string& bytes) { bytes.resize(bytes.size() - 2); });
  ExpectRefused("train_00002.bin' holds 299 tokens, but should hold 300");
  Edit("train_00002.bin", [](std::string& bytes) { bytes.resize(10); });
  ExpectRefused("train_00002.bin' is not a token shard");
  Edit("train_00002.bin", [](std::string& bytes) { bytes = std::string(1000, 'x'); });
  ExpectRefused("is not a token shard");
  std::filesystem::remove(path_ + "/train_00002.bin");
  ExpectRefused("train_00002.bin");
}

TEST_F(ShardsTest, AShardThatShrinksWhileInUseIsAnError) {
  const TokenData data(path_, "train");
  std::vector<int32_t> copy(100);
  data.Copy(300, 100, copy.data());
  std::filesystem::resize_file(path_ + "/train_00001.bin", 64 + 100);
  EXPECT_EQ(data[349], 349);
  ExpectError([&] { data[350]; }, "train_00001.bin' became shorter");
  ExpectError([&] { data.Copy(300, 100, copy.data()); }, "train_00001.bin' became shorter");
  EXPECT_NO_THROW(data.Copy(600, 100, copy.data()));
}

TEST_F(ShardsTest, OtherVersionsAndTokenizersAreRefused) {
  Edit("train_00000.bin", [](std::string& bytes) { bytes[8] = 9; });
  ExpectRefused("format version 9");
  Edit("train_00000.bin", [](std::string& bytes) { bytes[8] = kDataVersion; });
  EXPECT_NO_THROW(TokenData(path_, "train"));
  EXPECT_NO_THROW(TokenData(path_, "train").ExpectTokenizer(kHash, "the model"));
  ExpectError([&] { TokenData(path_, "train").ExpectTokenizer("other", "the model"); },
              "another tokenizer than the model");
  meta_["tokenizer"]["sha256"] = std::string(64, 'b');
  WriteMeta();
  ExpectRefused("another tokenizer than meta.json says");
}

TEST_F(ShardsTest, BadMetaIsExplained) {
  ExpectError([&] { TokenData(folder_ / "nothing", "train"); }, "has no meta.json");
  ExpectError([&] { TokenData(path_, "valid"); }, "lacks something about 'valid'");
  meta_["train"]["tokens"] = 1001;
  WriteMeta();
  ExpectRefused("hold 1000 tokens, but meta.json says 1001");
  meta_["version"] = 77;
  WriteMeta();
  ExpectRefused("format version 77");
  WriteFileAtomic(path_ + "/meta.json", "{\"format\": \"something\"}");
  ExpectRefused("does not describe a FlashLM data set");
  WriteFileAtomic(path_ + "/meta.json", "{\"format\": ");
  ExpectRefused("meta.json");
}

TEST(Shards, ManyTokensAreReadAtOnceAcrossShards) {
  const ScratchFolder folder;
  std::vector<uint16_t> tokens(700'000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i * 40503u >> 7);
  ShardWriter writer(folder / "", "train", 65536, kHash, 600'000);  // more than is buffered, one border
  writer.Append(tokens);
  const Json shards = writer.Finish();
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_EQ(shards[0]["tokens"], 600'000);
  EXPECT_EQ(shards[1]["tokens"], 100'000);
  Json meta = {{"format", "flashlm-data"}, {"version", kDataVersion}};
  meta["tokenizer"] = {{"sha256", kHash}, {"vocab_size", 65536}};
  meta["train"] = {{"shards", shards}, {"tokens", tokens.size()}};
  WriteFileAtomic(folder / "meta.json", meta.dump());
  const TokenData data(folder / "", "train", Verify::kChecksums);
  std::vector<int32_t> copy(tokens.size());
  data.Copy(0, std::ssize(copy), copy.data());
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), copy.begin()));
  data.Copy(599'999, 2, copy.data());
  EXPECT_EQ(copy[0], tokens[599'999]);
  EXPECT_EQ(copy[1], tokens[600'000]);
  std::vector<int64_t> expected;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == 3) expected.push_back(static_cast<int64_t>(i));
  }
  EXPECT_EQ(data.PositionsOf(3), expected);
  EXPECT_LT(expected.front(), 600'000);
  EXPECT_GT(expected.back(), 600'000);
}

TEST(Shards, TheFirstDocumentsAreWhole) {
  const TokenData data = TokenData::FromTokens({10, 11, 3, 20, 3, 30, 31}, 40);
  using Ids = std::vector<uint16_t>;
  EXPECT_EQ(FirstDocuments(data, 4), (Ids{10, 11, 3}));
  EXPECT_EQ(FirstDocuments(data, 5), (Ids{10, 11, 3, 20, 3}));
  EXPECT_EQ(FirstDocuments(data, 2), Ids{10});
  EXPECT_EQ(FirstDocuments(data, 100), (Ids{10, 11, 3, 20, 3, 30, 31}));
}

TEST(Shards, AFullDiskIsReported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const ScratchFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "train_00000.bin");
  ExpectError(
      [&] {
        ShardWriter writer(folder / "", "train", 10, kHash);
        writer.Append(std::vector<uint16_t>(1000, 1));
        writer.Finish();
      },
      "cannot write");
}

}  // namespace
}  // namespace flashlm
