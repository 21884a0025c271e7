// What the tests of this room share: small loaded models, and files of other programs to break.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "infer/loaded_model.h"
#include "infer/session.h"
#include "tests/error_of.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {

// A folder of its own for each test, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_exchange_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// As LoadModel gives it, of a model that was never written.
inline LoadedModel TinyLoaded(const std::string& architecture, const Json& overrides = Json::object()) {
  return {TinyModel(FindModel(architecture), overrides), TinyTokenizer(), Json(), "/nowhere/model"};
}

// The log-probabilities after each of some tokens.
inline std::vector<float> Reading(Model& model, const std::vector<int32_t>& tokens = {3, 40, 7, 99, 280, 5, 131, 77}) {
  Session session(model, DType::kF32);
  std::vector<float> all;
  for (const int32_t token : tokens) {
    const float* row = session.Feed(token);
    all.insert(all.end(), row, row + session.vocab());
  }
  return all;
}

inline void Overwrite(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

inline void ExpectContains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' not in: " << text;
}

}  // namespace flashlm
