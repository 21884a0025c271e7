// Readers of outside bytes, as fuzzers and the replay of corpora run them. A target is a function that hands bytes to a
// reader; what may come of it is a result, flashlm::Error or std::bad_alloc, and nothing else (SECURITY.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

struct FuzzTarget {
  const char* name;  // of its folder in tests/fuzz/corpus
  void (*read)(std::string_view bytes);
};

// All that are linked, by FLASHLM_FUZZ_TARGET.
std::vector<FuzzTarget>& FuzzTargets();
// Lets the target read the bytes; whatever else it throws passes through.
void RunFuzzTarget(const FuzzTarget& target, std::string_view bytes);

// What a reader promises, where the input itself was fine. Throws std::logic_error, a finding.
void Expect(bool holds, const char* what);

// For readers of files: a file with these bytes, the same path every time, below a folder that is removed at exit.
std::string FileWith(std::string_view bytes, const std::string& name = "input");
inline std::string FolderOf(const std::string& file) { return file.substr(0, file.rfind('/')); }

}  // namespace flashlm

#define FLASHLM_FUZZ_TARGET(name)                                       \
  static void Read_##name(std::string_view bytes);                      \
  [[maybe_unused]] static const bool kTarget_##name =                   \
      (::flashlm::FuzzTargets().push_back({#name, Read_##name}), true); \
  static void Read_##name(std::string_view bytes)
