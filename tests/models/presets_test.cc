// Presets build, and have the parameters of docs/spec/README.md#presets (invariant 10).
#include "models/presets.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/registry.h"
#include "tests/data/scratch.h"
#include "train/config.h"

namespace flashlm {
namespace {

TEST(Presets, AllBuild) {
  for (const Preset& preset : Presets()) {
    if (IsFamily(LoadPreset(preset.name))) continue;
    const RunConfig config = RunConfig::FromDocument(LoadPreset(preset.name), preset.name);
    EXPECT_GT(MakeModel(config.model, false)->bank().ParameterCount(), 0) << preset.name;
  }
}

TEST(Presets, TrueParameterCounts) {
  const auto count = [](const char* name) {
    return MakeModel(LoadPreset(name).at("model"), false)->bank().ParameterCount();
  };
  EXPECT_EQ(count("v4-bolt"), 4'364'736);
  EXPECT_EQ(count("v4-bolt-large"), 16'847'232);
  EXPECT_EQ(count("v5-thunderbolt"), 29'750'784);
  EXPECT_EQ(count("v6-prcsm"), 4'141'862);
  EXPECT_EQ(count("v6-supernova"), 2'348'609);
  EXPECT_EQ(count("v6-supernova-8m"), 8'489'601);
  EXPECT_EQ(count("v7.5"), 7'613'440);
  EXPECT_EQ(count("v8.3"), 6'566'400);
  EXPECT_EQ(count("v5.2-nova-ignition"), 4'987'392);
  EXPECT_EQ(count("v5.2a-nova"), 36'869'760);
  EXPECT_EQ(count("v7.4"), 6'564'864);
  EXPECT_EQ(count("v8-searchlm"), 6'166'016);
  EXPECT_EQ(count("v8.1"), 6'566'400);
  EXPECT_EQ(count("v8.2"), 7'156'224);
  EXPECT_EQ(count("v8.4-lean"), 1'773'312);
  EXPECT_EQ(count("v8.4-cortex-ix"), 7'352'832);
  EXPECT_EQ(count("v8.4-cortex-ix-small"), 6'763'008);
  EXPECT_EQ(count("gpt-baseline"), 4'985'088);  // not of the lineup, as the next
  EXPECT_EQ(count("gpt-qwen3"), 4'984'832);
  EXPECT_EQ(count("flagship-2m"), 2'410'367);
  EXPECT_EQ(count("flagship-3m"), 3'410'527);
  EXPECT_EQ(count("flagship-5m"), 5'472'963);
  EXPECT_EQ(count("flagship-12m"), 12'066'601);
  EXPECT_EQ(count("flagship-25m"), 24'886'627);
  EXPECT_EQ(count("flagship-ternary"), 5'472'963);
  EXPECT_EQ(count("cortex-viii"), 6'566'400 + 6 * (4 * 256 + 4));  // the delta rule's own projection
}

// What the announcement of v6 says: 8 to 9 M parameters, 85 % of them ternary.
TEST(Presets, TheAnnouncedSizeOfSupernova) {
  const auto model = MakeModel(LoadPreset("v6-supernova-8m").at("model"), false);
  const auto all = static_cast<double>(model->bank().ParameterCount());
  EXPECT_GE(all, 8e6);
  EXPECT_LE(all, 9e6);
  EXPECT_NEAR(static_cast<double>(model->bank().TernaryCount()) / all, 0.85, 0.005);
  EXPECT_EQ(model->config().at("d_model"), LoadPreset("v6-supernova").at("model").at("d_model"));
}

// Four phases (docs/spec/supernova.md#phases), by parts of whatever budget.
TEST(Presets, SupernovaHasItsFourPhases) {
  for (const char* name : {"v6-supernova", "v6-supernova-8m"}) {
    Json document = LoadPreset(name);
    const std::vector<Phase> phases = RunConfig::FromDocument(document, name).phases;
    ASSERT_EQ(phases.size(), 4u);
    const double from[] = {0, 0.15, 0.5, 0.85};
    for (size_t i = 0; i < phases.size(); ++i) EXPECT_EQ(phases[i].from, from[i]);
    EXPECT_EQ(phases[0].difficulty[1], 30);
    EXPECT_EQ(phases[0].depth, 1);
    EXPECT_EQ(phases[1].depth, 3);
    EXPECT_EQ(phases[2].depth, 0);
    EXPECT_EQ(phases[3].source, "mixture");
    ApplyOverride("train.phases=0", document);
    EXPECT_TRUE(RunConfig::FromDocument(document, name).phases.empty());
  }
}

TEST(Presets, AFamilyIsNoModelButItsSizesAre) {
  const Json family = LoadPreset("flagship");
  ASSERT_TRUE(IsFamily(family));
  for (const Json& size : family["sizes"]) {
    EXPECT_NO_THROW(LoadPresetModel(size.get<std::string>(), {}));
  }
  EXPECT_THROW(LoadPresetModel("flagship", {}), UsageError);
  EXPECT_THROW(RunConfig::FromDocument(family, "flagship"), UsageError);
  // Another recipe is for the sizes.
  EXPECT_EQ(LoadPreset("flagship", "modern"), family);
}

TEST(Presets, SizesOfAFamilyMayLieBesideIt) {
  const ScratchFolder folder;
  const std::string path =
      folder.Write("family.toml", "sizes = [\"small.toml\", \"/far/large.toml\", \"gpt-baseline\"]");
  EXPECT_EQ(LoadPreset(path)["sizes"], Json({folder / "small.toml", "/far/large.toml", "gpt-baseline"}));
}

TEST(Presets, BadNamesAndValuesAreNamed) {
  EXPECT_THROW(LoadPreset("cortex-vii"), UsageError);
  const auto message = [](const char* assignment) -> std::string {
    Json document = LoadPreset("v8.3");
    ApplyOverride(assignment, document);
    try {
      MakeModel(RunConfig::FromDocument(document, "v8.3").model, false);
    } catch (const UsageError& e) {
      return e.OneLine();
    }
    return "accepted";
  };
  EXPECT_NE(message("model.d_modle=3").find("did you mean 'd_model'"), std::string::npos);
  EXPECT_NE(message("model.d_model=0").find("out of range"), std::string::npos);
  EXPECT_NE(message("model.d_head=7").find("even"), std::string::npos);
  EXPECT_NE(message("model.memory=gated").find("choose from: delta, linear"), std::string::npos);
  EXPECT_NE(message("optim.lr=\"fast\"").find("expected a number"), std::string::npos);
  EXPECT_NE(message("trian.seed=1").find("did you mean 'train'"), std::string::npos);
  EXPECT_NE(message("model.architecture=cortex").find("unknown architecture"), std::string::npos);
}

}  // namespace
}  // namespace flashlm
