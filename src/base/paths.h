// What a path means to the file system: where its links lead, whether two name one file, whether one lies in another.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <system_error>

namespace flashlm {

inline std::string FileIn(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

// The next two never throw: what cannot be looked at counts as absent.
inline bool Exists(const std::string& path) {
  std::error_code code;
  return std::filesystem::exists(path, code);
}
inline bool IsFolder(const std::string& path) {
  std::error_code code;
  return std::filesystem::is_directory(path, code);
}

// The absolute path that opening or creating `path` would reach: links are followed, also one that leads to nothing
// yet, and what does not exist is taken as written. Never throws; what cannot be looked at is taken as written, too.
std::filesystem::path ResolvePath(const std::string& path);

// Both exist and are the same file or folder, by device and inode: through links, hard links and bind mounts as well.
bool SameFile(const std::filesystem::path& a, const std::filesystem::path& b);

// `path` is `folder` or lies below it, whether either exists yet or not.
bool IsInside(const std::string& path, const std::string& folder);

// Throws UsageError if the regular file that `option OUT` would write ("-": standard output) is one of `inputs` ("-":
// standard input; "" and what does not exist: none). Writing to a pipe or device that is also read destroys nothing and
// is allowed.
void RefuseOverwriting(const std::string& option, const std::string& out, std::span<const std::string> inputs);

// Throws UsageError if `path`, the value of `option`, is "-": a folder cannot be written to standard output, and one of
// that name is hardly meant.
void RefuseStandardOutput(const std::string& option, const std::string& path);

// Throws UsageError unless `path`, the value of `option`, is UTF-8: nothing else can be kept in JSON and TOML.
void RequireUtf8(const std::string& option, const std::string& path);

}  // namespace flashlm
