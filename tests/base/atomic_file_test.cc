#include "base/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <thread>

#include "tests/data/scratch.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

mode_t ModeOf(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode : 0;
}

TEST(AtomicFileTest, FollowsLinksAndKeepsPermissions) {
  ScratchFolder scratch;
  const std::string target = scratch.Write("elsewhere/target", "old");
  ::chmod(target.c_str(), 0600);
  fs::create_symlink("elsewhere/target", scratch / "link");
  fs::create_symlink("elsewhere/new", scratch / "to_nothing");
  WriteFileAtomic(scratch / "link", "new text");
  EXPECT_TRUE(fs::is_symlink(scratch / "link"));
  EXPECT_EQ(ReadFile(target), "new text");
  EXPECT_EQ(ModeOf(target) & 07777, 0600u);
  WriteFileAtomic(scratch / "to_nothing", "made");
  EXPECT_TRUE(fs::is_symlink(scratch / "to_nothing"));
  EXPECT_EQ(ReadFile(scratch / "elsewhere/new"), "made");
  EXPECT_EQ(NamesIn(scratch / "elsewhere"), (std::vector<std::string>{"new", "target"}));
  fs::create_symlink("loop", scratch / "loop");
  ExpectError([&] { WriteFileAtomic(scratch / "loop", "x"); }, scratch / "loop");
  EXPECT_TRUE(fs::is_symlink(scratch / "loop"));
}

TEST(AtomicFileTest, TakesNoNameThatIsTaken) {
  ScratchFolder scratch;
  const std::string text = scratch.Write("file.tmp", "somebody's text");
  const std::string own = scratch.Write(fmt::format("file.{}.tmp", ::getpid()), "left by a process of this number");
  WriteFileAtomic(scratch / "file", "content");
  EXPECT_EQ(ReadFile(scratch / "file"), "content");
  EXPECT_EQ(ReadFile(text), "somebody's text");
  EXPECT_EQ(ReadFile(own), "left by a process of this number");
  EXPECT_EQ(NamesIn(scratch / "").size(), 3u);
}

TEST(AtomicFileTest, WritesIntoPipes) {
  ScratchFolder scratch;
  const std::string pipe = scratch / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("pipe", scratch / "link");
  for (const std::string& path : {pipe, scratch / "link"}) {
    std::string received;
    std::thread reader([&] { received = ReadFile(pipe); });
    WriteFileAtomic(path, std::string(100'000, 'x'));
    reader.join();
    EXPECT_EQ(received, std::string(100'000, 'x'));
    EXPECT_TRUE(S_ISFIFO(ModeOf(pipe)));
  }
}

TEST(AtomicFileTest, WritesToDevices) {
  ScratchFolder scratch;
  const std::string null = scratch / "null", full = scratch / "full";
  // Nodes of our own: a mistake here would take the system's away.
  if (::mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) GTEST_SKIP() << "making devices needs root";
  ASSERT_EQ(::mknod(full.c_str(), S_IFCHR | 0666, makedev(1, 7)), 0);
  const int probe = ::open(null.c_str(), O_WRONLY);
  if (probe < 0) GTEST_SKIP() << "this file system has no devices";
  ::close(probe);
  WriteFileAtomic(null, "nobody reads this");
  ExpectError([&] { WriteFileAtomic(full, "no room"); }, full);
  EXPECT_TRUE(S_ISCHR(ModeOf(null)));
  EXPECT_TRUE(S_ISCHR(ModeOf(full)));
}

TEST(AtomicFileTest, WritesWhereAnOpenDescriptorStands) {
  ScratchFolder scratch;
  const std::string path = scratch.Write("file", "");
  const int descriptor = ::open(path.c_str(), O_WRONLY);
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(::write(descriptor, "before ", 7), 7);
  WriteFileAtomic(fmt::format("/dev/fd/{}", descriptor), "between");
  ASSERT_EQ(::write(descriptor, " after", 6), 6);
  ::close(descriptor);
  EXPECT_EQ(ReadFile(path), "before between after");
}

TEST(AtomicFileTest, WithoutCommitNothingHappens) {
  ScratchFolder scratch;
  const std::string path = scratch.Write("file", "old");
  {
    AtomicFile file(path);
    file.Append("half");
  }
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_EQ(NamesIn(scratch / "").size(), 1u);
}

}  // namespace
}  // namespace flashlm
