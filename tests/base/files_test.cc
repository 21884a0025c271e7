#include "base/files.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <optional>

#include "base/mapped_file.h"
#include "tests/data/scratch.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

// While it lives, no file of this process may grow beyond `bytes`: what a full disk looks like to the writer.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// The error's one line names `path`, and is one line.
void ExpectNamed(const std::function<void()>& action, const std::string& path) {
  ExpectError(action, path);
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.OneLine().find('\n'), std::string::npos);
    EXPECT_EQ(e.exit_code(), 1);
  }
}

TEST(Files, ReadsWhatItWrote) {
  ScratchFolder scratch;
  const std::string path = scratch / "file";
  std::string content(200'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7);
  for (const std::string& text : {std::string(), std::string("short"), content}) {
    WriteFileAtomic(path, text);
    EXPECT_EQ(ReadFile(path), text);
    EXPECT_FALSE(fs::exists(path + ".tmp"));
  }
}

TEST(Files, AFailedWriteKeepsTheOldFile) {
  ScratchFolder scratch;
  const std::string path = scratch.Write("file", "what was there");
  {
    const FileSizeLimit limit(1000);
    ExpectNamed([&] { WriteFileAtomic(path, std::string(5000, 'x')); }, path);
  }
  EXPECT_EQ(ReadFile(path), "what was there");
  EXPECT_FALSE(fs::exists(path + ".tmp"));
}

TEST(Files, CannotReplaceAFolder) {
  ScratchFolder scratch;
  const std::string inside = scratch.Write("folder/inside", "kept");
  ExpectNamed([&] { WriteFileAtomic(scratch / "folder", "text"); }, scratch / "folder");
  EXPECT_EQ(ReadFile(inside), "kept");
  EXPECT_FALSE(fs::exists(scratch / "folder.tmp"));
}

TEST(Files, NamesWhatItCannotUse) {
  ScratchFolder scratch;
  const std::string missing = scratch / "missing", folder = scratch / "folder", loop = scratch / "loop";
  MakeFolder(folder);
  fs::create_symlink("loop", loop);  // unreadable even for root
  std::vector<std::string> bad = {missing, folder, loop};
  if (::geteuid() != 0) {
    bad.push_back(scratch.Write("secret", "text"));
    fs::permissions(bad.back(), fs::perms::none);
  }
  for (const std::string& path : bad) {
    ExpectNamed([&] { ReadFile(path); }, path);
    ExpectNamed([&] { MappedFile file(path); }, path);
    ExpectNamed([&] { Sha256OfFile(path); }, path);
  }
  ExpectNamed([&] { WriteFileAtomic(missing + "/file", "text"); }, missing);
  ExpectNamed([&] { FolderLock lock(missing); }, missing);
  const std::string file = scratch.Write("file", "text");
  ExpectNamed([&] { MakeFolder(file); }, file);
  ExpectNamed([&] { MakeFolder(file + "/below"); }, file);
}

TEST(Files, HashesAsTheStandardSays) {
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(Sha256(""), empty);
  EXPECT_EQ(Sha256("abc"), abc);
  ScratchFolder scratch;
  EXPECT_EQ(Sha256OfFile(scratch.Write("empty", "")), empty);
  EXPECT_EQ(Sha256OfFile(scratch.Write("abc", "abc")), abc);
  const std::string large(300'000, 'a');
  EXPECT_EQ(Sha256OfFile(scratch.Write("large", large)), Sha256(large));
}

TEST(FolderLockTest, ExcludesASecondHolder) {
  ScratchFolder scratch;
  const std::string folder = scratch / "";
  std::optional<FolderLock> first(folder);
  ExpectNamed([&] { FolderLock second(folder); }, folder);
  FolderLock moved(std::move(*first));
  first.reset();
  ExpectNamed([&] { FolderLock second(folder); }, "in use by another process");
  moved = FolderLock();
  EXPECT_NO_THROW(FolderLock second(folder));
}

}  // namespace
}  // namespace flashlm
