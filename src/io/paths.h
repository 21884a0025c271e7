// Small questions about paths that never throw: what cannot be looked at counts as absent.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace flashlm {

inline std::string FileIn(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

inline bool Exists(const std::string& path) {
  std::error_code code;
  return std::filesystem::exists(path, code);
}

inline bool IsFolder(const std::string& path) {
  std::error_code code;
  return std::filesystem::is_directory(path, code);
}

}  // namespace flashlm
