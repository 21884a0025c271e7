#include "infer/loaded_model.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "autograd/ops.h"
#include "base/error.h"
#include "base/files.h"
#include "infer/session.h"
#include "io/model_folder.h"
#include "io/packed_file.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"
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

// The log-probabilities of some tokens, read at once and one by one.
std::vector<float> Reading(Model& model, DType dtype) {
  Session session(model, dtype);
  std::vector<int32_t> prompt(40);
  for (size_t t = 0; t < prompt.size(); ++t) prompt[t] = static_cast<int32_t>(7 * t % 31) + 4;
  std::vector<float> all;
  const auto keep = [&](const float* row) { all.insert(all.end(), row, row + session.vocab()); };
  keep(session.Feed(prompt));
  for (const int32_t token : {9, 17, 4}) keep(session.Feed(token));
  return all;
}

void Pack(const Model& model, const std::string& path, Packing floats) {
  WritePackedFile(path, {model.config(), {{"step", 3}, {"precision", "f32"}}, TinyTokenizer().ToJson(), ""},
                  model.bank(), floats);
}

// Of every architecture, its ternary maps with and without rounded inputs: a packed file that rounds no floats gives
// the bits of the model, and one that does those of the model with its floats rounded. int8 products round floats too.
TEST_F(LoadedModelTest, PackedModelsGiveTheBitsOfTheModel) {
  const std::string path = folder_ + ".flm";
  for (const ModelEntry& entry : RegisteredModels()) {
    for (const char* activation : {"none", "int8"}) {
      Json overrides = Json::object();
      if (entry.tiny().contains("weights")) overrides["weights"] = "ternary";
      if (entry.tiny().contains("activation")) {
        overrides["activation"] = activation;
      } else if (std::string(activation) == "int8") {
        continue;  // a model of floats alone, which was looked at
      }
      const std::unique_ptr<Model> model = TinyModel(entry, overrides);
      for (const Packing floats : {Packing::kF32, Packing::kBF16, Packing::kInt8}) {
        Pack(*model, path, floats);
        const LoadedModel packed = LoadModel(path);
        EXPECT_EQ(packed.model->config(), model->config());
        EXPECT_EQ(packed.folder, path);
        EXPECT_EQ(packed.step, 3);
        EXPECT_EQ(packed.tokenizer.Hash(), TinyTokenizer().Hash());
        EXPECT_EQ(ScoringType(packed, "auto"), DType::kF32);
        RoundAsPacked(model->bank(), floats);  // nothing for kF32, and from there to coarser and coarser
        for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
          if (dtype == DType::kI8 && !kernels::HasVnni()) continue;
          if (dtype == DType::kI8 && floats == Packing::kInt8) continue;  // a rounded row's scale is rounded once more
          EXPECT_EQ(Reading(*model, dtype), Reading(*packed.model, dtype))
              << entry.name << " " << overrides << " " << NameOf(floats) << " read in " << NameOf(dtype);
        }
      }
    }
  }
  std::filesystem::remove(path);
}

// What a ternary map with int8 inputs computes in training is what a packed file computes, bit for bit.
TEST_F(LoadedModelTest, PackedTernaryMapsAreThoseOfTraining) {
  for (const auto kind :
       {kernels::Ternary::kMean, kernels::Ternary::kMatrix, kernels::Ternary::kRow, kernels::Ternary::kScaleGradient}) {
    const auto declare = [&](ParamBank& bank, bool training) {
      const Param map =
          bank.Add({"map.weight", {24, 48}, Role::kMatrix, Init::Normal(0.3f), 1, Quantization{kind, true}});
      bank.Allocate(training);
      return map;
    };
    ParamBank trained, served;
    const Param map = declare(trained, true);
    declare(served, false);
    trained.Initialize(11);
    const std::string path = folder_ + ".flm";
    WritePackedFile(path, {{{"architecture", "one map"}}, Json::object(), "{}", ""}, trained, Packing::kInt8);
    PackedFile(path).Load(served);
    WeightPacks trained_packs(trained), served_packs(served);
    const auto product = [&](ParamBank& bank, WeightPacks& packs, bool training) {
      Tape tape(bank, packs, DType::kF32);
      training ? tape.BeginTraining(1, 40, 1, 1) : tape.BeginInference(1, 40, nullptr);
      const Tensor x = tape.New(40, 48, DType::kF32);
      for (int i = 0; i < 40 * 48; ++i) x.f32()[i] = std::sin(0.7f * static_cast<float>(i));
      const Tensor y = Linear(tape, x, map);
      return std::vector<float>(y.f32(), y.f32() + 40 * 24);
    };
    EXPECT_EQ(product(trained, trained_packs, true), product(served, served_packs, false));
    std::filesystem::remove(path);
  }
}

// Of 8 MB of floats that ternary maps would be, products with int8 inputs make none, whatever is read beside them.
TEST_F(LoadedModelTest, PackedTernaryMapsNeedNoFloats) {
  constexpr int kMaps = 8, kOut = 256, kIn = 1024;
  std::vector<Param> maps, gains;
  const auto declare = [&](ParamBank& bank) {
    maps.clear();
    gains.clear();
    for (int i = 0; i < kMaps; ++i) {
      maps.push_back(bank.Add({fmt::format("{}.map", i),
                               {kOut, kIn},
                               Role::kMatrix,
                               Init::Normal(0.3f),
                               1,
                               Quantization{kernels::Ternary::kRow, true}}));
      gains.push_back(bank.Add({fmt::format("{}.gain", i), {kIn}, Role::kVector, Init::Normal(1)}));
    }
    bank.Allocate(false);
  };
  const std::string path = folder_ + ".flm";
  {
    ParamBank bank;
    declare(bank);
    bank.Initialize(11);
    WritePackedFile(path, {{{"architecture", "some maps"}}, Json::object(), "{}", ""}, bank, Packing::kInt8);
  }
  ParamBank served;
  declare(served);
  float* const values = served.values();  // asked for now: later it would have to hold values
  PackedFile(path).Load(served);
  WeightPacks packs(served);
  for (const int tokens : {1, 100}) {
    Tape tape(served, packs, DType::kF32);
    tape.BeginInference(1, tokens, nullptr);
    const Tensor x = tape.New(tokens, kIn, DType::kF32);
    std::fill_n(x.f32(), int64_t{tokens} * kIn, 1.0f);
    for (int i = 0; i < kMaps; ++i)
      Linear(tape, RmsNorm(tape, x, gains[static_cast<size_t>(i)]), maps[static_cast<size_t>(i)]);
  }
  const auto pages_in_memory = [&] {
    constexpr size_t kPage = 4096, kPages = size_t{kMaps} * kOut * kIn * sizeof(float) / kPage;
    std::vector<unsigned char> there(kPages);
    EXPECT_EQ(::mincore(values, kPages * kPage, there.data()), 0);
    return std::count_if(there.begin(), there.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  EXPECT_LE(pages_in_memory(), 3 * kMaps) << "more than the pages of gains";
  for (const Param& map : maps) served.Value(map);
  EXPECT_GT(pages_in_memory(), 2000);
  std::filesystem::remove(path);
}

// A packed file may say anything of its training.
TEST_F(LoadedModelTest, TakesOnlyWhatItKnowsFromAPackedFile) {
  const std::string path = folder_ + ".flm";
  const Json about = {{"step", "many"}, {"precision", 3}, {"tokens", 5}, {"run", {{"preset", {1}}, {"data", "/etc"}}}};
  WritePackedFile(path, {model_->config(), about, TinyTokenizer().ToJson(), ""}, model_->bank(), Packing::kInt8);
  const LoadedModel loaded = LoadModel(path);
  EXPECT_EQ(loaded.trainer_state, Json({{"tokens", 5}, {"run", Json::object()}}));
  EXPECT_EQ(loaded.step, -1);
  std::filesystem::remove(path);
}

TEST_F(LoadedModelTest, NamesAPackedFileThatDoesNotFit) {
  const std::string path = folder_ + ".flm";
  const auto error_with = [&](const Json& config, const Tokenizer& tokenizer) -> std::string {
    WritePackedFile(path, {config, Json::object(), tokenizer.ToJson(), ""}, model_->bank(), Packing::kInt8);
    try {
      LoadModel(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 1);
      EXPECT_NE(error.OneLine().find(path), std::string::npos) << error.OneLine();
      return error.OneLine();
    }
    return "";
  };
  Json config = model_->config();
  config["n_layers"] = 1;
  EXPECT_NE(error_with(config, TinyTokenizer()).find("does not fit"), std::string::npos);
  config["architecture"] = "cortex-ix";
  EXPECT_NE(error_with(config, TinyTokenizer()).find("cortex-ix"), std::string::npos);
  const std::vector<std::string_view> texts = {"ab ab ab"};
  EXPECT_NE(error_with(model_->config(), Tokenizer::Train(texts, 262)).find("290"), std::string::npos);
  std::filesystem::remove(path);
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
