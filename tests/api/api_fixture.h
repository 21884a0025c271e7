// A model folder of a small untrained model, and the engine's own model of it to compare with.
#pragma once

#include <flashlm/flashlm.hpp>
#include <memory>
#include <string>
#include <vector>

#include "infer/loaded_model.h"
#include "io/model_folder.h"
#include "tests/data/scratch.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {

class ApiTest : public testing::Test {
 protected:
  void SetUp() override { Write("cortex-viii", Json::object()); }

  void Write(const std::string& architecture, const Json& overrides) {
    engine_ = TinyModel(FindModel(architecture), overrides);
    WriteModelFolder(folder_, engine_->config(), engine_->bank(), TinyTokenizer().ToJson());
  }

  ScratchFolder scratch_;
  std::string folder_ = scratch_ / "model";
  std::unique_ptr<Model> engine_;
};

// Runs `action`, which must throw the API's Error of this kind, and whose one line contains `part`.
inline void ExpectApiError(const std::function<void()>& action, api::Error::Kind kind, const std::string& part) {
  try {
    action();
  } catch (const api::Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.OneLine();
    EXPECT_NE(e.OneLine().find(part), std::string::npos) << "got: " << e.OneLine() << "\nwanted: " << part;
    return;
  }
  ADD_FAILURE() << "no error; wanted: " << part;
}

}  // namespace flashlm
