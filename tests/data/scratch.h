// A folder of its own for a test, removed at the end.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"

namespace flashlm {

class ScratchFolder {
 public:
  ScratchFolder() {
    SetQuiet(true);
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_test_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw Error("cannot make a scratch folder");
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, std::string_view content) const {
    const std::string path = *this / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};

// Runs `action`, which must throw an Error whose one line contains `part`.
inline void ExpectError(const std::function<void()>& action, const std::string& part) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_NE(e.OneLine().find(part), std::string::npos) << "got: " << e.OneLine() << "\nwanted: " << part;
    return;
  }
  ADD_FAILURE() << "no error; wanted: " << part;
}

}  // namespace flashlm
