// The presets of examples/ build. (That its architectures are sound is shown by invariants_test.cc, which runs over the
// registry: they are linked into that program.)
#include <gtest/gtest.h>

#include <filesystem>

#include "models/presets.h"
#include "models/registry.h"
#include "train/config.h"

namespace flashlm {
namespace {

TEST(Examples, TheirPresetsBuild) {
  int presets = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::string(FLASHLM_SOURCE_DIR) + "/examples")) {
    if (file.path().extension() != ".toml") continue;
    ++presets;
    const RunConfig config = RunConfig::FromDocument(LoadPreset(file.path().string()), file.path().string());
    const std::unique_ptr<Model> model = MakeModel(config.model, false);
    EXPECT_EQ(model->bank().ParameterCount(), model->architecture() == "min-gru" ? 5'772'800 : 4'985'088)
        << file.path();
  }
  EXPECT_EQ(presets, 2);
}

}  // namespace
}  // namespace flashlm
