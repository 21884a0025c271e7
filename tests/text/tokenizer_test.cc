#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/parallel.h"
#include "tests/text/text_testing.h"
#include "text/byte_level.h"
#include "text/split.h"

namespace flashlm {
namespace {

using Ids = std::vector<uint16_t>;

const std::string kGolden = FLASHLM_SOURCE_DIR "/tests/text/golden/";

const Tokenizer& Golden() {
  static const Tokenizer tokenizer = Tokenizer::Load(kGolden + "tokenizer_600.json");
  return tokenizer;
}

const Json& HuggingFace() {
  static const Json document = ReadJsonFile(kGolden + "huggingface.json");
  return document;
}

Tokenizer TrainOn(std::string_view text, int vocab_size) { return Tokenizer::Train(std::span(&text, 1), vocab_size); }

void ExpectRoundTrip(const std::string& text) {
  const Ids ids = Golden().Encode(text);
  ASSERT_EQ(Golden().Decode(ids), text);
  for (const uint16_t id : ids) ASSERT_GE(id, Tokenizer::kSpecials) << text;
}

TEST(Tokenizer, SameIdsAsHuggingFace) {
  for (const Json& item : HuggingFace()["texts"]) {
    const std::string text = item["text"];
    EXPECT_EQ(Golden().Encode(text), item["ids"].get<Ids>()) << text;
  }
}

TEST(Tokenizer, SameMergesAsHuggingFace) {
  std::vector<std::string> texts;
  for (const Json& item : HuggingFace()["texts"]) texts.push_back(item["text"]);
  const Json& trained = HuggingFace()["trained_on_texts"];
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const Tokenizer tokenizer = Tokenizer::Train(views, trained["vocab_size"]);
  const Json merges = ParseJson(tokenizer.ToJson(), "test")["model"]["merges"];
  EXPECT_EQ(merges, trained["merges"]);
}

TEST(Tokenizer, RoundTripOfEveryShortByteString) {
  for (int first = 0; first < 256; ++first) {
    ExpectRoundTrip(std::string(1, static_cast<char>(first)));
    for (int second = 0; second < 256; ++second) {
      ExpectRoundTrip({static_cast<char>(first), static_cast<char>(second)});
    }
  }
}

TEST(Tokenizer, RoundTripOfRandomBytes) {
  Rng rng(11, Purpose::kTest);
  for (int trial = 0; trial < 2000; ++trial) ExpectRoundTrip(RandomBytes(rng, rng.Below(300)));
  ExpectRoundTrip(RandomBytes(rng, 1'000'000));
}

TEST(Tokenizer, RoundTripAtTheBordersOfUtf8) {
  std::string all;
  for (const uint32_t c : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xD800u, 0xDFFFu, 0xE000u, 0xFFFFu, 0x10000u,
                           0x10FFFFu, 0x110000u, 0x1FFFFFu}) {
    const std::string character = Utf8(c);
    for (size_t bytes = 0; bytes <= character.size(); ++bytes) ExpectRoundTrip(" a" + character.substr(0, bytes));
    all += character;
  }
  ExpectRoundTrip(all);
  ExpectRoundTrip("\xC0\x80\xE0\x80\x80\xF0\x80\x80\x80\xFE\xFF");
}

TEST(Tokenizer, RoundTripOfRealText) {
  const std::string text = RealText();
  if (text.empty()) GTEST_SKIP() << kNoRealText;
  ExpectRoundTrip(text);
  EXPECT_LT(Golden().Encode(text).size(), text.size() / 2);
}

TEST(Tokenizer, ReservedIdsAreNeverReadFromText) {
  for (const std::string name : {"<pad>", "<unk>", "<bos>", "<eos>"}) {
    ExpectRoundTrip(name);
    ExpectRoundTrip("a" + name + " " + name + name);
    // Not even after being trained on nothing else.
    const Tokenizer tokenizer = TrainOn(name + name + " " + name, 300);
    for (const uint16_t id : tokenizer.Encode(name)) EXPECT_GE(id, Tokenizer::kSpecials);
  }
}

TEST(Tokenizer, ReservedIdsDecodeToNothing) {
  EXPECT_EQ(Golden().Decode(Ids{Tokenizer::kBos, Tokenizer::kEos, Tokenizer::kPad, Tokenizer::kUnk}), "");
  Ids ids = Golden().Encode("The end.");
  ids.push_back(Tokenizer::kEos);
  EXPECT_EQ(Golden().Decode(ids), "The end.");
  for (int id = 0; id < Golden().vocab_size(); ++id) {
    EXPECT_EQ(Golden().Bytes(id).empty(), id < Tokenizer::kSpecials) << id;
  }
}

TEST(Tokenizer, IdsOutOfRangeAreRefused) {
  EXPECT_THROW(Golden().Bytes(-1), Error);
  EXPECT_THROW(Golden().Bytes(600), Error);
  EXPECT_THROW(Golden().Decode(Ids{600}), Error);
}

TEST(Tokenizer, VocabularySizesOutOfRangeAreRefused) {
  for (const int vocab_size : {-1, 0, 259, 65537}) EXPECT_THROW(TrainOn("text", vocab_size), UsageError);
  EXPECT_EQ(TrainOn("text", Tokenizer::kMinVocab).vocab_size(), Tokenizer::kMinVocab);
}

TEST(Tokenizer, FewerEntriesThanAskedForAreSaid) {
  testing::internal::CaptureStderr();
  const int learnt = TrainOn("abab abab", 1000).vocab_size();
  EXPECT_LT(learnt, 1000);
  EXPECT_NE(testing::internal::GetCapturedStderr().find(std::to_string(learnt) + " entries instead of 1000"),
            std::string::npos);
  testing::internal::CaptureStderr();
  TrainOn("abab abab", Tokenizer::kMinVocab);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Tokenizer, TrainingIsDeterministic) {
  Rng rng(12, Purpose::kTest);
  const std::string text = RandomText(rng, {"a", "b", "c", " d", "e ", "\n"}, 20000);
  const Tokenizer tokenizer = TrainOn(text, 400);
  EXPECT_EQ(tokenizer.ToJson(), TrainOn(text, 400).ToJson());
  EXPECT_EQ(tokenizer.Hash(), TrainOn(text, 400).Hash());
  EXPECT_EQ(tokenizer.Hash(), Sha256(tokenizer.ToJson()));
  EXPECT_NE(tokenizer.Hash(), TrainOn(text, 399).Hash());
}

TEST(Tokenizer, FileIsKeptByteForByte) {
  EXPECT_EQ(Golden().ToJson(), ReadFile(kGolden + "tokenizer_600.json"));
  const auto path = std::filesystem::temp_directory_path() / fmt::format("flashlm_tokenizer_{}.json", getpid());
  Golden().Save(path.string());
  EXPECT_EQ(Tokenizer::Load(path.string()).Hash(), Golden().Hash());
  std::filesystem::remove(path);
}

TEST(Tokenizer, EncodeAppends) {
  Ids ids = {7, 8};
  Golden().Encode("a", ids);
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(ids[0], 7);
  EXPECT_EQ(Golden().Decode(std::span(ids).subspan(2)), "a");
}

// All threads and tokenizers share nothing but each thread's cache of words, whose entries name their
// tokenizer.
TEST(Tokenizer, ThreadsAndTokenizersDoNotMix) {
  Rng rng(13, Purpose::kTest);
  const std::string text = RandomText(rng, {"one", " two", " three", "'s", "\n", " \xC3\xA9t\xC3\xA9", "."}, 5000);
  const Tokenizer other = TrainOn(text, 300);
  const Ids expected = Golden().Encode(text), expected_of_other = other.Encode(text);
  EXPECT_NE(expected, expected_of_other);
  std::vector<char> equal(64);
  ParallelFor(64, [&](int64_t i) {
    equal[i] = i % 2 ? Golden().Encode(text) == expected : other.Encode(text) == expected_of_other;
  });
  EXPECT_EQ(std::ranges::count(equal, 1), 64);
}

TEST(Tokenizer, PiecesBetweenSafeCutsEncodeLikeTheWhole) {
  Rng rng(14, Purpose::kTest);
  const std::string text = RandomText(rng, {"a", " b", "\n", "  ", "'ll", "1", "\xE2\x80\x83", "."}, 20000);
  Ids pieces;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t cut = SafeCut(rest, 1000);
    Golden().Encode(rest.substr(0, cut), pieces);
    rest.remove_prefix(cut);
  }
  EXPECT_EQ(pieces, Golden().Encode(text));
}

TEST(Tokenizer, LongWordsAndLongSpaces) {
  for (const std::string unit : {"a", " ", "'", "\n", "\xFF", "ab", "\xE2\x80\x83"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    ExpectRoundTrip(text);
    ExpectRoundTrip(text + "x");
  }
}

TEST(ByteLevel, SpellingIsABijection) {
  std::string bytes;
  for (const uint8_t byte : BytesInAlphabetOrder()) bytes += static_cast<char>(byte);
  EXPECT_EQ(bytes.size(), 256u);
  EXPECT_EQ(ReadSpelling(SpellBytes(bytes)), bytes);
  EXPECT_EQ(SpellBytes(" \n!"), "\xC4\xA0\xC4\x8A!");
  for (const char* foreign : {" ", "\n", "\xC2\xA0", "\xC2\xAD", "\xC5\x84", "\xE6\x97\xA5"}) {
    EXPECT_EQ(ReadSpelling(foreign), std::nullopt) << foreign;
  }
}

}  // namespace
}  // namespace flashlm
