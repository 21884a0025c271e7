// Every source that is registered, the examples among them.
#include "data/sources.h"

#include <gtest/gtest.h>

#include <set>

#include "data/prepare.h"
#include "data/shards.h"
#include "probes/probes.h"
#include "stories/story_writer.h"
#include "tests/data/scratch.h"

namespace flashlm {
namespace {

std::vector<std::string> ReadAll(DocumentSource& source) {
  std::vector<std::string> documents;
  for (DocumentBatch batch; source.Next(batch);) {
    documents.insert(documents.end(), batch.documents.begin(), batch.documents.end());
  }
  return documents;
}

TEST(Sources, AreRegisteredInTheOrderOfTheirNames) {
  std::vector<std::string> names;
  for (const SourceEntry& entry : RegisteredSources()) {
    names.push_back(entry.name);
    EXPECT_FALSE(entry.about.empty());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"json-lines", "probes", "synthetic", "tinystories"}));
}

TEST(Sources, SyntheticStoriesAreThoseOfTheWriter) {
  const auto source = OpenSource("synthetic", {{"seed", 3}, {"bytes", 20'000}, {"valid_bytes", 5'000}});
  const std::vector<std::string> train = ReadAll(*source), valid = ReadAll(*source->Validation());
  EXPECT_EQ(train[5], StoryWriter(3).Write(5).text);
  int64_t bytes = 0;
  for (const std::string& story : train) bytes += std::ssize(story);
  EXPECT_GE(bytes, 20'000);
  EXPECT_EQ(bytes, source->bytes_read());
  const std::set<std::string> seen(train.begin(), train.end());
  for (const std::string& story : valid) EXPECT_FALSE(seen.contains(story));
  source->Rewind();
  EXPECT_EQ(ReadAll(*source), train);
  EXPECT_NE(source->Identity(), OpenSource("synthetic", {{"seed", 4}})->Identity());
  EXPECT_NE(source->Identity(), source->Validation()->Identity());
  ExpectError([] { OpenSource("synthetic", {{"bites", 1}}); }, "did you mean 'bytes'");
  ExpectError([] { OpenSource("synthetic", {{"bytes", 0}}); }, "out of range");
}

TEST(Sources, ProbesAreOfOneCategoryWhereItIsNamed) {
  const auto open = [](const char* category) {
    return OpenSource("probes", {{"bytes", 2'000}, {"category", category}});
  };
  const auto hops = open("k_hop"), all = open("all");
  EXPECT_EQ(ReadAll(*hops)[3], ProbeDocument(0, 3, "k_hop"));
  EXPECT_EQ(ReadAll(*all)[3], ProbeDocument(0, 3));
  EXPECT_EQ(hops->Describe()["category"], "k_hop");
  EXPECT_NE(hops->Identity(), all->Identity());
  EXPECT_EQ(OpenSource("probes", {{"bytes", 2'000}})->Identity(), all->Identity());
  ExpectError([&] { open("hops"); }, "k_hop");
  const auto many = OpenSource("probes", {{"bytes", 2'000}, {"category", "k_hop"}, {"most_hops", 2}});
  EXPECT_EQ(ReadAll(*many)[1], HopsDocument(0, 1, 2));
  EXPECT_NE(many->Identity(), hops->Identity());
  ExpectError([&] { OpenSource("probes", {{"most_hops", 2}}); }, "category=k_hop");
}

TEST(Sources, TextFilesAreTheRest) {
  const ScratchFolder folder;
  EXPECT_EQ(ReadAll(*OpenSource(folder.Write("synthetic.txt", "one"))), (std::vector<std::string>{"one"}));
  ExpectError([&] { OpenSource(folder / "sinthetic"); }, "sinthetic");
}

TEST(JsonLines, GiveTheirTexts) {
  const ScratchFolder folder;
  const std::string path = folder.Write(
      "in.jsonl",
      "{\"text\": \"one\\nand <|endoftext|> more\", \"id\": 1}\n\n{\"text\": \"caf\\u00e9\"}\r\n{\"text\":\"\"}\n"
      "{\"text\": \"last\"}");
  const std::vector<std::string> texts = {"one\nand <|endoftext|> more", "caf\u00e9", "last"};
  const auto source = OpenSource(path);
  EXPECT_EQ(ReadAll(*source), texts);
  source->Rewind();
  EXPECT_EQ(ReadAll(*source), texts);
  EXPECT_EQ(source->bytes_read(), source->total_bytes());
  const auto refuse = [&](const std::string& line, const std::string& part) {
    const auto bad = OpenSource(folder.Write("bad.jsonl", "{\"text\": \"fine\"}\n" + line));
    ExpectError([&] { ReadAll(*bad); }, part);
  };
  refuse("{\"story\": \"x\"}", "bad.jsonl:2: no text in the field 'text'");
  refuse("{\"text\": 3}", "bad.jsonl:2");
  refuse("not json", "bad.jsonl:2: not valid JSON");
  const auto other = OpenSource(folder.Write("other.jsonl", "{\"story\": \"x\"}"), {{"field", "story"}});
  EXPECT_EQ(ReadAll(*other), (std::vector<std::string>{"x"}));
}

TEST(JsonLines, AreTrainedOnLikeAnyText) {
  const ScratchFolder folder;
  std::string lines;
  for (uint64_t i = 0; i < 200; ++i) lines += Json{{"text", StoryWriter(1).Write(i).text}}.dump() + "\n";
  PrepareOptions options;
  options.input = folder.Write("in.jsonl", lines);
  options.out = folder / "out";
  options.vocab = 400;
  const Json meta = PrepareData(options);
  EXPECT_EQ(meta["train"]["documents"].get<int>() + meta["valid"]["documents"].get<int>(), 200);
  options.out = folder / "in.jsonl/x";
  EXPECT_THROW(PrepareData(options), Error);
}

}  // namespace
}  // namespace flashlm
