#include "sources/download.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "local_server.h"
#include "tests/data/scratch.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    for (int i = 0; i < 20'000; ++i) content_ += "line " + std::to_string(i) + "\n";
    const std::string sha256 = Sha256(content_);
    file_ = {"stories.txt", static_cast<int64_t>(content_.size()), sha256.substr(0, 8), sha256.substr(59)};
    target_ = folder_ / "cache";
    ::setenv("no_proxy", "127.0.0.1", 1);
  }
  void ExpectFails(const std::string& url, const std::string& part) {
    ExpectError([&] { Download(file_, url, target_); }, part);
    EXPECT_FALSE(fs::exists(target_ + "/stories.txt"));
  }
  bool PartExists() const { return fs::exists(target_ + "/stories.txt.part"); }

  ScratchFolder folder_;
  std::string content_, target_;
  RemoteFile file_;
};

TEST_F(DownloadTest, FetchesOnce) {
  const LocalServer server(content_);
  const std::string path = Download(file_, server.url(), target_);
  EXPECT_EQ(ReadFile(path), content_);
  EXPECT_FALSE(PartExists());
  EXPECT_EQ(Download(file_, server.url(), target_), path);
  EXPECT_EQ(server.requests(), 1);
}

TEST_F(DownloadTest, GoesOnWhereItBrokeOff) {
  const LocalServer server(content_);
  folder_.Write("cache/stories.txt.part", content_.substr(0, 100'000));
  EXPECT_EQ(ReadFile(Download(file_, server.url(), target_)), content_);
  EXPECT_EQ(server.first_byte(), 100'000);
}

TEST_F(DownloadTest, TriesAgainWhenTheConnectionBreaks) {
  const LocalServer server(content_, {.ranges = true, .break_after = 50'000});
  EXPECT_EQ(ReadFile(Download(file_, server.url(), target_)), content_);
  EXPECT_EQ(server.requests(), 2);
  EXPECT_EQ(server.first_byte(), 50'000);
}

TEST_F(DownloadTest, StartsOverWhereTheServerCannotResume) {
  const LocalServer server(content_, {.ranges = false, .break_after = -1});
  folder_.Write("cache/stories.txt.part", content_.substr(0, 100'000));
  EXPECT_EQ(ReadFile(Download(file_, server.url(), target_)), content_);
  EXPECT_EQ(server.requests(), 2);
}

TEST_F(DownloadTest, AFinishedPartIsOnlyChecked) {
  folder_.Write("cache/stories.txt.part", content_);
  EXPECT_EQ(ReadFile(Download(file_, "http://127.0.0.1:1", target_)), content_);
}

TEST_F(DownloadTest, ReadsFileUrls) {
  folder_.Write("mirror/stories.txt", content_);
  folder_.Write("cache/stories.txt.part", content_.substr(0, 5));
  EXPECT_EQ(ReadFile(Download(file_, "file://" + (folder_ / "mirror"), target_)), content_);
}

TEST_F(DownloadTest, WrongSizesAreRefused) {
  {
    const LocalServer longer(content_ + "more");
    ExpectFails(longer.url(), "longer than");
  }
  const LocalServer shorter(content_.substr(1));
  ExpectFails(shorter.url(), "bytes, not the");
  EXPECT_FALSE(PartExists());
}

TEST_F(DownloadTest, AWrongChecksumIsRefused) {
  std::string changed = content_;
  changed[1234] ^= 1;
  const LocalServer server(changed);
  ExpectFails(server.url(), "damaged or changed");
  EXPECT_FALSE(PartExists());
}

TEST_F(DownloadTest, NoNetworkIsOneLineWithAHint) {
  ExpectFails("http://127.0.0.1:1", "use --input FILE");
  const LocalServer server(content_);
  ExpectFails(server.url() + "/nowhere", "cannot download");
}

TEST_F(DownloadTest, WhatArrivedSurvivesALostServer) {
  folder_.Write("cache/stories.txt.part", content_.substr(0, 777));
  ExpectFails("http://127.0.0.1:1", "what was received is kept");
  EXPECT_EQ(fs::file_size(target_ + "/stories.txt.part"), 777u);
}

TEST(TinyStories, UrlAndCacheFollowTheEnvironment) {
  ::unsetenv("FLASHLM_TINYSTORIES_URL");
  EXPECT_TRUE(TinyStoriesUrl().starts_with("https://huggingface.co/"));
  ::setenv("FLASHLM_TINYSTORIES_URL", "file:///mirror", 1);
  EXPECT_EQ(TinyStoriesUrl(), "file:///mirror");
  ::unsetenv("FLASHLM_TINYSTORIES_URL");
  ::setenv("FLASHLM_CACHE", "/some/cache", 1);
  EXPECT_EQ(CacheFolder(), "/some/cache");
  ::unsetenv("FLASHLM_CACHE");
}

}  // namespace
}  // namespace flashlm
