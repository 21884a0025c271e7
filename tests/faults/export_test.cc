// Exporting and importing with the n-th allocation or system call failing: an error, never a crash; what stood in the
// place of a file is what it was or what it was to become, and a folder is there whole or not at all.
#include "exchange/gguf.h"
#include "exchange/hf_export.h"
#include "exchange/hf_import.h"
#include "exchange/packed_export.h"
#include "infer/loaded_model.h"
#include "tests/faults/fault_testing.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

class ExportFaults : public Faults {
 protected:
  // Large enough for allocations that may fail.
  static LoadedModel TinyLoaded(const char* architecture) {
    return {TinyModel(FindModel(architecture), {{"d_model", 64}}), TinyTokenizer(), Json(), "/nowhere/model"};
  }

  // `write` puts a file of the model where another one stands.
  void ReplaceFile(const std::function<void(const std::string& path)>& write) {
    const std::string folder = scratch_ / "out", path = folder + "/model";
    MakeFolder(folder);
    write(path);
    const std::string wanted = ReadFile(path), old = "what stood there";
    Overwrite(path, old);
    const int64_t failures = ForEachFault(
        GetParam(), [&] { write(path); },
        [&](bool done) {
          const std::string text = ReadFile(path);
          EXPECT_TRUE(text == wanted || (!done && text == old)) << text.size();
          for (const auto& entry : fs::directory_iterator(folder)) EXPECT_EQ(entry.path(), path);
          Overwrite(path, old);
        });
    EXPECT_EQ(failures > 0, !Harmless(GetParam())) << failures;
  }

  // `write` makes a folder, with the same files every time.
  void MakeNewFolder(const std::function<void(const std::string& folder)>& write) {
    const std::string around = scratch_ / "out", folder = around + "/model", whole = scratch_ / "whole";
    MakeFolder(around);
    fs::remove_all(whole);
    write(whole);
    const int64_t failures = ForEachFault(
        GetParam(), [&] { write(folder); },
        [&](bool done) {
          EXPECT_TRUE(fs::exists(folder) || !done);
          for (const auto& entry : fs::directory_iterator(around)) EXPECT_EQ(entry.path(), folder);
          for (const auto& entry : fs::directory_iterator(whole)) {
            const std::string file = folder + "/" + entry.path().filename().string();
            EXPECT_TRUE(!fs::exists(folder) || ReadFile(file) == ReadFile(entry.path().string())) << file;
          }
          fs::remove_all(folder);
        });
    EXPECT_EQ(failures > 0, !Harmless(GetParam())) << failures;
  }
};

TEST_P(ExportFaults, Packed) {
  const LoadedModel loaded = TinyLoaded("v5-thunderbolt");
  ReplaceFile([&](const std::string& path) { ExportPacked(loaded, path, {}); });
}

TEST_P(ExportFaults, PackedWithItsCost) {
  const LoadedModel loaded = TinyLoaded("gpt");
  PackedOptions options;
  options.text = scratch_ / "text.txt";
  options.seconds = 0.001;
  Overwrite(options.text, "Once upon a time there was a cat.\n<|endoftext|>\nThe dog was sad.\n<|endoftext|>\nEnd.\n");
  ReplaceFile([&](const std::string& path) { ExportPacked(loaded, path, options); });
}

TEST_P(ExportFaults, Gguf) {
  const LoadedModel loaded = TinyLoaded("llama");
  ReplaceFile([&](const std::string& path) { ExportGguf(loaded, path, DType::kF32, "Tiny", "mit"); });
}

TEST_P(ExportFaults, HuggingFaceAndBack) {
  const LoadedModel loaded = TinyLoaded("llama");
  MakeNewFolder([&](const std::string& folder) { ExportHuggingFace(loaded, folder, {}); });
  const std::string there = scratch_ / "hf";
  ExportHuggingFace(loaded, there, {});
  MakeNewFolder([&](const std::string& folder) { ImportHuggingFace(there, folder); });
}

TEST_P(ExportFaults, LoadingAPackedModel) {
  const std::string path = scratch_ / "model.flm";
  ExportPacked(TinyLoaded("v5-thunderbolt"), path, {});
  const std::string bytes = ReadFile(path);
  const int64_t failures = ForEachFault(
      GetParam(), [&] { LoadModel(path); }, [](bool) {});
  EXPECT_EQ(failures > 1, GetParam() == Fault::kMemory || GetParam() == Fault::kIo) << failures;
  EXPECT_EQ(ReadFile(path), bytes);
}

INSTANTIATE_TEST_SUITE_P(All, ExportFaults, testing::ValuesIn(kAllFaults), NameOfFault);

}  // namespace
}  // namespace flashlm
