// The verbs beside `train` as a user meets them: what they print, and what they refuse in one line.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cmath>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>
#include <utility>

#include "base/json.h"
#include "command.h"
#include "data/documents.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr char kTexts[] =
    "Once upon a time there was a little cat. The cat was happy.\n<|endoftext|>\n"
    "Tom had a red ball. He lost it, and Anna found it in the garden.\n";

std::string Write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

void ExpectOneLine(const CommandResult& result, int code, const std::string& part) {
  EXPECT_EQ(result.exit_code, code) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << "no '" << part << "' in: " << result.err;
  EXPECT_EQ(result.err.rfind("error: ", 0), 0u) << result.err;
  EXPECT_EQ(result.ErrorLines(), 1) << result.err;
  EXPECT_EQ(result.err.find("defect"), std::string::npos) << result.err;
}

class VerbsTest : public testing::Test {
 protected:
  CommandResult Run(const std::vector<std::string>& arguments) { return RunCommand(arguments, scratch_); }
  Scratch scratch_;
};

TEST_F(VerbsTest, HelpNamesDefaults) {
  struct Verb {
    std::vector<std::string> words, parts;
    std::vector<std::pair<std::string, std::string>> defaults;  // of options
  };
  for (const Verb& verb : std::vector<Verb>{
           {{},
            {"data", "tokenizer", "train", "compare", "scaling", "audit", "report", "eval", "probe", "generate",
             "bench", "selftest", "inspect", "export", "import", "doctor"},
            {}},
           {{"data"}, {"prepare", "inspect"}, {}},
           {{"data", "prepare"},
            {"REQUIRED", "synthetic", "tinystories", "valid_bytes", "<|endoftext|>", "--mix", "probes"},
            {{"--vocab", "4096"}}},
           {{"tokenizer"}, {"train", "encode", "decode"}, {}},
           {{"tokenizer", "train"}, {"REQUIRED"}, {{"--vocab", "4096"}}},
           {{"tokenizer", "encode"}, {"REQUIRED", "stdin without it"}, {}},
           {{"tokenizer", "decode"}, {"REQUIRED", "stdin without it"}, {}},
           {{"train"},
            {"10m without any budget", "1 without it", "presets: ", "recipes: ", "micro_batch", "muon_lr", "n_layers"},
            {{"--threads", "0"}}},
           {{"audit"}, {"REQUIRED", "30m without it", "--data", "--json"}, {}},
           {{"report"}, {"REQUIRED", "--out", "--json"}, {}},
           {{"eval"}, {"REQUIRED"}, {{"--precision", "auto"}}},
           {{"probe"}, {"REQUIRED", "--depth"}, {{"--items", "500"}, {"--seed", "1"}, {"--split", "heldout"}}},
           {{"generate"},
            {"REQUIRED"},
            {{"--tokens", "200"}, {"--search", "0"}, {"--prompt", "Once"}, {"--precision", "auto"}}},
           {{"bench", "train"}, {}, {{"--preset", "flagship-2m"}, {"--precision", "auto"}}},
           {{"bench", "decode"}, {}, {{"--tokens", "500"}, {"--streams", "1"}}},
           {{"bench", "gemm"}, {}, {{"--threads", "0"}}},
           {{"selftest"}, {"--preset"}, {}},
           {{"inspect"}, {"--preset"}, {}},
           {{"doctor"}, {"--json"}, {}}}) {
    std::vector<std::string> arguments = verb.words;
    arguments.push_back("--help");
    const CommandResult help = Run(arguments);
    SCOPED_TRACE(help.out);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.err, "");
    for (const std::string& part : verb.parts) EXPECT_NE(help.out.find(part), std::string::npos) << part;
    for (const auto& [option, value] : verb.defaults) {
      // "=4096" or "[4096]", as the parser's version has it.
      EXPECT_TRUE(std::regex_search(help.out, std::regex(option + "[^\n]*[=\\[]" + value))) << option;
    }
  }
}

TEST_F(VerbsTest, RefusesWrongCommands) {
  ExpectOneLine(Run({}), 2, "flashlm --help");
  ExpectOneLine(Run({"evall", "--model", "x"}), 2, "unknown verb 'evall' (hint: did you mean 'eval'?)");
  ExpectOneLine(Run({"--quiet", "data", "prepaer"}), 2, "unknown verb 'prepaer' (hint: did you mean 'prepare'?)");
  ExpectOneLine(Run({"help"}), 2, "unknown verb 'help'");
  ExpectOneLine(Run({"eval", "--no-such-flag"}), 2, "flashlm --help");
  ExpectOneLine(Run({"generate", "--model", "x", "--no-such-flag"}), 2, "--no-such-flag");
  ExpectOneLine(Run({"generate", "--model", "x", "--tokens", "many"}), 2, "many");
  ExpectOneLine(Run({"generate", "--model", "x", "--tokens", "0"}), 2, "Value 0 not in range");
  ExpectOneLine(Run({"train", "--steps", "99999999999999999999"}), 2, "--steps");
  ExpectOneLine(Run({"tokenizer"}), 2, "subcommand");
  ExpectOneLine(Run({"eval", "--model", "x"}), 2, "--text");
  ExpectOneLine(Run({"inspect"}), 2, "--preset");
  ExpectOneLine(Run({"inspect", "--preset", "v8.33"}), 2, "did you mean 'v8.3'?");
  ExpectOneLine(Run({"bench", "decode", "--precision", "f16", "--tokens", "4"}), 2, "unknown precision 'f16'");
}

// An option that would change nothing is refused, not ignored.
TEST_F(VerbsTest, RefusesOptionsThatWouldBeIgnored) {
  const auto refuse = [&](const std::vector<std::string>& arguments, const std::string& part) {
    SCOPED_TRACE(arguments[0] + " " + arguments[1]);
    ExpectOneLine(Run(arguments), 2, part);
  };
  refuse({"bench", "decode", "--model", "x", "--set", "model.d_model=64"}, "--set");
  refuse({"bench", "decode", "--model", "x", "--preset", "v8.3"}, "--preset");
  refuse({"bench", "decode", "--set", "train.micro_batch=4"}, "train.micro_batch=4");
  refuse({"bench", "gemm", "--preset", "v8.3"}, "--preset");
  refuse({"bench", "train", "--batch", "-2"}, "-2");
  refuse({"bench", "train", "--seq-len", "64", "--set", "train.sequence_length=32"}, "--seq-len");
  refuse({"bench", "train", "--precision", "f32", "--set", "train.precision=bf16"}, "--precision");
  refuse({"bench", "train", "--precision", "int8"}, "precision");
  refuse({"bench", "train", "--preset", "gpt-baseline", "--set", "train.value_weight=0.5"},
         "train.value_weight: the model has no value heads");
  refuse({"bench", "train", "--preset", "v8.3", "--set", "train.pieces=3"}, "train.pieces = 3");
  refuse({"inspect", "x", "--set", "model.d_model=64"}, "--set");
  refuse({"inspect", "--preset", "v8.3", "--set", "optim.lr=1"}, "optim.lr=1");
  refuse({"inspect", "x", "--preset", "v8.3"}, "--preset");
  refuse({"eval", "--model", "x", "--pairs", "y", "--tokens", "z"}, "--tokens");
  refuse({"eval", "--model", "x", "--pairs", "y", "--cloze", "z"}, "--cloze");
  refuse({"generate", "--model", "x", "--beta", "2"}, "--beta");
  refuse({"generate", "--model", "x", "--penalty-window", "5"}, "--penalty-window");
  refuse({"selftest", "--model", "x", "--preset", "v8.3"}, "--preset");
  refuse({"train", "--resume", "x", "--out", "y"}, "--out");
  // Empty values, as unset variables leave them.
  refuse({"eval", "--model", "x", "--text", "y", "--tokens", ""}, "--tokens: must not be empty");
  refuse({"eval", "--model", "x", "--text", ""}, "--text: must not be empty");
  refuse({"data", "prepare", "--input", "x", "--out", "y", "--tokens", ""}, "--tokens: must not be empty");
  refuse({"inspect", ""}, "must not be empty");
}

// "-" is standard output where a file is written; a folder cannot go there.
TEST_F(VerbsTest, AFolderCannotGoToStandardOutput) {
  const std::string text = Write(scratch_ / "text", kTexts);
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"data", "prepare", "--input", text},
                                               {"train", "--data", scratch_ / "data"},
                                               {"compare", "--data", scratch_ / "data"},
                                               {"scaling", "--data", scratch_ / "data"}}) {
    std::vector<std::string> arguments = verb;
    arguments.insert(arguments.end(), {"--out", "-"});
    ExpectOneLine(Run(arguments), 2, "--out -: a folder cannot go to standard output");
    EXPECT_FALSE(fs::exists("-")) << verb[0];
  }
}

TEST_F(VerbsTest, DoctorSaysWhatItChoosesAndWhy) {
  const CommandResult result = Run({"doctor", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  for (const char* key : {"cpu", "isa", "int8_vector_bits", "openmp_runtime", "gemm_gflops_f32", "gemm_gflops_bf16",
                          "gemm_gops_int8", "precision", "precision_rates"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  for (const char* work : {"train", "prefill", "decode"}) {
    const Json& rates = json["precision_rates"][work];
    const auto rate = [&](const char* type) { return rates[type].is_null() ? 0 : rates[type].get<double>(); };
    // Beside products of int8 tensors are of half the bytes, however fast their own products are.
    const bool int8 = json["precision"]["train_products"] == "int8" && std::string(work) == "train";
    const bool half = rate("bf16") > 1.1 * rate("f32") || (int8 && rate("bf16") > 0);
    EXPECT_EQ(json["precision"][work], half ? "bf16" : "f32") << work;
  }
}

TEST_F(VerbsTest, TokenizerRoundTrip) {
  const std::string text = Write(scratch_ / "text", kTexts), tokenizer = scratch_ / "tokenizer.json";
  const CommandResult trained =
      Run({"tokenizer", "train", "--input", text, "--vocab", "270", "--out", tokenizer, "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(Json::parse(trained.out)["vocab"], 270);
  EXPECT_EQ(Json::parse(trained.out)["sha256"], Sha256OfFile(tokenizer));

  // Bytes that are no text come back, too.
  for (const std::string& bytes : {std::string(kTexts), std::string("caf\xc3\xa9 \xff\x00 tail", 12), std::string()}) {
    const std::string input = Write(scratch_ / "input", bytes);
    const CommandResult plain = Run({"tokenizer", "encode", "--tokenizer", tokenizer, "--input", input});
    const CommandResult json = Run({"tokenizer", "encode", "--tokenizer", tokenizer, "--input", input, "--json"});
    ASSERT_EQ(plain.exit_code, 0) << plain.err;
    ASSERT_EQ(json.exit_code, 0) << json.err;
    std::istringstream numbers(plain.out);
    std::vector<int> ids;
    for (int id; numbers >> id;) ids.push_back(id);
    EXPECT_EQ(Json::parse(json.out)["ids"], Json(ids));
    for (const std::string& encoded : {plain.out, json.out}) {
      const std::string id_file = Write(scratch_ / "ids", encoded);
      const CommandResult decoded = Run({"tokenizer", "decode", "--tokenizer", tokenizer, "--input", id_file});
      EXPECT_EQ(decoded.exit_code, 0) << decoded.err;
      EXPECT_EQ(decoded.out, bytes);
      const CommandResult as_json =
          Run({"tokenizer", "decode", "--tokenizer", tokenizer, "--input", id_file, "--json"});
      EXPECT_EQ(as_json.exit_code, 0) << as_json.err;
      const std::string shown = Json::parse(as_json.out).at("text");
      const bool is_text = bytes.find('\xff') == std::string::npos;
      EXPECT_EQ(shown, is_text ? bytes : "caf\xc3\xa9 \xef\xbf\xbd" + bytes.substr(7));
    }
  }

  const auto refuse = [&](const std::string& ids, const std::string& part) {
    const std::string id_file = Write(scratch_ / "ids", ids);
    ExpectOneLine(Run({"tokenizer", "decode", "--tokenizer", tokenizer, "--input", id_file}), 1, part);
  };
  refuse("1 2 three", "'three' is not a token id");
  refuse("1 300", "token id 300");
  refuse("-1", "token id -1");
  refuse("{\"ids\": [1.5]}", "'1.5' is not a token id");
  refuse("{\"tokens\": [1]}", "no \"ids\" list");
  refuse("{\"ids\": [\xff", "not valid JSON");
  ExpectOneLine(Run({"tokenizer", "encode", "--tokenizer", text, "--input", text}), 1, text);
  ExpectOneLine(Run({"tokenizer", "encode", "--tokenizer", scratch_ / "none", "--input", text}), 1, "none");
  ExpectOneLine(Run({"tokenizer", "train", "--input", text, "--vocab", "5", "--out", tokenizer}), 2, "5");
  const std::string mark = Write(scratch_ / "mark", "\xEF\xBB\xBF");
  ExpectOneLine(Run({"tokenizer", "train", "--input", mark, "--out", scratch_ / "none.json"}), 1, "holds no text");
  EXPECT_EQ(Json::parse(trained.out)["sha256"], Sha256OfFile(tokenizer));
}

TEST_F(VerbsTest, PrepareRefusesWhatIsNoText) {
  const std::string out = scratch_ / "out";
  const auto refuse = [&](const std::string& input, const std::string& part) {
    ExpectOneLine(Run({"data", "prepare", "--input", input, "--out", out, "--vocab", "300"}), 1, part);
    EXPECT_FALSE(fs::exists(out)) << input;
  };
  refuse(scratch_ / "missing", "missing");
  refuse(Write(scratch_ / "empty", ""), "empty");
  refuse(Write(scratch_ / "binary", std::string("\x7f"
                                                "ELF\x01\0\0\0\0text",
                                                14)),
         "binary");
  refuse(Write(scratch_ / "latin1", "caf\xe9 au lait\n"), "latin1");
  refuse("/dev/zero", "'/dev/zero' is not plain text: control byte 0x00 at byte 0");  // which has no end
  fs::create_directory(scratch_ / "folder");
  refuse(scratch_ / "folder", "folder");
  const std::string text = Write(scratch_ / "text", kTexts);
  ExpectOneLine(Run({"data", "prepare", "--input", text, "--out", out, "--vocab", "3"}), 2, "3");
  ExpectOneLine(Run({"data", "prepare", "--input", text, "--out", out, "--vocab", "70000"}), 2, "70000");
}

TEST_F(VerbsTest, InspectDescribesAPreset) {
  const CommandResult result = Run({"inspect", "--preset", "v8.3", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["parameters"], 6566400);
  EXPECT_EQ(json["ternary_parameters"], 0);
  EXPECT_EQ(json["preset"], "v8.3");
  EXPECT_EQ(json["recipe"], "published-v8.3");
  for (const char* key : {"architecture", "memory_mb", "training_flops_per_token", "config", "tensors"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  int64_t sum = 0;
  for (const Json& tensor : json["tensors"]) {
    for (const char* key : {"name", "shape", "parameters", "role", "bytes"}) ASSERT_TRUE(tensor.contains(key)) << key;
    sum += tensor["parameters"].get<int64_t>();
  }
  EXPECT_EQ(sum, 6566400);
  const std::string table = Run({"inspect", "--preset", "v8.3", "--recipe", "modern"}).out;
  EXPECT_NE(table.find("6566400 parameters"), std::string::npos);
  EXPECT_NE(table.find("recipe: modern\n"), std::string::npos);
  ExpectOneLine(Run({"inspect", "x", "--recipe", "modern"}), 2, "--recipe");
  EXPECT_EQ(
      Json::parse(Run({"inspect", "--preset", "v8.3", "--set", "model.value_heads=false", "--json"}).out)["parameters"],
      6566400 - 6 * 256);
}

TEST_F(VerbsTest, ImpossibleSizesAreRefused) {
  const std::vector<std::array<std::string, 3>> cases = {
      {"gpt-baseline", "model.n_heads=3", "n_heads"},
      {"v5.2-nova-ignition", "model.n_heads=3", "n_heads"},
      {"v5.2a-nova", "model.n_heads=7", "n_heads"},
      {"v5.2a-nova", "model.n_experts=0", "n_experts"},
      {"v5-thunderbolt", "model.n_heads=7", "n_heads"},
      {"v8-searchlm", "model.n_heads=3", "n_heads"},
      {"cortex-viii", "model.window=0", "window"},
      {"cortex-viii", "model.d_head=63", "d_head"},
      {"cortex-viii", "model.n_layers=0", "n_layers"},
      {"v6-supernova", "model.depth=2", "depth"},
      {"v6-supernova", "model.memory_heads=5", "memory_heads"},
      {"flagship-2m", "model.rcsm_operations=1", "rcsm_operations"},
      {"flagship-2m", "model.rcsm_depth=2", "depth"},
      {"v4-bolt", "model.kernel=0", "kernel"},
      {"v6-prcsm", "model.n_slots=0", "n_slots"},
      {"v6-supernova", "model.n_layer=8", "did you mean 'n_layers'?"}};
  for (const auto& [preset, assignment, named] : cases) {
    ExpectOneLine(Run({"inspect", "--preset", preset, "--set", assignment}), 2, named);
  }
}

// A model of a few steps, for the verbs that read one.
TEST_F(VerbsTest, TokenizerTrainReadsAndWritesWhatIsNoFile) {
  const std::string text = Write(scratch_ / "text", kTexts), pipe = scratch_ / "pipe", out = scratch_ / "t.json";
  const auto train = [&](const std::string& input, const std::string& output) {
    return Run({"tokenizer", "train", "--input", input, "--vocab", "270", "--out", output});
  };
  ASSERT_EQ(train(text, out).exit_code, 0);
  const std::string expected = ReadFile(out);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = ReadFile(pipe); });
  EXPECT_EQ(train(text, pipe).exit_code, 0);
  reader.join();
  EXPECT_EQ(received, expected);
  EXPECT_TRUE(fs::is_fifo(pipe));
  std::thread writer([&] { Write(pipe, kTexts); });
  EXPECT_EQ(train(pipe, out).exit_code, 0);
  writer.join();
  EXPECT_EQ(ReadFile(out), expected);
  ExpectOneLine(train(text, text), 2, "is the file that is read");
  fs::create_directory(scratch_ / "in");
  const std::string inside = Write(scratch_ / "in/a.txt", kTexts);
  ExpectOneLine(train(scratch_ / "in", inside), 2, "is the file that is read");
  EXPECT_EQ(ReadFile(text), kTexts);
  EXPECT_EQ(ReadFile(inside), kTexts);
  ExpectOneLine(train(scratch_ / "in", scratch_ / "in/t.json"), 2, "lies inside the folder");
  EXPECT_FALSE(fs::exists(scratch_ / "in/t.json"));

  const CommandResult to_stdout = train(text, "-");
  EXPECT_EQ(to_stdout.exit_code, 0) << to_stdout.err;
  EXPECT_EQ(to_stdout.out, expected);
  EXPECT_FALSE(fs::exists("-"));
  ExpectOneLine(Run({"tokenizer", "train", "--input", text, "--out", "-", "--json"}), 2, "--json");
}

TEST_F(VerbsTest, DataPrepareAndInspect) {
  const std::string text = Write(scratch_ / "text", std::string(kTexts) + "<|endoftext|>\nAnna has a cat.\n");
  const std::string out = scratch_ / "data";
  const CommandResult made =
      Run({"data", "prepare", "--input", text, "--out", out, "--vocab", "300", "--tokens", "20", "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(Json::parse(made.out)["train"]["subset_tokens"], 20);
  const CommandResult inspected = Run({"data", "inspect", out, "--json"});
  ASSERT_EQ(inspected.exit_code, 0) << inspected.err;
  const Json report = Json::parse(inspected.out);
  EXPECT_EQ(report["train"]["tokens"], 20);
  EXPECT_EQ(report["fingerprint"], Json::parse(made.out)["fingerprint"]);
  EXPECT_NE(Run({"data", "inspect", out}).out.find("train: "), std::string::npos);
  ExpectOneLine(Run({"data", "inspect", scratch_ / "none"}), 1, "none");
  ExpectOneLine(Run({"data", "prepare", "--input", text, "--out", out, "--tokens", "1e30"}), 2, "--tokens 1e30");
  ExpectOneLine(Run({"data", "prepare", "--input", "-", "--out", scratch_ / "d2"}), 1, "is empty");
  ExpectOneLine(Run({"data", "prepare", "--input", text, "--out", scratch_ / "d2", "--tokens", "many"}), 2, "many");
  const std::string odd = scratch_ / "data\xff";
  fs::rename(out, odd);
  ExpectOneLine(Run({"train", "--preset", "gpt-baseline", "--data", odd, "--out", scratch_ / "run"}), 2, "not UTF-8");
  EXPECT_FALSE(fs::exists(scratch_ / "run"));
}

class ModelVerbsTest : public VerbsTest {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    const CommandResult data = RunCommand({"data", "prepare", "--input", "synthetic", "--out", *shared_ / "data",
                                           "--vocab", "400", "--synthetic-bytes", "100000"},
                                          *shared_);
    ASSERT_EQ(data.exit_code, 0) << data.err;
    const CommandResult train = RunCommand(TrainOn(*shared_ / "data", Model()), *shared_);
    ASSERT_EQ(train.exit_code, 0) << train.err;
  }
  static void TearDownTestSuite() { delete shared_; }

  static std::string Model() { return *shared_ / "run"; }
  static std::vector<std::string> TrainOn(const std::string& data, const std::string& out) {
    std::vector<std::string> arguments = {"train", "--preset", "cortex-viii", "--data", data,
                                          "--out", out,        "--steps",     "3"};
    for (const char* set :
         {"model.vocab=400", "model.d_model=32", "model.n_layers=2", "model.d_head=8", "model.d_mem=8", "model.d_ff=48",
          "train.sequence_length=32", "train.micro_batch=2", "train.accumulate=1", "train.eval_documents=2"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    return arguments;
  }

  // A copy of the trained checkpoint, to be spoilt.
  std::string Copy(const std::string& name) {
    fs::copy(fs::canonical(Model() + "/latest"), scratch_ / name, fs::copy_options::recursive);
    return scratch_ / name;
  }
  // No verb that reads a model accepts this one.
  void ExpectRefused(const std::string& model, const std::string& part) {
    const std::string text = Write(scratch_ / "text", kTexts);
    ExpectOneLine(Run({"eval", "--model", model, "--text", text}), 1, part);
    ExpectOneLine(Run({"generate", "--model", model, "--tokens", "3"}), 1, part);
  }

  static Scratch* shared_;
};
Scratch* ModelVerbsTest::shared_ = nullptr;

TEST_F(ModelVerbsTest, EvalReportsWhatItPromises) {
  const std::string text = Write(scratch_ / "text", kTexts), tokens = scratch_ / "tokens.jsonl";
  const CommandResult result = Run({"eval", "--model", Model(), "--text", text, "--tokens", tokens, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  for (const char* key : {"nats_per_token", "bits_per_byte", "bits_per_char", "stderr_bits_per_byte", "bytes", "tokens",
                          "documents", "model"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["documents"], 2);
  EXPECT_NEAR(json["nats_per_token"].get<double>(), std::log(400.0), 1.0);  // it has hardly learnt anything
  const std::string lines = ReadFile(tokens);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), json["tokens"].get<int64_t>());

  ExpectOneLine(Run({"eval", "--model", Model(), "--text", Write(scratch_ / "empty", "")}), 1, "empty");
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", Write(scratch_ / "blank", " \n<|endoftext|>\n")}), 1,
                "blank");
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", Write(scratch_ / "latin1", "caf\xe9")}), 1, "latin1");
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", scratch_ / "missing"}), 1, "missing");
  ExpectOneLine(Run({"eval", "--model", Model(), "--pairs", Write(scratch_ / "pairs", "{\"good\": 3}\n")}), 1, "pairs");
}

TEST_F(ModelVerbsTest, ARunsOwnFilesAreNoOutput) {
  const std::string text = Write(scratch_ / "text", kTexts);
  for (const char* file : {"config.toml", "log.jsonl", "results.json", "latest/trainer.json", "best/config.json"}) {
    const std::string path = Model() + "/" + file, before = ReadFile(path);
    ExpectOneLine(Run({"eval", "--model", Model(), "--text", text, "--tokens", path}), 2, "is the file that is read");
    EXPECT_EQ(ReadFile(path), before);
  }
}

TEST_F(ModelVerbsTest, AResultThatCannotBeWrittenIsAFailure) {
  for (const std::string& verb : {"inspect --json " + Model(), std::string("--version"), std::string("train --help")}) {
    const std::string command =
        std::string("'") + FLASHLM_BINARY + "' " + verb + " >/dev/full 2>'" + (scratch_ / "err") + "'";
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << verb;
    EXPECT_NE(ReadFile(scratch_ / "err").find("cannot write the result"), std::string::npos) << verb;
  }
}

TEST_F(ModelVerbsTest, InspectNamesTheRunsPreset) {
  EXPECT_EQ(Json::parse(Run({"inspect", Model(), "--json"}).out)["preset"], "cortex-viii");
}

TEST_F(ModelVerbsTest, EvalReadsAndWritesWhatIsNoFile) {
  const std::string text = Write(scratch_ / "text", kTexts), tokens = scratch_ / "tokens", pipe = scratch_ / "pipe";
  const auto eval = [&](const std::string& input, const std::string& output) {
    return Run({"eval", "--model", Model(), "--text", input, "--tokens", output});
  };
  ASSERT_EQ(eval(text, tokens).exit_code, 0);
  const std::string expected = ReadFile(tokens);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  {
    std::thread writer([&] { Write(pipe, kTexts); });
    const CommandResult result = eval(pipe, tokens);
    writer.join();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(ReadFile(tokens), expected);
  }
  {
    std::string received;
    std::thread reader([&] { received = ReadFile(pipe); });
    const CommandResult result = eval(text, pipe);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    reader.join();
    EXPECT_EQ(received, expected);
    EXPECT_TRUE(fs::is_fifo(pipe));
  }
  const CommandResult to_stdout = eval(text, "/dev/stdout");
  EXPECT_EQ(to_stdout.out.rfind(expected, 0), 0u) << to_stdout.err;
  const CommandResult lines_alone = eval(text, "-");
  EXPECT_EQ(lines_alone.out, expected);
  EXPECT_NE(lines_alone.err.find("bits per byte"), std::string::npos) << lines_alone.err;
  EXPECT_FALSE(fs::exists("-"));
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", text, "--tokens", "-", "--json"}), 2, "--json");
  fs::create_symlink("tokens", scratch_ / "link");
  Write(tokens, "old");
  EXPECT_EQ(eval(text, scratch_ / "link").exit_code, 0);
  EXPECT_TRUE(fs::is_symlink(scratch_ / "link"));
  EXPECT_EQ(ReadFile(tokens), expected);

  // Never over what is read, by whatever name.
  fs::create_symlink("text", scratch_ / "same");
  fs::create_hard_link(text, scratch_ / "hard");
  for (const char* name : {"text", "same", "hard"}) {
    ExpectOneLine(eval(text, scratch_ / name), 2, "is the file that is read");
    ExpectOneLine(eval(scratch_ / name, text), 2, "is the file that is read");
  }
  EXPECT_EQ(ReadFile(text), kTexts);
  const std::string model = Model() + "/latest/tokenizer.json", before = ReadFile(model);
  ExpectOneLine(eval(text, model), 2, "is the file that is read");
  EXPECT_EQ(ReadFile(model), before);
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", "-"}), 1, "'standard input' holds no text");
}

TEST_F(ModelVerbsTest, PairsAndClozeItemsComeFromStandardInputToo) {
  const auto eval = [&](const char* option, const std::string& items) {
    const std::string input = Write(scratch_ / "items", items);
    const std::vector<std::string> arguments = {"eval", "--model", Model(), option, "-", "--json"};
    return Command(arguments, scratch_, 0, input).Wait();
  };
  const CommandResult pairs = eval("--pairs", "{\"good\": \"The cat sleeps.\", \"bad\": \"The cat sleep.\"}\n");
  ASSERT_EQ(pairs.exit_code, 0) << pairs.err;
  EXPECT_EQ(Json::parse(pairs.out)["pairs"], 1);
  const CommandResult cloze =
      eval("--cloze", "{\"context\": \"The cat drinks\", \"options\": [\"milk\", \"stones\"], \"answer\": 0}\n");
  ASSERT_EQ(cloze.exit_code, 0) << cloze.err;
  EXPECT_EQ(Json::parse(cloze.out)["items"], 1);
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", "-", "--pairs", "-"}), 2, "it can be read once");

  const CommandResult bad = eval("--pairs", "{\"good\": \"a\", \"bad\": \"b\"}\n{\"good\": \"a\", bad}\n");
  ExpectOneLine(bad, 1, "standard input, line 2: not valid JSON at column 15 (hint: a line looks like");
  EXPECT_EQ(bad.err.find("exception"), std::string::npos) << bad.err;
}

TEST_F(ModelVerbsTest, TrainRefusesSettingsOfWhatTheModelLacks) {
  std::vector<std::string> arguments = TrainOn(*shared_ / "data", scratch_ / "run");
  arguments.insert(arguments.end(), {"--set", "model.value_heads=false", "--set", "train.value_weight=0.5"});
  ExpectOneLine(Run(arguments), 2, "train.value_weight: the model has no value heads");
  EXPECT_FALSE(fs::exists(scratch_ / "run"));
}

TEST_F(ModelVerbsTest, GenerateDependsOnTheSeedAlone) {
  const auto generate = [&](const std::string& prompt, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"generate", "--model",  Model(), "--prompt",
                                          prompt,     "--tokens", "30",    "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? Json::parse(result.out) : Json();
  };
  const Json first = generate("Once", {"--seed", "1", "--temp", "1"});
  for (const char* key : {"text", "tokens", "stop_reason", "prompt_tokens", "generated_tokens", "prompt_tokens_per_s",
                          "tokens_per_s", "prompt"}) {
    EXPECT_TRUE(first.contains(key)) << key;
  }
  EXPECT_EQ(generate("Once", {"--seed", "1", "--temp", "1"})["tokens"], first["tokens"]);
  EXPECT_NE(generate("Once", {"--seed", "2", "--temp", "1"})["tokens"], first["tokens"]);
  EXPECT_EQ(generate("Once", {"--seed", "1", "--temp", "0"})["tokens"],
            generate("Once", {"--seed", "2", "--temp", "0"})["tokens"]);
  // A prompt is bytes; what is no text must not break the JSON.
  EXPECT_TRUE(generate("caf\xe9", {}).contains("text"));
  EXPECT_TRUE(generate("", {}).contains("text"));

  const CommandResult plain = Run({"generate", "--model", Model(), "-p", "Once", "-n", "5", "--temp", "0", "--quiet"});
  EXPECT_EQ(plain.out.rfind("Once", 0), 0u);
  EXPECT_EQ(plain.err, "");
  ExpectOneLine(Run({"generate", "--model", Model(), "--top-p", "2"}), 2, "top");
  const CommandResult wrong = Run({"generate", "--model", Model(), "--temp", "-1"});
  ExpectOneLine(wrong, 2, "temp");
  EXPECT_EQ(wrong.out, "");
}

TEST_F(ModelVerbsTest, EvalAgreesWithTheRunsPrecision) {
  const Json results = ReadJsonFile(Model() + "/results.json");
  // The results are on the test part: every second document, as many as there was time for.
  const std::string text = scratch_ / "test_part.txt", valid = ReadFile(*shared_ / "data/valid.txt");
  std::string part;
  int64_t count = 0;
  ForEachDocument(valid, [&](std::string_view document) {
    if (count++ % 2 == 0 || count / 2 > results["documents_evaluated"].get<int64_t>()) return;
    part += std::string(document) + "\n<|endoftext|>\n";
  });
  WriteFileAtomic(text, part);
  const Json json = Json::parse(Run({"eval", "--model", Model() + "/latest", "--text", text, "--json"}).out);
  EXPECT_EQ(json["precision"], results["precision"]);
  EXPECT_EQ(json["documents"], results["documents_evaluated"]);
  EXPECT_NEAR(json["bits_per_byte"].get<double>(), results["val_bits_per_byte"].get<double>(), 1e-9);
  const Json f32 = Json::parse(Run({"eval", "--model", Model(), "--text", text, "--precision", "f32", "--json"}).out);
  EXPECT_EQ(f32["precision"], "f32");
}

TEST_F(ModelVerbsTest, DepthIsForcedOnModelsThatHaveOne) {
  const std::string text = Write(scratch_ / "text", kTexts), reasoning = scratch_ / "reasoning";
  std::vector<std::string> train = {"train", "--preset", "v6-supernova", "--data", *shared_ / "data",
                                    "--out", reasoning,  "--steps",      "2"};
  for (const char* set : {"model.d_model=32", "model.n_layers=1", "model.d_reason=16", "model.init_std=0.2",
                          "train.sequence_length=32", "train.micro_batch=2", "train.accumulate=1"}) {
    train.insert(train.end(), {"--set", set});
  }
  const CommandResult trained = Run(train);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto nats = [&](const std::string& depth) {
    const CommandResult result = Run({"eval", "--model", reasoning, "--text", text, "--depth", depth, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out).at("nats_per_token").get<double>();
  };
  EXPECT_EQ(nats("0"),
            Json::parse(Run({"eval", "--model", reasoning, "--text", text, "--json"}).out)["nats_per_token"]);
  EXPECT_NE(nats("1"), nats("8"));
  const CommandResult by_depth = Run({"eval", "--model", reasoning, "--text", text, "--by-depth", "--json"});
  ASSERT_EQ(by_depth.exit_code, 0) << by_depth.err;
  const Json depths = Json::parse(by_depth.out).at("by_depth");
  ASSERT_EQ(depths.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const char* forced[] = {"1", "3", "8", "0"};
    EXPECT_EQ(depths[i]["nats_per_token"], nats(forced[i])) << forced[i];
    EXPECT_GT(depths[i]["us_per_token"], 0);
  }
  ExpectOneLine(Run({"eval", "--model", Model(), "--text", text, "--by-depth"}), 2, "has no depth to choose");
  ExpectOneLine(Run({"probe", "--model", Model(), "--by-depth"}), 2, "has no depth to choose");
  for (const char* depth : {"1", "8"}) {
    EXPECT_EQ(Run({"generate", "--model", reasoning, "--tokens", "3", "--depth", depth}).exit_code, 0);
    EXPECT_EQ(Run({"bench", "decode", "--model", reasoning, "--tokens", "3", "--depth", depth}).exit_code, 0);
  }
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"eval", "--text", text}, {"generate"}, {"bench", "decode", "--tokens", "3"}}) {
    const auto with = [&](const std::string& model, const char* depth) {
      std::vector<std::string> arguments = verb;
      arguments.insert(arguments.end(), {"--model", model, "--depth", depth});
      return Run(arguments);
    };
    ExpectOneLine(with(reasoning, "2"), 2, "depth 2: must be 1, 3, 8");
    ExpectOneLine(with(Model(), "3"), 2, "has no depth to choose");
    ExpectOneLine(with(Model(), "0"), 2, "has no depth to choose");
  }
}

TEST_F(ModelVerbsTest, SelftestChecksATrainedModel) {
  const CommandResult result = Run({"selftest", "--model", Model(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err << result.out;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_EQ(json["checks"].size(), 3u);

  // A damaged checkpoint is found though another one could be used.
  const std::string damaged = scratch_ / "damaged";
  fs::copy(Model(), damaged, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const std::string file = fs::canonical(damaged + "/latest").string() + "/optimizer.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  const CommandResult found = Run({"selftest", "--model", damaged});
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_NE(found.out.find("optimizer.safetensors"), std::string::npos) << found.out;
  EXPECT_EQ(Run({"selftest", "--model", scratch_ / "missing"}).exit_code, 1);
}

TEST_F(ModelVerbsTest, RefusesDamage) {
  ExpectRefused(scratch_ / "missing", "missing");

  const std::string truncated = Copy("truncated");
  fs::resize_file(truncated + "/model.safetensors", fs::file_size(truncated + "/model.safetensors") - 100);
  ExpectRefused(truncated, "model.safetensors");

  const std::string flipped = Copy("flipped");
  std::string bytes = ReadFile(flipped + "/model.safetensors");
  bytes[bytes.size() / 2] ^= 4;
  Write(flipped + "/model.safetensors", bytes);
  ExpectRefused(flipped, "model.safetensors");

  const std::string foreign = Copy("foreign"), text = Write(scratch_ / "text", std::string(kTexts) + "Zebras yawn.");
  ASSERT_EQ(
      Run({"tokenizer", "train", "--input", text, "--vocab", "270", "--out", foreign + "/tokenizer.json"}).exit_code,
      0);
  ExpectRefused(foreign, "tokenizer.json");

  // Without the checkpoint's records it is a plain model folder, whose tokenizer still has to be its own.
  for (const char* record : {"trainer.json", "optimizer.safetensors"}) fs::remove(foreign + "/" + record);
  ExpectRefused(foreign, "tokenizer.json");

  const std::string headless = Copy("headless");
  Write(headless + "/model.safetensors", std::string(8, '\xff') + "{}");
  fs::remove(headless + "/trainer.json");
  ExpectRefused(headless, "model.safetensors");
}

TEST_F(ModelVerbsTest, TrainRefusesATruncatedShard) {
  const std::string data = scratch_ / "data", shard = data + "/train_00000.bin";
  fs::copy(*shared_ / "data", data, fs::copy_options::recursive);
  fs::resize_file(shard, fs::file_size(shard) - 100);
  ExpectOneLine(Run(TrainOn(data, scratch_ / "run")), 1, "train_00000.bin");
}

}  // namespace
}  // namespace flashlm
