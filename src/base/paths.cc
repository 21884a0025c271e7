#include "base/paths.h"

#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "base/error.h"
#include "base/json.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

bool Stat(const std::string& path, struct stat& info) { return ::stat(path.c_str(), &info) == 0; }

bool Same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// `absolute` with its links followed, at most `links` more of them. (std::filesystem's weakly_canonical leaves a
// relative path relative if its first name does not exist, and a link to nothing as it is.)
fs::path Follow(const fs::path& absolute, int& links) {
  if (!absolute.has_relative_path()) return absolute;
  fs::path folder = Follow(absolute.parent_path(), links), name = absolute.filename();
  if (name.empty() || name == ".") return folder;
  if (name == "..") return folder.parent_path();
  std::error_code code;
  fs::path at = folder / name;
  const fs::path target = fs::read_symlink(at, code);
  if (code || links == 0) return at;
  --links;
  return Follow(folder / target, links);
}

}  // namespace

fs::path ResolvePath(const std::string& path) {
  int links = 40;  // as many as Linux follows
  std::error_code code;
  const fs::path absolute = fs::absolute(path, code);
  return code ? fs::path(path) : Follow(absolute, links);
}

bool SameFile(const fs::path& a, const fs::path& b) {
  struct stat info_a, info_b;
  return Stat(a, info_a) && Stat(b, info_b) && Same(info_a, info_b);
}

bool IsInside(const std::string& path, const std::string& folder) {
  const fs::path outer = ResolvePath(folder);
  for (fs::path at = ResolvePath(path);; at = at.parent_path()) {
    if (at == outer || SameFile(at, outer)) return true;
    if (at == at.parent_path()) return false;
  }
}

void RefuseOverwriting(const std::string& option, const std::string& out, std::span<const std::string> inputs) {
  struct stat target;
  const bool there = out == "-" ? ::fstat(STDOUT_FILENO, &target) == 0 : Stat(out, target);
  if (!there || !S_ISREG(target.st_mode)) return;
  for (const std::string& input : inputs) {
    struct stat source;
    const bool known = input == "-" ? ::fstat(STDIN_FILENO, &source) == 0 : !input.empty() && Stat(input, source);
    if (!known || !Same(source, target)) continue;
    throw UsageError(fmt::format("{} '{}' is the file that is read{}", option, out,
                                 input == out || input == "-" ? "" : fmt::format(" as '{}'", input)),
                     "it would be overwritten; choose another name");
  }
}

void RefuseStandardOutput(const std::string& option, const std::string& path) {
  if (path != "-") return;
  throw UsageError(fmt::format("{} -: a folder cannot go to standard output", option),
                   "name a folder; ./- is one that is called '-'");
}

void RequireUtf8(const std::string& option, const std::string& path) {
  try {
    Json(path).dump();
  } catch (const Json::exception&) {
    throw UsageError(fmt::format("{} '{}': the name is not UTF-8 and cannot be kept with the run", option, path),
                     "rename it, or make a link to it and give that");
  }
}

}  // namespace flashlm
