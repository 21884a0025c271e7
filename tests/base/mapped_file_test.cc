#include "base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "tests/data/scratch.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

TEST(MappedFileTest, ShowsTheBytes) {
  ScratchFolder scratch;
  const MappedFile empty(scratch.Write("empty", ""));
  EXPECT_EQ(empty.size(), 0u);
  EXPECT_EQ(empty.text(), "");
  empty.DropBefore(100);
  for (const size_t size : {1000, 100'000}) {  // a copy and a map
    std::string content(size, 'a');
    content.back() = 'z';
    const std::string path = scratch.Write("file", content);
    MappedFile first(path);
    EXPECT_EQ(first.path(), path);
    EXPECT_EQ(first.text(), content);
    const MappedFile second(std::move(first));
    EXPECT_EQ(second.text(), content);
    // Dropped pages are only forgotten, not lost.
    second.DropBefore(size / 2);
    second.DropBefore(1'000'000);
    EXPECT_EQ(second.text(), content);
  }
}

TEST(MappedFileTest, ReadsPipesToTheEnd) {
  ScratchFolder scratch;
  const std::string pipe = scratch / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const size_t size : {0, 1000, 3'000'000}) {
    const std::string content(size, 'p');
    std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << content; });
    const MappedFile file(pipe);
    writer.join();
    EXPECT_EQ(file.text(), content);
    file.DropBefore(size);
    EXPECT_EQ(file.text(), content);
  }
}

TEST(MappedFileTest, TextIsReadToItsFirstBlockWithANul) {
  EXPECT_EQ(OpenInput("/dev/zero").text().find('\0'), 0u);
  ScratchFolder scratch;
  const std::string pipe = scratch / "pipe", content = std::string("two\0bytes", 9);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const auto kind : {MappedFile::Content::kAny, MappedFile::Content::kText}) {
    std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << content; });
    EXPECT_EQ(MappedFile(pipe, kind).text(), content);  // whoever reads text sees what is wrong with it
    writer.join();
  }
}

TEST(MappedFileTest, ReadsWhatIsLeftOfStandardInput) {
  ScratchFolder scratch;
  const int before = ::dup(STDIN_FILENO);
  const int file = ::open(scratch.Write("file", "first line\nthe rest").c_str(), O_RDONLY);
  ::dup2(file, STDIN_FILENO);
  EXPECT_EQ(OpenInput("-").text(), "first line\nthe rest");
  char line[11];
  ASSERT_EQ(::read(STDIN_FILENO, line, sizeof line), 11);
  EXPECT_EQ(OpenInput("-").text(), "the rest");
  EXPECT_EQ(OpenInput("-").path(), "standard input");
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  ::close(file);
}

TEST(MappedFileTest, ALostMapEndsTheProgramWithOneLine) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  ScratchFolder scratch;
  const std::string path = scratch.Write("shrinking", std::string(1'000'000, 'x'));
  EXPECT_EXIT(
      {
        ReportLostMaps();
        const MappedFile file(path);
        fs::resize_file(path, 10);
        volatile char last = file.text()[900'000];
        ::_exit(last == 'x' ? 0 : 2);
      },
      testing::ExitedWithCode(1), "^error: '.*shrinking' became shorter while it was read.*\\(hint: .*\\)\n$");
}

TEST(OpenFileTest, SaysThatAFileShrank) {
  ScratchFolder scratch;
  const std::string path = scratch.Write("file", "0123456789");
  const OpenFile file(path);
  EXPECT_EQ(file.size(), 10u);
  char bytes[4] = {};
  file.ReadAt(6, bytes, 4);
  EXPECT_EQ(std::string_view(bytes, 4), "6789");
  fs::resize_file(path, 8);
  ExpectError([&] { file.ReadAt(6, bytes, 4); }, "'" + path + "' became shorter");
}

}  // namespace
}  // namespace flashlm
