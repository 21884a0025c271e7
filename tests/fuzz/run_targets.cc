// Readers of what runs and models have beside their values: a checkpoint's trainer.json, the logs and results that
// reports show, counted n-grams, the difficulty of stories, and a packed model as every verb opens it. Files that carry
// a checksum get the one that fits: no fuzzer guesses it, and tests/io and tests/ngram check what follows if it does
// not.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/files.h"
#include "data/difficulty.h"
#include "data/hash.h"
#include "data/shards.h"
#include "infer/loaded_model.h"
#include "io/checkpoint.h"
#include "io/model_folder.h"
#include "io/packed_file.h"
#include "models/registry.h"
#include "ngram/ngram_model.h"
#include "report/run_report.h"
#include "tests/fuzz/fuzz_target.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// A sound model with a tokenizer of as many entries as that of the corpus.
constexpr int kVocab = 263;
std::string TinyTokenizer() {
  constexpr std::string_view kText = " the the the";
  return Tokenizer::Train({&kText, 1}, kVocab).ToJson();
}
std::unique_ptr<Model> TinyModel() {
  const Json config = {{"architecture", "gpt"}, {"vocab", kVocab}, {"d_model", 16}, {"n_layers", 1},
                       {"n_heads", 2},          {"window", 8},     {"d_ff", 16}};
  std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/false);
  model->bank().Initialize(1);
  return model;
}

// What the verbs ask of a model that they have opened.
void Use(const LoadedModel& loaded) {
  Expect(loaded.model->vocab() == loaded.tokenizer.vocab_size(), "a tokenizer of another vocabulary");
  AboutTraining(loaded);
  ScoringType(loaded, "auto");
  DecodingType(loaded, "auto");
}

// As trainer.json of a checkpoint whose other files are sound. Where it names one of them with `true`, that is the
// file's true record.
FLASHLM_FUZZ_TARGET(trainer_json) {
  static const std::string folder = [] {
    const std::string made = FolderOf(FileWith("", "trainer_json/trainer.json"));
    const std::unique_ptr<Model> model = TinyModel();
    WriteModelFolder(made, model->config(), model->bank(), TinyTokenizer());
    return made;
  }();
  Json trainer = ParseJson(std::string(bytes), "input");
  if (trainer.is_object()) {
    if (trainer.contains("files") && trainer["files"].is_object()) {
      for (const char* name : {kConfigFile, kModelFile, kTokenizerFile}) {
        if (trainer["files"].value(name, Json()) != true) continue;
        const std::string content = ReadFile(folder + "/" + name);
        trainer["files"][name] = {{"bytes", content.size()}, {"sha256", Sha256(content)}};
      }
    }
    trainer.erase("sha256");
    trainer["sha256"] = Sha256(trainer.dump());
  }
  FileWith(trainer.dump(), "trainer_json/trainer.json");
  Use(LoadModel(folder));
}

// Three numbers, the lengths of config.json and about.json and what the parameters are stored as, then these two, then
// tokenizer.json: in the file of a packed model whose parameters are sound.
FLASHLM_FUZZ_TARGET(packed_parts) {
  constexpr size_t kNumbers = 3;
  if (bytes.size() < kNumbers * sizeof(uint16_t)) throw Error("too short");
  std::array<uint16_t, kNumbers> numbers{};
  std::memcpy(numbers.data(), bytes.data(), sizeof numbers);
  bytes.remove_prefix(sizeof numbers);
  const auto take = [&](size_t length) {
    const std::string_view part = bytes.substr(0, length);
    bytes.remove_prefix(part.size());
    return part;
  };
  const std::string config(take(numbers[0])), about(take(numbers[1]));
  static const std::unique_ptr<Model> model = TinyModel();
  constexpr std::array kFloats = {Packing::kF32, Packing::kBF16, Packing::kInt8};
  const std::string path = FileWith("", "packed_parts");
  // Who writes has read them: they are JSON.
  const Json tokenizer = ParseJson(std::string(bytes), "tokenizer");
  WritePackedFile(path, {ParseJson(config, "config"), ParseJson(about, "about"), tokenizer.dump(), ""}, model->bank(),
                  kFloats[numbers[2] % kFloats.size()]);
  Use(LoadModel(path));
}

// One letter says which file of a run it is.
FLASHLM_FUZZ_TARGET(run_record) {
  constexpr std::array kFiles = {"log.jsonl", "results.json", "probe.json", "config.toml", "samples.txt"};
  if (bytes.empty()) throw Error("too short");
  const size_t chosen = static_cast<uint8_t>(bytes[0]) % kFiles.size();
  std::string folder;
  for (size_t i = 0; i < kFiles.size(); ++i) {
    folder = FolderOf(FileWith(i == chosen ? bytes.substr(1) : i == 1 ? "{}" : "", std::string("run/") + kFiles[i]));
  }
  const RunRecord run = ReadRun(folder);
  RunReportHtml({&run, 1});
  RunReportJson({&run, 1});
  LiveReportParts(run);
}

// The header's numbers, then what follows the header.
FLASHLM_FUZZ_TARGET(ngram_bin) {
  constexpr size_t kNumbers = 48, kChecksumAt = 64;
  std::string file = "FLMNGRAM" + std::string(bytes.substr(0, kNumbers));
  file.resize(kChecksumAt, '\0');
  const std::string body(bytes.size() > kNumbers ? bytes.substr(kNumbers) : "");
  const NGramModel model = NGramModel::Deserialize(file + Sha256(body) + body, "ngram.bin");
  std::vector<float> p(static_cast<size_t>(model.vocab()));
  std::vector<ContextFeatures> features(static_cast<size_t>(model.order() - 1));
  NGramContext context = model.Start();
  for (int t = 0; t < 20; ++t) {
    model.Distribution(context, p.data());
    model.Features(context, features.data());
    const int32_t token =
        t % 2 == 0 ? static_cast<int32_t>(std::max_element(p.begin(), p.end()) - p.begin()) : (7 * t) % model.vocab();
    for (const float one : p) Expect(one >= 0 && one <= 1.001f, "a probability outside of 0..1");
    Expect(std::abs(model.Probability(context, token) - p[static_cast<size_t>(token)]) < 1e-3f, "two probabilities");
    context = model.Advance(context, token);
  }
  Expect(NGramModel::Deserialize(model.Serialize(), "again").NGrams() == model.NGrams(), "another model");
}

// Documents and tokens as the header says, then the values: beside a stream of two documents and seven tokens.
FLASHLM_FUZZ_TARGET(difficulty) {
  static const TokenData stream = TokenData::FromTokens({5, 6, 7, 3, 8, 9, 3}, 300);
  std::array<uint64_t, 2> said{};
  if (bytes.size() < sizeof said) throw Error("too short");
  std::memcpy(said.data(), bytes.data(), sizeof said);
  const std::string_view values = bytes.substr(sizeof said);
  std::string file("FLMDIFFI\1\0\0\0\0\0\0\0", 16);
  const uint64_t checksum = Hash64(values);
  file.append(reinterpret_cast<const char*>(said.data()), sizeof said);
  file.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  file.resize(64, '\0');
  const std::string folder = FolderOf(FileWith(file + std::string(values), std::string("stories/") + kDifficultyFile));
  const std::vector<float> read = ReadDifficulty(folder, stream);
  for (const double low : {0.0, 50.0}) {
    for (const uint32_t document : DocumentsWithin(read, low, low + 50)) {
      Expect(document < 2, "a document that is not there");
    }
  }
}

}  // namespace
}  // namespace flashlm
