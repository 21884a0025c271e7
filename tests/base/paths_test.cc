#include "base/paths.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/data/scratch.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

// The working folder for the life of the object.
class Inside {
 public:
  explicit Inside(const std::string& folder) : before_(fs::current_path()) { fs::current_path(folder); }
  ~Inside() { fs::current_path(before_); }

 private:
  fs::path before_;
};

TEST(ResolvePath, FollowsLinksAlsoToNothing) {
  ScratchFolder scratch;
  const fs::path root = fs::canonical(scratch / "");
  scratch.Write("real/file", "text");
  fs::create_symlink("real", scratch / "link");
  fs::create_symlink("link/new", scratch / "to_nothing");
  fs::create_symlink("to_nothing", scratch / "twice");
  fs::create_symlink("loop", scratch / "loop");
  EXPECT_EQ(ResolvePath(scratch / "link/file"), root / "real/file");
  EXPECT_EQ(ResolvePath(scratch / "link/"), root / "real");
  EXPECT_EQ(ResolvePath(scratch / "twice"), root / "real/new");
  EXPECT_EQ(ResolvePath(scratch / "link/../real/./x"), root / "real/x");
  EXPECT_EQ(ResolvePath(scratch / "none/at/all/"), root / "none/at/all");
  EXPECT_NO_THROW(ResolvePath(scratch / "loop"));
  const Inside here(scratch / "real");
  EXPECT_EQ(ResolvePath("none/x"), root / "real/none/x");
  EXPECT_EQ(ResolvePath("../link"), root / "real");
  EXPECT_EQ(ResolvePath("."), root / "real");
  EXPECT_EQ(ResolvePath(".."), root);
}

TEST(IsInside, ComparesWhatPathsMean) {
  ScratchFolder scratch;
  scratch.Write("text/a.txt", "x");
  scratch.Write("text2/a.txt", "x");
  fs::create_symlink("text", scratch / "link");
  fs::create_symlink("link/new", scratch / "into");
  const Inside here(scratch / "");
  const std::string absolute = scratch / "text";
  for (const std::string& folder :
       {std::string("text"), std::string("text/"), std::string("./text2/../text"), std::string("link"), absolute}) {
    for (const char* path : {"text", "text/", "text/new", "text/..x", "text/new/deeper", "link/..", "into",
                             "into/deeper", "none/../text/x"}) {
      const bool outside = std::string(path) == "link/..";  // the parent of what the link leads to
      EXPECT_EQ(IsInside(path, folder), !outside) << path << " in " << folder;
    }
    for (const char* path : {"new", "new/text", "text2", "text2/a.txt", "textual", "..", "../text", "/"}) {
      EXPECT_FALSE(IsInside(path, folder)) << path << " in " << folder;
    }
  }
  EXPECT_TRUE(IsInside("text", "/"));
  EXPECT_TRUE(IsInside("new/a", "new"));
  EXPECT_FALSE(IsInside("new2/a", "new"));
}

TEST(RefuseOverwriting, FindsAnInputByWhateverName) {
  ScratchFolder scratch;
  const std::string text = scratch.Write("text", "precious"), other = scratch.Write("other", "precious");
  fs::create_symlink("text", scratch / "link");
  fs::create_hard_link(text, scratch / "hard");
  ::mkfifo((scratch / "pipe").c_str(), 0600);
  for (const char* name : {"text", "link", "hard", "./text"}) {
    ExpectError([&] { RefuseOverwriting("--out", scratch / name, {{other, text}}); }, "is the file that is read");
    EXPECT_THROW(RefuseOverwriting("--out", text, {{scratch / name}}), UsageError) << name;
  }
  EXPECT_NO_THROW(RefuseOverwriting("--out", scratch / "new", {{text, other, ""}}));
  EXPECT_NO_THROW(RefuseOverwriting("--out", other, {{text, scratch / "none", ""}}));
  EXPECT_NO_THROW(RefuseOverwriting("--out", scratch / "pipe", {{scratch / "pipe"}}));
}

// ">> text" on the command line; ">" would have emptied it before.
TEST(RefuseOverwriting, KnowsStandardOutput) {
  ScratchFolder scratch;
  const std::string text = scratch.Write("text", "precious"), other = scratch.Write("other", "precious");
  const int before = ::dup(STDOUT_FILENO), file = ::open(text.c_str(), O_WRONLY | O_APPEND);
  ::fflush(stdout);
  ::dup2(file, STDOUT_FILENO);
  EXPECT_THROW(RefuseOverwriting("--out", "-", {{text}}), UsageError);
  EXPECT_NO_THROW(RefuseOverwriting("--out", "-", {{other}}));
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  ::close(file);
}

TEST(RefuseStandardOutput, IsForFolders) {
  ExpectError([] { RefuseStandardOutput("--out", "-"); }, "--out -: a folder cannot go to standard output");
  EXPECT_NO_THROW(RefuseStandardOutput("--out", "./-"));
}

TEST(RequireUtf8, RefusesWhatJsonCannotHold) {
  EXPECT_NO_THROW(RequireUtf8("--data", "caf\xc3\xa9/\xf0\x9f\x98\x80"));
  for (const char* path : {"b\xff", "caf\xe9", "\xed\xa0\x80"}) {
    ExpectError([&] { RequireUtf8("--data", path); }, "--data");
    EXPECT_THROW(RequireUtf8("--data", path), UsageError);
  }
}

}  // namespace
}  // namespace flashlm
