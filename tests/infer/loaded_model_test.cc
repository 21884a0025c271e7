#include "infer/loaded_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "infer/session.h"
#include "io/model_folder.h"
#include "kernels/gemm/precision.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

class LoadedModelTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "loaded_model_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    model_ = TinyModel(RegisteredModels().front());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const Json& config, const Tokenizer& tokenizer) {
    WriteModelFolder(folder_, config, model_->bank(), tokenizer.ToJson());
  }
  std::string ErrorOfLoading() {
    try {
      LoadModel(folder_);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 1);
      return error.OneLine();
    }
    return "";
  }

  std::string folder_;
  std::unique_ptr<Model> model_;
};

TEST_F(LoadedModelTest, ReadsWhatWasWritten) {
  Write(model_->config(), TinyTokenizer());
  LoadedModel loaded = LoadModel(folder_);
  EXPECT_EQ(loaded.model->config(), model_->config());
  EXPECT_EQ(loaded.tokenizer.Hash(), TinyTokenizer().Hash());
  EXPECT_TRUE(loaded.trainer_state.is_null());
  Session a(*model_, DType::kF32), b(*loaded.model, DType::kF32);
  const float* expected = a.Feed(17);
  const float* got = b.Feed(17);
  for (int v = 0; v < a.vocab(); ++v) ASSERT_EQ(got[v], expected[v]);
}

TEST_F(LoadedModelTest, NamesAnUnknownArchitecture) {
  Json config = model_->config();
  config["architecture"] = "cortex-ix";
  Write(config, TinyTokenizer());
  const std::string error = ErrorOfLoading();
  EXPECT_NE(error.find("cortex-ix"), std::string::npos) << error;
  EXPECT_NE(error.find("config.json"), std::string::npos) << error;
}

TEST_F(LoadedModelTest, NamesATokenizerOfAnotherSize) {
  const std::vector<std::string_view> texts = {"ab ab ab"};
  Write(model_->config(), Tokenizer::Train(texts, 262));
  const std::string error = ErrorOfLoading();
  EXPECT_NE(error.find("tokenizer.json"), std::string::npos) << error;
  EXPECT_NE(error.find("290"), std::string::npos) << error;
}

// So that an evaluation after a run agrees with the run's own.
TEST_F(LoadedModelTest, ScoresInTheTypeOfItsRun) {
  Write(model_->config(), TinyTokenizer());
  LoadedModel loaded = LoadModel(folder_);
  const DType fastest = kernels::ComputeType("auto", kernels::Work::kPrefill);
  EXPECT_EQ(ScoringType(loaded, "auto"), fastest);  // a plain model folder does not say
  loaded.trainer_state = {{"precision", "f32"}};
  EXPECT_EQ(ScoringType(loaded, "auto"), DType::kF32);
  loaded.trainer_state = {{"precision", "bf16"}};
  EXPECT_EQ(ScoringType(loaded, "auto"), kernels::MultipliesBf16() ? DType::kBF16 : DType::kF32);
  EXPECT_EQ(ScoringType(loaded, "f32"), DType::kF32);
  EXPECT_THROW(ScoringType(loaded, "fp16"), UsageError);
}

TEST_F(LoadedModelTest, NamesAMissingFolder) { EXPECT_NE(ErrorOfLoading().find(folder_), std::string::npos); }

TEST_F(LoadedModelTest, NamesParametersThatDoNotFit) {
  Json config = model_->config();
  config["n_layers"] = 1;
  Write(config, TinyTokenizer());
  EXPECT_NE(ErrorOfLoading().find("model.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace flashlm
