// Recipes: what ships can be read, presets repeat nothing of theirs, and whose line wins.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "models/presets.h"
#include "train/config.h"

namespace flashlm {
namespace {

class RecipesTest : public testing::Test {
 protected:
  RecipesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_recipes_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~RecipesTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& toml) const {
    WriteFileAtomic(folder_ + "/" + name, toml);
    return folder_ + "/" + name;
  }
  static void ExpectRefusal(const std::function<void()>& load, const std::string& part) {
    try {
      load();
      ADD_FAILURE() << "accepted instead of: " << part;
    } catch (const UsageError& e) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine();
    }
  }

  std::string folder_;
};

constexpr char kModel[] = "[model]\narchitecture = \"gpt\"\n";

TEST_F(RecipesTest, EachThatShipsTrainsAnyModel) {
  ASSERT_GE(Recipes().size(), 3u);
  const std::string preset = Write("preset.toml", kModel);
  for (const Recipe& recipe : Recipes()) {
    const Json document = LoadPreset(preset, recipe.name);
    EXPECT_NO_THROW(RunConfig::FromDocument(document, preset)) << recipe.name;
    EXPECT_TRUE(document.at("optim").contains("optimizer")) << recipe.name;
    EXPECT_TRUE(recipe.toml.starts_with("# ")) << recipe.name << ": its first line is what --help says";
  }
}

// A line that says what the recipe says already would outlive a change of it.
TEST_F(RecipesTest, PresetsNameOneAndRepeatNothingOfIt) {
  std::set<std::string> used;
  for (const Preset& preset : Presets()) {
    if (IsFamily(LoadPreset(preset.name))) continue;
    const Json own = ParseToml(preset.toml, preset.name);
    ASSERT_TRUE(own.contains("recipe")) << preset.name;
    const std::string name = own["recipe"].get<std::string>();
    used.insert(name);
    const Json lines = LoadPreset(Write("empty.toml", kModel), name);
    for (const char* section : {"train", "optim"}) {
      if (!own.contains(section)) continue;
      for (const auto& [key, value] : own[section].items()) {
        const Json recipe = lines.value(section, Json::object());
        EXPECT_FALSE(recipe.contains(key) && recipe[key] == value) << preset.name << ": " << section << "." << key;
      }
    }
  }
  EXPECT_TRUE(used.contains("modern") && used.contains("published-v8.3"));
}

// What presets were trained with before there were recipes; results in README.md and docs/lab-book.md are of these.
TEST_F(RecipesTest, PresetsAreTrainedAsTheyWere) {
  const Json modern = ParseToml(R"(optimizer = "muon"
muon_lr = 0.02
muon_steps = 5
lr = 2e-3
vector_lr = 0.01
beta1 = 0.8
beta2 = 0.95
weight_decay = 0.0
clip = 0.0
schedule = "linear"
warmup_fraction = 0.02
decay_fraction = 0.5
final_lr_fraction = 0.0)",
                                "modern");
  const Json published = ParseToml(R"(optimizer = "adamw"
lr = 5e-4
final_lr_fraction = 0.02
warmup_fraction = 0.05
schedule = "cosine"
weight_decay = 0.01
embedding_lr = 0.0
vector_lr = 0.0
beta1 = 0.9
beta2 = 0.95
clip = 1.0)",
                                   "published");
  for (const char* name :
       {"cortex-viii", "gpt-baseline", "gpt-qwen3", "v4-bolt", "v4-bolt-large", "v5-thunderbolt", "v5.2-nova-ignition",
        "v5.2a-nova", "v6-prcsm", "v6-supernova", "v7.4", "v7.5", "v8-searchlm", "v8.1", "v8.2", "v8.3",
        "v8.4-cortex-ix", "v8.4-cortex-ix-small", "v8.4-lean"}) {
    const RunConfig config = RunConfig::FromDocument(LoadPreset(name), name);
    const bool is_published = std::string(name) == "v8.3";
    const Json optim = FieldsToJson(config.optim);
    for (const auto& [key, value] : (is_published ? published : modern).items()) {
      EXPECT_EQ(optim.at(key), value) << name << ": " << key;
    }
    EXPECT_EQ(config.recipe, is_published ? "published-v8.3" : "modern");
  }
  const TrainConfig train = RunConfig::FromDocument(LoadPreset("v8.3"), "v8.3").train;
  EXPECT_EQ(train.sequence_length, 256);
  EXPECT_EQ(train.micro_batch, 4);
  EXPECT_EQ(train.accumulate, 8);
}

TEST_F(RecipesTest, ThePresetsOwnLinesWinUnlessAnotherRecipeIsAskedFor) {
  Write("own.toml", "[optim]\nlr = 0.1\nclip = 0.2\nbeta1 = 0.3\n[train]\nmicro_batch = 3\n");
  const std::string other = Write("other.toml", "[optim]\nlr = 0.7\nweight_decay = 0.6\n");
  const std::string preset =
      Write("preset.toml", std::string("recipe = \"own.toml\"\n") + kModel + "[optim]\nlr = 0.5\nbeta1 = 0.4\n");

  const Json own = LoadPreset(preset);
  EXPECT_EQ(own.at("recipe"), folder_ + "/own.toml") << "it lies beside the preset";
  EXPECT_EQ(own.at("optim"), Json({{"beta1", 0.4}, {"clip", 0.2}, {"lr", 0.5}}));
  EXPECT_EQ(own.at("train"), Json({{"micro_batch", 3}}));
  EXPECT_EQ(own.at("model").at("architecture"), "gpt");

  const Json replaced = LoadPreset(preset, other);
  EXPECT_EQ(replaced.at("recipe"), other);
  EXPECT_EQ(replaced.at("optim"), Json({{"beta1", 0.4}, {"lr", 0.7}, {"weight_decay", 0.6}}))
      << "its own recipe's lines are gone, its own lines stay where the other recipe has none";
  EXPECT_FALSE(replaced.contains("train"));
  EXPECT_EQ(RunConfig::FromDocument(replaced, preset).recipe, other);
}

TEST_F(RecipesTest, ArePartOfWhatARunIs) {
  const RunConfig config = RunConfig::FromDocument(LoadPreset("v8.3", "adamw"), "v8.3");
  EXPECT_EQ(RunConfig::FromJson(ParseToml(ToToml(config.ToJson()), "test")).recipe, "adamw");
  const RunConfig without = RunConfig::FromDocument(LoadPreset(Write("none.toml", kModel)), "none");
  EXPECT_EQ(without.recipe, "");
  EXPECT_FALSE(without.ToJson().contains("recipe")) << "as in runs from before there were recipes";
}

TEST_F(RecipesTest, RefusesWhatIsNone) {
  ExpectRefusal([] { LoadPreset("v8.3", "moderm"); }, "unknown recipe 'moderm' (hint: did you mean 'modern'?)");
  const std::string unknown = Write("unknown.toml", std::string("recipe = \"adam\"\n") + kModel);
  ExpectRefusal([&] { LoadPreset(unknown); }, "did you mean 'adamw'?");
  const std::string number = Write("number.toml", std::string("recipe = 3\n") + kModel);
  ExpectRefusal([&] { LoadPreset(number); }, "recipe = 3 names none");
  const std::string model = Write("model.toml", kModel);
  ExpectRefusal([&] { LoadPreset("v8.3", model); }, "'model' is not for a recipe");
  const std::string flat = Write("flat.toml", "lr = 1\n");
  ExpectRefusal([&] { LoadPreset("v8.3", flat); }, "'lr' is not for a recipe");
  EXPECT_THROW(LoadPreset("v8.3", folder_ + "/missing.toml"), Error);
  const std::string typo = Write("typo.toml", "[optim]\nlrr = 1\n");
  ExpectRefusal([&] { RunConfig::FromDocument(LoadPreset("v8.3", typo), "v8.3"); }, "optim.lrr: unknown key");
}

TEST_F(RecipesTest, HelpListsThem) {
  const std::string help = PresetsHelp();
  EXPECT_NE(help.find("  published-v8.3       v8.3\n"), std::string::npos) << help;
  EXPECT_NE(help.find("  adamw                AdamW as transformers"), std::string::npos) << help;
}

}  // namespace
}  // namespace flashlm
