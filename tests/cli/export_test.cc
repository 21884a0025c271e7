// export and import as a user meets them: a packed file serves every verb, and what is wrong is said in one line.
#include <fmt/format.h>

#include "base/json.h"
#include "kernels/isa.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

class ExportTest : public TrainTest {
 protected:
  static void SetUpTestSuite() {
    TrainTest::SetUpTestSuite();
    run_ = *shared_ / "run";
    const CommandResult trained = RunCommand(Train(run_, {"--steps", "10"}), *shared_);
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    text_ = data_ + "/valid.txt";
  }
  CommandResult Run(const std::vector<std::string>& arguments) { return RunCommand(arguments, scratch_); }
  Json RunJson(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments[0] << ": " << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  CommandResult Export(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"export", "--model", run_, "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  // A small model of this preset.
  std::string TrainSmall(const std::string& preset, const std::string& steps, std::vector<std::string> sets) {
    const std::string run = scratch_ / preset;
    std::vector<std::string> arguments = {"train", "--preset", preset, "--data", data_, "--out", run, "--steps", steps};
    sets.insert(sets.end(), {"model.vocab=512", "model.d_model=32", "model.n_layers=2", "train.sequence_length=64"});
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    const CommandResult trained = Run(arguments);
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
    return run;
  }
  // Of the architecture "llama", for other programs.
  std::string TrainLlama() { return TrainSmall("gpt-qwen3", "30", {"model.d_head=8", "model.d_ff=48"}); }

  static inline std::string run_, text_;
};

TEST_F(ExportTest, APackedFileServesEveryVerb) {
  const std::string file = scratch_ / "model.flm";
  const CommandResult made = Export(file, {"--format", "packed"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.out.find("int8 costs"), std::string::npos) << made.out;  // on the run's own validation text
  EXPECT_GT(RunJson({"eval", "--model", file, "--text", text_}).at("bits_per_byte"), 0.1);
  EXPECT_EQ(RunJson({"generate", "--model", file, "-p", "Once", "-n", "5"}).at("tokens").size(), 5u);
  EXPECT_GT(RunJson({"bench", "decode", "--model", file, "--tokens", "5"}).at("tokens_per_s"), 1);
  EXPECT_EQ(RunJson({"inspect", file}).at("architecture"), "cortex-viii");
  EXPECT_EQ(RunJson({"selftest", "--model", file}).at("failed"), 0);
  EXPECT_TRUE(RunJson({"probe", "--model", file, "--items", "4"}).contains("categories"));
  const CommandResult again = Run({"export", "--model", file, "--out", scratch_ / "again.flm", "--format", "packed"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("not measured"), std::string::npos) << again.out;  // a file has no run
}

// What is kept as integers is multiplied as such, where that is fast.
TEST_F(ExportTest, APackedFileOfIntegersIsDecodedInIntegers) {
  const std::string integers = scratch_ / "integers.flm", floats = scratch_ / "floats.flm";
  ASSERT_EQ(Export(integers, {"--format", "packed"}).exit_code, 0);
  ASSERT_EQ(Export(floats, {"--format", "packed", "--floats", "f32"}).exit_code, 0);
  const auto precision = [this](const std::string& model) {
    return RunJson({"generate", "--model", model, "-n", "2"}).at("precision").get<std::string>();
  };
  const std::string here = precision(run_);
  EXPECT_EQ(precision(integers), kernels::HasVnni() ? "int8" : here);
  EXPECT_EQ(precision(floats), here);
  EXPECT_EQ(RunJson({"generate", "--model", integers, "-n", "2", "--precision", "f32"}).at("precision"), "f32");
  // Trits lose nothing, and nor does a file that was asked to: its float matrices stay floats.
  const std::string ternary = TrainSmall("v4-bolt", "3", {});
  const std::string exact = scratch_ / "exact.flm";
  RunJson({"export", "--model", ternary, "--out", exact, "--format", "packed", "--floats", "f32"});
  EXPECT_EQ(precision(exact), precision(ternary));
}

TEST_F(ExportTest, WithoutRoundingItIsTheModel) {
  const std::string file = scratch_ / "model.flm";
  const Json report = RunJson({"export", "--model", run_, "--out", file, "--format", "packed", "--floats", "f32"});
  EXPECT_EQ(report.at("cost_bits_per_byte"), 0.0);
  EXPECT_EQ(report.at("bytes"), fs::file_size(file));
  const Json a = RunJson({"eval", "--model", run_, "--text", text_}),
             b = RunJson({"eval", "--model", file, "--text", text_});
  EXPECT_EQ(a.at("bits_per_byte"), b.at("bits_per_byte"));
  EXPECT_EQ(a.at("precision"), b.at("precision"));
}

TEST_F(ExportTest, TheCostIsThatOfTheFile) {
  const std::string file = scratch_ / "model.flm";
  const Json report =
      RunJson({"export", "--model", run_, "--out", file, "--format", "packed", "--text", text_, "--floats", "int8"});
  const double exact = RunJson({"eval", "--model", run_, "--text", text_}).at("bits_per_byte");
  const double packed = RunJson({"eval", "--model", file, "--text", text_}).at("bits_per_byte");
  EXPECT_NEAR(report.at("cost_bits_per_byte"), packed - exact, 1e-9);
  EXPECT_NE(packed, exact);
  EXPECT_GT(report.at("cost_stderr"), 0);
}

TEST_F(ExportTest, GoesToTransformersAndBack) {
  const std::string run = TrainLlama(), hf = scratch_ / "hf", back = scratch_ / "back";
  const Json report = RunJson({"export", "--model", run, "--out", hf, "--format", "hf", "--dataset", "a/b"});
  EXPECT_EQ(report.at("class"), "Qwen3ForCausalLM");
  EXPECT_EQ(report.at("figures_in_card"), true);
  const Json results = ReadJsonFile(run + "/results.json");
  EXPECT_NE(ReadFile(hf + "/README.md")
                .find(fmt::format("{:.4f} bits per byte", results.at("val_bits_per_byte").get<double>())),
            std::string::npos);
  EXPECT_EQ(RunJson({"import", "--from", hf, "--out", back}).at("parameters"), results.at("params"));
  for (const char* precision : {"f32", "bf16"}) {
    const auto bits = [&](const std::string& model) {
      return RunJson({"eval", "--model", model, "--text", text_, "--precision", precision}).at("bits_per_byte");
    };
    EXPECT_EQ(bits(run), bits(back));
  }
  EXPECT_EQ(RunJson({"export", "--model", run, "--out", scratch_ / "m.gguf", "--format", "gguf"}).at("tensors"),
            2 * 11 + 2);
}

// A model of somebody else is trained further on text in its own tokens.
TEST_F(ExportTest, AnImportedModelIsTrainedFurther) {
  const std::string hf = scratch_ / "hf", model = scratch_ / "model", data = scratch_ / "data", run = scratch_ / "run";
  RunJson({"export", "--model", TrainLlama(), "--out", hf, "--format", "hf"});
  RunJson({"import", "--from", hf, "--out", model});
  const CommandResult prepared = Run({"data", "prepare", "--input", "synthetic", "--seed", "5", "--out", data,
                                      "--synthetic-bytes", "60000", "--tokenizer", model});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.err;
  EXPECT_EQ(ReadFile(data + "/tokenizer.json"), ReadFile(model + "/tokenizer.json"));
  const std::vector<std::string> train = {"train",
                                          "--preset",
                                          "gpt-qwen3",
                                          "--start",
                                          model,
                                          "--data",
                                          data,
                                          "--set",
                                          "train.sequence_length=64",
                                          "--set",
                                          "optim.warmup_fraction=0"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), train.begin(), train.end());
    return Run(more);
  };
  const CommandResult trained = with({"--out", run, "--steps", "2"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const double from = RunJson({"eval", "--model", model, "--text", data + "/valid.txt"}).at("nats_per_token");
  EXPECT_NEAR(StepsOf(run).front().at("cross_entropy"), from, 0.3);  // an untrained model has ln 512 = 6.2
  EXPECT_EQ(ReadJsonFile(run + "/latest/config.json").at("d_model"), 32);
  EXPECT_EQ(Run({"train", "--resume", run, "--steps", "3"}).exit_code, 0);
  // A run gives its tokenizer as a model does.
  EXPECT_EQ(Run({"data", "prepare", "--input", "synthetic", "--seed", "6", "--out", scratch_ / "more",
                 "--synthetic-bytes", "20000", "--tokenizer", run})
                .exit_code,
            0);
  EXPECT_EQ(ReadFile(scratch_ / "more/tokenizer.json"), ReadFile(model + "/tokenizer.json"));

  ExpectOneLine(with({"--out", scratch_ / "a", "--set", "model.d_ff=40"}), 1, "ffn");
  PrepareSmall(scratch_ / "other");
  ExpectOneLine(Run({"train", "--preset", "gpt-qwen3", "--start", model, "--data", scratch_ / "other", "--out",
                     scratch_ / "b", "--steps", "1", "--set", "model.vocab=512"}),
                1, "tokenizer");
  ExpectOneLine(Run({"train", "--start", model, "--data", data, "--out", scratch_ / "c"}), 2, "--preset");
  ExpectOneLine(Run({"train", "--resume", run, "--start", model}), 2, "--start");
  ExpectOneLine(
      Run({"data", "prepare", "--input", "synthetic", "--out", scratch_ / "d", "--tokenizer", model, "--vocab", "512"}),
      2, "--vocab");
}

// Wherever a tokenizer.json is named.
TEST_F(ExportTest, APackedFileGivesItsTokenizer) {
  const std::string file = scratch_ / "model.flm", data = scratch_ / "data", text = scratch_ / "text.txt";
  ASSERT_EQ(Export(file, {"--format", "packed"}).exit_code, 0);
  const CommandResult prepared = Run({"data", "prepare", "--input", "synthetic", "--seed", "5", "--out", data,
                                      "--synthetic-bytes", "20000", "--tokenizer", file});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.err;
  const std::string own = run_ + "/latest/tokenizer.json";
  EXPECT_EQ(ReadFile(data + "/tokenizer.json"), ReadFile(own));
  WriteFileAtomic(text, "Once upon a time there was a cat.");
  const Json ids = RunJson({"tokenizer", "encode", "--tokenizer", file, "--input", text});
  EXPECT_EQ(ids, RunJson({"tokenizer", "encode", "--tokenizer", own, "--input", text}));
  WriteFileAtomic(scratch_ / "ids.json", ids.dump());
  EXPECT_EQ(Run({"tokenizer", "decode", "--tokenizer", file, "--input", scratch_ / "ids.json"}).out, ReadFile(text));
  // A damaged one is said to be what it is.
  const std::string bytes = ReadFile(file);
  WriteFileAtomic(file, bytes.substr(0, bytes.size() / 2));
  ExpectOneLine(Run({"tokenizer", "encode", "--tokenizer", file, "--input", text}), 1, "truncated");
}

// A folder of another that is called as one that is half made could be.
TEST_F(ExportTest, WhatStandsBesideAFolderIsLeftAlone) {
  const std::string hf = scratch_ / "hf", back = scratch_ / "back";
  for (const std::string& folder : {hf, back}) {
    MakeFolder(folder + ".tmp");
    WriteFileAtomic(folder + ".tmp/notes", "mine");
  }
  RunJson({"export", "--model", TrainLlama(), "--out", hf, "--format", "hf"});
  RunJson({"import", "--from", hf, "--out", back});
  for (const std::string& folder : {hf, back}) EXPECT_EQ(ReadFile(folder + ".tmp/notes"), "mine");
  // What a packed file has lost cannot be exported.
  const std::string ternary = TrainSmall("v4-bolt", "3", {}), file = scratch_ / "ternary.flm", out = scratch_ / "out";
  RunJson({"export", "--model", ternary, "--out", file, "--format", "packed"});
  ExpectOneLine(Run({"export", "--model", file, "--out", out, "--format", "hf"}), 1, "lost the floats");
  EXPECT_FALSE(fs::exists(out));
  RunJson({"export", "--model", ternary, "--out", out, "--format", "hf"});
}

TEST_F(ExportTest, RefusesInOneLine) {
  const std::string out = scratch_ / "out";
  ExpectOneLine(Export(out, {}), 2, "--format");
  ExpectOneLine(Export(out, {"--format", "onnx"}), 2, "onnx");
  ExpectOneLine(Export(out, {"--format", "packed", "--floats", "int4"}), 2, "int4");
  ExpectOneLine(Export(out, {"--format", "hf", "--floats", "int8"}), 2, "--floats");
  ExpectOneLine(Export(out, {"--format", "gguf", "--floats", "int8"}), 2, "--floats");
  ExpectOneLine(Export(out, {"--format", "hf", "--text", text_}), 2, "--text");
  ExpectOneLine(Export(out, {"--format", "packed", "--dataset", "x"}), 2, "--dataset");
  ExpectOneLine(Export(out, {"--format", "packed", "--text", scratch_ / "absent"}), 1, "absent");
  ExpectOneLine(Export("-", {"--format", "packed"}), 2, "--out -: --format packed makes a file");
  ExpectOneLine(Export("-", {"--format", "gguf"}), 2, "--out -: --format gguf makes a file");
  ExpectOneLine(Export("-", {"--format", "hf"}), 2, "--out -: a folder");
  ExpectOneLine(Export("/dev/stdout", {"--format", "gguf"}), 2, "--out /dev/stdout: --format gguf makes a file");
  ExpectOneLine(Export("/dev/stdout", {"--format", "packed"}), 2, "--out /dev/stdout: --format packed makes a file");
  ExpectOneLine(Export(scratch_ / ".", {"--format", "packed"}), 2, "is a folder");
  ExpectOneLine(Export(run_, {"--format", "hf"}), 2, "there already");
  ExpectOneLine(Export(run_ + "/latest/model.safetensors", {"--format", "packed"}), 2, "own folder");
  ExpectOneLine(Export(out, {"--format", "gguf"}), 1, "cortex-viii");
  EXPECT_FALSE(fs::exists(out));
  ExpectOneLine(Run({"export", "--model", scratch_ / "absent", "--out", out, "--format", "packed"}), 1, "absent");
  ExpectOneLine(Run({"import", "--from", scratch_ / "absent", "--out", out}), 1, "absent");
  ExpectOneLine(Run({"import", "--from", run_ + "/latest", "--out", out}), 1, "model_type");
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(ExportTest, BadFilesAreRefusedInOneLine) {
  const std::string file = scratch_ / "model.flm", bad = scratch_ / "bad.flm";
  ASSERT_EQ(Export(file, {"--format", "packed"}).exit_code, 0);
  std::string bytes = ReadFile(file);
  WriteFileAtomic(bad, bytes.substr(0, bytes.size() / 2));
  ExpectOneLine(Run({"eval", "--model", bad, "--text", text_}), 1, "truncated");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFileAtomic(bad, bytes);
  ExpectOneLine(Run({"generate", "--model", bad}), 1, "SHA-256");
  WriteFileAtomic(bad, "no model at all");
  ExpectOneLine(Run({"generate", "--model", bad}), 1, "no packed model");
  ExpectOneLine(Run({"eval", "--model", file, "--text", text_, "--tokens", file}), 2, "--tokens");
  ExpectOneLine(Run({"export", "--model", file, "--out", file, "--format", "packed"}), 2, "--out");
  EXPECT_GT(fs::file_size(file), bytes.size() / 2);
}

}  // namespace
}  // namespace flashlm
