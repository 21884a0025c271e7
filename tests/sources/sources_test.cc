// The sources that are registered.
#include "data/sources.h"

#include <gtest/gtest.h>

#include <set>

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
  EXPECT_EQ(names, (std::vector<std::string>{"synthetic", "tinystories"}));
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

TEST(Sources, TextFilesAreTheRest) {
  const ScratchFolder folder;
  EXPECT_EQ(ReadAll(*OpenSource(folder.Write("synthetic.txt", "one"))), (std::vector<std::string>{"one"}));
  ExpectError([&] { OpenSource(folder / "sinthetic"); }, "sinthetic");
}

}  // namespace
}  // namespace flashlm
