#include "tests/fuzz/fuzz_target.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>

#include "base/error.h"
#include "base/progress.h"

namespace flashlm {
namespace {

struct Folder {
  Folder() {
    SetQuiet(true);
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_fuzz_XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

}  // namespace

std::vector<FuzzTarget>& FuzzTargets() {
  static std::vector<FuzzTarget> targets;
  return targets;
}

void RunFuzzTarget(const FuzzTarget& target, std::string_view bytes) {
  try {
    target.read(bytes);
  } catch (const Error& e) {
    Expect(e.OneLine().find('\n') == std::string::npos, "an error of more than a line");
  } catch (const std::bad_alloc&) {
  }
}

void Expect(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

std::string FileWith(std::string_view bytes, const std::string& name) {
  static const Folder folder;
  const std::string path = folder.path + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

}  // namespace flashlm
