// What the tests of this room share.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "tensor/param_bank.h"
#include "tensor/param_state.h"
#include "tests/error_of.h"

namespace flashlm {

// A folder of its own for each test, removed at the end.
class Scratch {
 public:
  Scratch() {
    // In memory where there is such a place: waiting for a disk would be most of the tests' time.
    const char* const kMemory = "/dev/shm";
    std::string pattern = ::access(kMemory, W_OK) == 0 ? kMemory : testing::TempDir();
    pattern += "/flashlm_io_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw Error("no temporary folder");
    path_ = pattern;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // The names of all entries, sorted.
  std::vector<std::string> Names(const std::string& folder = "") const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_ + "/" + folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string path_;
};

// Not WriteFileAtomic: damage is done in place, as a bad disk does it.
inline void Overwrite(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

inline void FlipByte(const std::string& path, size_t offset) {
  std::string content = ReadFile(path);
  content.at(offset) = static_cast<char>(content.at(offset) ^ 0x10);
  Overwrite(path, content);
}

inline void ExpectContains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' not in: " << text;
}

// Makes writes beyond `bytes` of any file fail, which meets the same code as a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

// A bank like a small model's: padded, joined and odd-sized parameters.
inline void DeclareParameters(ParamBank& bank, int width = 7) {
  bank.Add({.name = "embed.weight", .shape = {11, width}, .role = Role::kEmbedding, .init = Init::Normal(1)});
  bank.Add({.name = "block.q.weight", .shape = {5, width}, .init = Init::Normal(1)});
  bank.Add({.name = "block.k.weight", .shape = {3, width}, .init = Init::Normal(1)}, true);
  bank.Add({.name = "norm.gain", .shape = {width}, .role = Role::kVector, .init = Init::Constant(1)});
}

inline void FillBank(ParamBank& bank, uint64_t seed) {
  DeclareParameters(bank);
  bank.Allocate(true);
  bank.Initialize(seed);
}

// The state of an optimiser like AdamW where the matrices do without "v" and have a float per line instead.
inline void FillState(const ParamBank& bank, ParamState& state, uint64_t seed) {
  std::vector<bool> all, some;
  std::vector<int> lines;
  for (const ParamInfo& info : bank.infos()) {
    all.push_back(info.role != Role::kBuffer);
    some.push_back(all.back() && info.role != Role::kMatrix);
    lines.push_back(info.role == Role::kMatrix ? info.shape[0] : 0);
  }
  state.Add("m", all);
  state.Add("v", some);
  state.AddLines("line_v", lines);
  Rng rng(seed, Purpose::kTest);
  for (const ParamState::Array& array : state.arrays()) {
    for (size_t i = 0; i < bank.infos().size(); ++i) {
      if (array.Of(i) == nullptr) continue;
      const int64_t size = array.lines.empty() ? bank.infos()[i].size : array.lines[i];
      for (int64_t k = 0; k < size; ++k) array.Of(i)[k] = rng.Normal();
    }
  }
}

inline void ExpectSameState(const ParamState& a, const ParamState& b) {
  ASSERT_EQ(a.arrays().size(), b.arrays().size());
  for (size_t i = 0; i < a.arrays().size(); ++i) {
    const ParamState::Array &x = a.arrays()[i], &y = b.arrays()[i];
    EXPECT_EQ(x.name, y.name);
    ASSERT_EQ(x.offsets, y.offsets);
    ASSERT_EQ(x.lines, y.lines);
    EXPECT_EQ(std::memcmp(x.data.get(), y.data.get(), static_cast<size_t>(x.size) * sizeof(float)), 0) << x.name;
  }
}

inline void ExpectSameArray(const float* a, const float* b, const ParamBank& bank) {
  EXPECT_EQ(std::memcmp(a, b, static_cast<size_t>(bank.size()) * sizeof(float)), 0);
}

}  // namespace flashlm
