// Folders of transformers: what goes out comes back bit for bit, what other programs wrote is carried or refused by
// name, and nothing is left behind.
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "exchange/hf_export.h"
#include "exchange/hf_import.h"
#include "exchange/native_layout.h"
#include "exchange/packed_export.h"
#include "io/model_folder.h"
#include "io/safetensors.h"
#include "tests/exchange/exchange_testing.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

class HfTest : public testing::Test {
 protected:
  // A folder of transformers, of an exported model.
  std::string Exported(const Json& overrides = Json::object()) {
    const std::string folder = scratch_ / "hf";
    fs::remove_all(folder);
    ExportHuggingFace(TinyLoaded("llama", overrides), folder, {});
    return folder;
  }
  // The error of importing it with `changes` to config.json (null removes a key).
  std::string ErrorWith(const Json& changes, const Json& overrides = Json::object()) {
    const std::string folder = Exported(overrides), path = folder + "/config.json";
    Json config = ReadJsonFile(path);
    for (const auto& [key, value] : changes.items()) {
      value.is_null() ? static_cast<void>(config.erase(key)) : static_cast<void>(config[key] = value);
    }
    Overwrite(path, config.dump());
    return ErrorOfImport(folder);
  }
  std::string ErrorOfImport(const std::string& folder) {
    const std::set<std::string> before = Names();
    std::string error = ErrorOf([&] { ImportHuggingFace(folder, scratch_ / "imported"); });
    EXPECT_FALSE(fs::exists(scratch_ / "imported"));
    EXPECT_EQ(Names(), before);
    return error;
  }
  // What is in the test's folder.
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(scratch_.path())) names.insert(entry.path().filename().string());
    return names;
  }
  Scratch scratch_;
};

TEST_F(HfTest, RoundTripIsBitForBit) {
  for (const Json& overrides :
       {Json({{"qk_norm", true}}), Json({{"qk_norm", false}}), Json({{"tied", false}}),
        Json({{"kv_heads", 1}, {"rope_base", 5000.0}, {"norm_eps", 1e-5}}), Json({{"kv_heads", 4}, {"d_head", 6}})}) {
    const LoadedModel loaded = TinyLoaded("llama", overrides);
    const std::string hf = scratch_ / "hf", back = scratch_ / "back";
    const HfReport report = ExportHuggingFace(loaded, hf, {});
    const bool qk_norm = overrides.value("qk_norm", true);
    EXPECT_EQ(report.native, qk_norm ? "Qwen3ForCausalLM" : "LlamaForCausalLM");
    EXPECT_EQ(ReadJsonFile(hf + "/config.json").at("architectures")[0], report.native);
    const ImportReport imported = ImportHuggingFace(hf, back);
    EXPECT_TRUE(imported.notes.empty()) << overrides;
    const LoadedModel again = LoadModel(back);
    EXPECT_EQ(Reading(*again.model), Reading(*loaded.model)) << overrides;
    EXPECT_EQ(again.tokenizer.Hash(), loaded.tokenizer.Hash());
    for (const char* key : {"vocab", "d_model", "n_layers", "n_heads", "kv_heads", "d_head", "window", "d_ff",
                            "qk_norm", "tied", "rope_base", "norm_eps"}) {
      EXPECT_EQ(again.model->config().at(key), loaded.model->config().at(key)) << key;
    }
    fs::remove_all(hf);
    fs::remove_all(back);
  }
}

TEST_F(HfTest, FilesAreThoseThatTransformersReads) {
  const std::string folder = Exported();
  const SafetensorsFile file(folder + "/model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_TRUE(file.Has("model.embed_tokens.weight"));
  EXPECT_TRUE(file.Has("model.layers.1.self_attn.k_norm.weight"));
  EXPECT_FALSE(file.Has("lm_head.weight"));  // tied
  EXPECT_EQ(file.Shape("model.layers.0.self_attn.k_proj.weight"), (std::vector<int>{16, 32}));
  EXPECT_EQ(ReadFile(folder + "/tokenizer.json"), TinyTokenizer().ToJson());
  const Json tokenizer = ReadJsonFile(folder + "/tokenizer_config.json");
  EXPECT_EQ(tokenizer.at("eos_token"), "<eos>");
  EXPECT_EQ(tokenizer.at("bos_token"), "<eos>");  // documents begin with it
  EXPECT_EQ(ReadJsonFile(folder + "/generation_config.json").at("eos_token_id"), Tokenizer::kEos);
}

TEST_F(HfTest, OtherArchitecturesAreExportedAsWhatTheyAre) {
  for (const char* name : {"gpt", "flagship", "v5-thunderbolt"}) {
    const LoadedModel loaded = TinyLoaded(name);
    const std::string folder = scratch_ / name;
    const HfReport report = ExportHuggingFace(loaded, folder, {});
    EXPECT_EQ(report.native, "");
    ExpectContains(report.why_not, name);
    EXPECT_EQ(Reading(*LoadModel(folder).model), Reading(*loaded.model));
    ExpectContains(ReadFile(folder + "/README.md"), "library_name: flashlm");
  }
}

TEST_F(HfTest, TheCardHasWhatTheHubAsksFor) {
  const std::string folder = scratch_ / "hf";
  CardOptions options;
  options.name = "A \"small\" one: really";
  options.license = "mit";
  options.datasets = {"roneneldan/TinyStories"};
  ExportHuggingFace(TinyLoaded("llama"), folder, options);
  const std::string card = ReadFile(folder + "/README.md");
  for (const char* part : {"---\nlicense: \"mit\"\n", "language:\n- \"en\"\n", "library_name: transformers\n",
                           "pipeline_tag: text-generation\n", "datasets:\n- \"roneneldan/TinyStories\"\n",
                           "tags:\n- flashlm\n", "# A \"small\" one: really\n", "were not measured"}) {
    ExpectContains(card, part);
  }
  EXPECT_EQ(card.find("model-index"), std::string::npos);  // nothing was measured
}

TEST_F(HfTest, FiguresAreThoseOfExactlyTheseWeights) {
  const std::string run = scratch_ / "run";
  fs::create_directories(run + "/checkpoints/step_000050");
  Overwrite(run + "/results.json",
            R"({"measured_step": 50, "val_bits_per_byte": 0.68123, "final_ppl": 6.425, "stderr": 0.0057, "val_part":
 "test", "documents_evaluated": 1000, "best_step": 40, "best_bits_per_byte": 0.7, "best_ppl": 6.9,
 "dev_documents": 100})");
  LoadedModel loaded = TinyLoaded("llama");
  loaded.folder = run + "/checkpoints/step_000050";
  loaded.step = 50;
  EXPECT_EQ(FiguresOf(loaded).bits_per_byte, 0.68123);
  EXPECT_EQ(FiguresOf(loaded).part, "test");
  const std::string card = ModelCard(loaded, "Qwen3ForCausalLM", {});
  ExpectContains(card, "model-index:\n");
  ExpectContains(card, "value: 0.6812\n");
  ExpectContains(card, "on 1000 held-out documents");
  loaded.step = 40;
  EXPECT_EQ(FiguresOf(loaded).part, "dev");
  ExpectContains(ModelCard(loaded, "Qwen3ForCausalLM", {}), "chosen by this figure");
  loaded.step = 30;
  EXPECT_FALSE(FiguresOf(loaded).known);
}

TEST_F(HfTest, NothingIsOverwritten) {
  const std::string folder = Exported();
  const std::string before = ReadFile(folder + "/config.json");
  ExpectContains(ErrorOf([&] { ExportHuggingFace(TinyLoaded("gpt"), folder, {}); }), "there already");
  ExpectContains(ErrorOf([&] { ImportHuggingFace(folder, folder); }), "there already");
  EXPECT_EQ(ReadFile(folder + "/config.json"), before);
  fs::create_directory(scratch_ / "empty");
  ExportHuggingFace(TinyLoaded("gpt"), scratch_ / "empty/", {});  // an empty folder is as good as none
  EXPECT_TRUE(fs::exists(scratch_ / "empty/config.json"));
  EXPECT_EQ(Names(), (std::set<std::string>{"empty", "hf"}));
}

TEST_F(HfTest, FoldersOfOthersAreLeftAlone) {
  for (const char* name : {"hf.tmp", "imported.tmp"}) {
    fs::create_directory(scratch_ / name);
    Overwrite(scratch_ / (std::string(name) + "/notes"), "mine");
  }
  const std::string folder = Exported();
  ImportHuggingFace(folder, scratch_ / "imported");
  fs::remove_all(scratch_ / "imported");
  Overwrite(folder + "/config.json", "{}");
  ErrorOfImport(folder);
  EXPECT_EQ(ReadFile(scratch_ / "hf.tmp/notes"), "mine");
  EXPECT_EQ(ReadFile(scratch_ / "imported.tmp/notes"), "mine");
  EXPECT_EQ(Names(), (std::set<std::string>{"hf", "hf.tmp", "imported.tmp"}));
}

TEST_F(HfTest, PermissionsAreThoseOfAnyNewFolder) {
  const mode_t before = ::umask(027);
  const std::string folder = Exported();
  ::umask(before);
  EXPECT_EQ(static_cast<unsigned>(fs::status(folder).permissions() & fs::perms::all), 0750u);
}

// Digits and scales as floats would be made ternary anew, with other scales.
TEST_F(HfTest, APackedModelWithTernaryWeightsHasLostThem) {
  const std::string ternary = scratch_ / "ternary.flm", floats = scratch_ / "floats.flm";
  ExportPacked(TinyLoaded("v5-thunderbolt"), ternary, {});
  const std::string error = ErrorOf([&] { ExportHuggingFace(LoadModel(ternary), scratch_ / "out", {}); });
  ExpectContains(error, "a packed model has lost the floats behind its ternary weights");
  ExpectContains(error, "ternary.flm");
  EXPECT_EQ(Names(), (std::set<std::string>{"ternary.flm"}));
  ExportPacked(TinyLoaded("llama"), floats, {});
  const LoadedModel packed = LoadModel(floats);
  ExportHuggingFace(packed, scratch_ / "out", {});
  ImportHuggingFace(scratch_ / "out", scratch_ / "imported");
  EXPECT_EQ(Reading(*LoadModel(scratch_ / "imported").model), Reading(*packed.model));
}

TEST_F(HfTest, WeightsThatAreNotFiniteAreNamed) {
  for (const char* architecture : {"llama", "gpt"}) {
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      const LoadedModel loaded = TinyLoaded(architecture);
      const ParamInfo& last = loaded.model->bank().infos().back();
      loaded.model->bank().values()[last.offset + last.size - 1] = bad;
      const std::string error = ErrorOf([&] { ExportHuggingFace(loaded, scratch_ / "out", {}); });
      ExpectContains(error, "parameter '" + last.name + "' has values that are not finite");
      EXPECT_TRUE(Names().empty());
    }
  }
  const std::string folder = Exported(), path = folder + "/model.safetensors", whole = ReadFile(path);
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + bytes.size() - sizeof bad, &bad, sizeof bad);  // of the last tensor
    Overwrite(path, bytes);
    ExpectContains(ErrorOfImport(folder), "tensor 'model.norm.weight' has values that are not finite");
  }
}

// What a setting that is there, null or left out means depends on the class.
TEST_F(HfTest, WindowsAreThoseOfTheirClass) {
  const auto window = [](const char* type, const Json& changes) {
    Json config = {{"model_type", type},
                   {"vocab_size", 290},
                   {"hidden_size", 32},
                   {"num_hidden_layers", 2},
                   {"intermediate_size", 48},
                   {"num_attention_heads", 4},
                   {"max_position_embeddings", 20000}};
    config.update(changes);
    return FromNativeConfig(config, "config.json").at("window").get<int>();
  };
  const Json none = Json::object(), null = Json::parse(R"({"sliding_window": null})"),
             seven = Json::parse(R"({"sliding_window": 7})"),
             off = Json::parse(R"({"sliding_window": 7, "use_sliding_window": false})"),
             on = Json::parse(R"({"sliding_window": 7, "use_sliding_window": true, "max_window_layers": 0})"),
             short_context = Json::parse(R"({"max_position_embeddings": 100})");
  EXPECT_EQ(window("mistral", none), 4096);
  EXPECT_EQ(window("mistral", null), 20000);
  EXPECT_EQ(window("mistral", seven), 7);
  EXPECT_EQ(window("mistral", off), 7);
  EXPECT_EQ(window("mistral", on), 7);
  EXPECT_EQ(window("mistral", short_context), 100);
  for (const Json& changes : {none, null, seven, off, on}) EXPECT_EQ(window("llama", changes), 20000) << changes;
  for (const Json& changes : {none, null, seven, off}) EXPECT_EQ(window("qwen3", changes), 20000) << changes;
  EXPECT_EQ(window("qwen3", on), 7);
  EXPECT_EQ(window("qwen3", Json::parse(R"({"use_sliding_window": true, "max_window_layers": 0})")), 4096);
  const Json full = Json::parse(R"({"layer_types": ["full_attention", "full_attention"]})");
  EXPECT_EQ(window("llama", full), 20000);
  EXPECT_EQ(window("qwen3", full), 20000);
}

TEST_F(HfTest, SettingsThatCannotBeCarriedAreNamed) {
  struct Case {
    Json changes;
    const char* part;
  };
  for (const Case& c : std::vector<Case>{
           {{{"model_type", "gpt2"}}, "\"model_type\" \"gpt2\""},
           {{{"model_type", nullptr}}, "\"model_type\""},
           {{{"hidden_act", "gelu"}}, "\"hidden_act\": \"gelu\""},
           {{{"attention_bias", true}}, "\"attention_bias\": true"},
           {{{"mlp_bias", true}}, "\"mlp_bias\": true"},
           {{{"quantization_config", {{"bits", 4}}}}, "quantization_config"},
           {{{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}}}, "\"rope_type\": \"llama3\""},
           {{{"rope_parameters", {{"rope_type", "yarn"}}}}, "\"rope_type\": \"yarn\""},
           {{{"partial_rotary_factor", 0.5}}, "partial_rotary_factor"},
           {{{"layer_types", {"full_attention", "sliding_attention"}}}, "layer_types"},
           {{{"layer_types", Json::array()}}, "\"layer_types\""},
           {{{"layer_types", Json::parse(R"(["full_attention"])")}}, "\"layer_types\""},
           {{{"layer_types", Json::parse(R"(["full_attention", "full_attention", "full_attention"])")}},
            "\"layer_types\" has 3 entries for 2 layers"},
           {{{"use_sliding_window", true}, {"sliding_window", 4}, {"max_window_layers", 1}}, "max_window_layers"},
           {{{"sliding_window", "4"}}, "\"sliding_window\""},
           {{{"sliding_window", 4.5}}, "\"sliding_window\""},
           {{{"sliding_window", Json::array()}}, "\"sliding_window\""},
           {{{"rope_scaling", Json::parse(R"({"factor": 8.0})")}}, "\"factor\" of \"rope_scaling\""},
           {{{"rope_parameters", Json::parse(R"({"rope_type": "default", "factor": 8.0})")}},
            "\"factor\" of \"rope_parameters\""},
           {{{"rope_parameters", Json::parse(R"({"full_attention": {"rope_type": "default", "rope_theta": 5e5}})")}},
            "\"full_attention\" of \"rope_parameters\""},
           {{{"hidden_size", 0}}, "\"hidden_size\""},
           {{{"hidden_size", "32"}}, "\"hidden_size\""},
           {{{"hidden_size", 1000000}}, "\"hidden_size\""},
           {{{"hidden_size", -32}}, "\"hidden_size\""},
           {{{"hidden_size", 32.5}}, "\"hidden_size\""},
           {{{"num_hidden_layers", 2000000000}}, "\"num_hidden_layers\""},
           {{{"num_hidden_layers", 3}}, "model.layers.2."},
           {{{"num_hidden_layers", 1}}, "cannot be carried"},
           {{{"num_attention_heads", 3}, {"num_key_value_heads", 2}}, ""},
           {{{"vocab_size", 4294967586}}, "\"vocab_size\""},
           {{{"vocab_size", 291}}, "shape"},
           {{{"intermediate_size", 49}}, "shape"},
           {{{"rms_norm_eps", "small"}}, "rms_norm_eps"},
           {{{"rms_norm_eps", 2.0}}, "norm_eps"},
           {{{"rope_theta", -1.0}, {"rope_parameters", nullptr}}, "rope_base"},
           {{{"tie_word_embeddings", 1}}, "tie_word_embeddings"},
           {{{"tie_word_embeddings", false}}, "lm_head.weight"},
           {{{"eos_token_id", 200}}, "eos_token_id 200"},
       }) {
    ExpectContains(ErrorWith(c.changes), c.part);
  }
  // Without eos in config.json the generation's own is taken; without both there is none.
  const std::string folder = Exported();
  Json config = ReadJsonFile(folder + "/config.json");
  config.erase("eos_token_id");
  Overwrite(folder + "/config.json", config.dump());
  ImportHuggingFace(folder, scratch_ / "with_generation");
  fs::remove(folder + "/generation_config.json");
  ExpectContains(ErrorOfImport(folder), "no eos_token_id");
}

TEST_F(HfTest, BrokenFilesAreNamed) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::string folder = Exported();
    const std::string path = folder + "/" + name, whole = ReadFile(path);
    for (const size_t size : {size_t{0}, size_t{1}, whole.size() / 3, whole.size() - 2}) {
      Overwrite(path, whole.substr(0, size));
      ExpectContains(ErrorOfImport(folder), name);
    }
    Overwrite(path, std::string(100000, '['));
    ExpectContains(ErrorOfImport(folder), name);
    Overwrite(path, "{\"model\":" + std::string(100000, '[') + "}");
    ExpectContains(ErrorOfImport(folder), name);
    fs::remove(path);
    ExpectContains(ErrorOfImport(folder), name);
  }
  ExpectContains(ErrorOfImport(scratch_ / "absent"), "absent");
  const std::string folder = Exported();
  fs::remove(folder + "/model.safetensors");
  Overwrite(folder + "/pytorch_model.bin", "pickle");
  ExpectContains(ErrorOfImport(folder), "pytorch_model.bin");
  Overwrite(folder + "/model.safetensors.index.json", "{}");
  ExpectContains(ErrorOfImport(folder), "several files");
}

TEST_F(HfTest, TensorsThatCannotBeCarriedAreNamed) {
  const std::string folder = Exported(), path = folder + "/model.safetensors";
  const auto with = [&](const std::string& name, std::vector<int> shape, float value) {
    const SafetensorsFile file(path);
    std::vector<std::vector<float>> data;
    std::vector<TensorToWrite> tensors;
    for (const auto& [known, tensor] : file.tensors()) {
      data.emplace_back((tensor.end - tensor.begin) / sizeof(float));
      file.Read(known, data.back().data(), tensor.shape);
      tensors.push_back({known, tensor.shape, nullptr});
    }
    size_t size = 1;
    for (const int n : shape) size *= static_cast<size_t>(n);
    data.emplace_back(size, value);
    tensors.push_back({name, std::move(shape), nullptr});
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].data = data[i].data();
    const std::string other = scratch_ / "other";
    fs::remove_all(other);
    fs::copy(folder, other);
    WriteSafetensors(other + "/model.safetensors", tensors, {{"format", "pt"}});
    return other;
  };
  ExpectContains(ErrorOfImport(with("model.layers.0.self_attn.q_proj.bias", {32}, 0)), "q_proj.bias");
  ExpectContains(ErrorOfImport(with("lm_head.weight", {290, 32}, 0)), "lm_head.weight");  // not the tied table
  ImportHuggingFace(with("model.layers.0.self_attn.rotary_emb.inv_freq", {4}, 1), scratch_ / "imported");
}

// Another program's ids: documents end with 0, there is a token between texts, and the last rows stand for none.
TEST_F(HfTest, TokensAreRenumberedWithTheirRows) {
  const std::string folder = Exported();
  auto json = nlohmann::json::parse(ReadFile(folder + "/tokenizer.json"));
  const int vocab = TinyTokenizer().vocab_size();
  // Theirs: eos first, ordinary tokens, the other three last, of which two have no name at all.
  std::vector<int> ours_of_theirs = {Tokenizer::kEos};
  for (int id = Tokenizer::kSpecials; id < vocab; ++id) ours_of_theirs.push_back(id);
  for (const int id : {Tokenizer::kUnk, Tokenizer::kPad, Tokenizer::kBos}) ours_of_theirs.push_back(id);
  std::vector<int> theirs_of_ours(static_cast<size_t>(vocab));
  for (int id = 0; id < vocab; ++id) theirs_of_ours[static_cast<size_t>(ours_of_theirs[static_cast<size_t>(id)])] = id;
  auto renamed = nlohmann::json::object();
  for (const auto& [name, id] : json["model"]["vocab"].items()) {
    if (id.get<int>() >= Tokenizer::kSpecials || id == Tokenizer::kEos) {
      renamed[name] = theirs_of_ours[id.get<size_t>()];
    }
  }
  json["model"]["vocab"] = renamed;
  json["added_tokens"] = {{{"id", theirs_of_ours[Tokenizer::kUnk]}, {"content", "<sep>"}, {"special", true}}};
  json["post_processor"] = {{"type", "TemplateProcessing"}};
  Overwrite(folder + "/tokenizer.json", json.dump());
  Json config = ReadJsonFile(folder + "/config.json");
  config["eos_token_id"] = {0};
  config["pad_token_id"] = nullptr;
  Overwrite(folder + "/config.json", config.dump());
  const SafetensorsFile file(folder + "/model.safetensors");
  std::vector<std::vector<float>> data;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : file.tensors()) {
    std::vector<float> values((tensor.end - tensor.begin) / sizeof(float)), moved;
    file.Read(name, values.data(), tensor.shape);
    if (name == "model.embed_tokens.weight") {
      for (const int ours : ours_of_theirs) moved.insert(moved.end(), &values[ours * 32], &values[ours * 32] + 32);
    }
    data.push_back(moved.empty() ? values : moved);
    tensors.push_back({name, tensor.shape, nullptr});
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].data = data[i].data();
  WriteSafetensors(folder + "/model.safetensors", tensors, {});

  const ImportReport report = ImportHuggingFace(folder, scratch_ / "imported");
  EXPECT_EQ(report.notes.size(), 2u);
  const LoadedModel imported = LoadModel(scratch_ / "imported");
  EXPECT_EQ(imported.tokenizer.Encode("Once upon a cat"), TinyTokenizer().Encode("Once upon a cat"));
  // Ids of text and of <eos> are ours again; only which of the other reserved ones is which may differ.
  const std::vector<int32_t> tokens = {3, 40, 7, 99, 280, 5, 131, 77};
  const LoadedModel original = TinyLoaded("llama");
  const std::vector<float> a = Reading(*original.model, tokens), b = Reading(*imported.model, tokens);
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (int v = Tokenizer::kEos; v < vocab; ++v) {  // up to rounding: sums over the vocabulary have another order
      ASSERT_NEAR(a[t * static_cast<size_t>(vocab) + v], b[t * static_cast<size_t>(vocab) + v], 1e-5);
    }
  }
}

TEST_F(HfTest, TokenizersThatCannotBeCarriedAreNamed) {
  const auto error = [&](const auto& change) {
    const std::string folder = Exported();
    auto json = nlohmann::json::parse(ReadFile(folder + "/tokenizer.json"));
    change(json);
    Overwrite(folder + "/tokenizer.json", json.dump());
    return ErrorOfImport(folder);
  };
  ExpectContains(error([](auto& j) { j["normalizer"] = {{"type", "NFC"}}; }), "normalizer");
  ExpectContains(error([](auto& j) { j["pre_tokenizer"] = {{"type", "Metaspace"}}; }), "Metaspace");
  ExpectContains(error([](auto& j) { j["pre_tokenizer"]["add_prefix_space"] = true; }), "add_prefix_space");
  ExpectContains(error([](auto& j) { j["model"]["type"] = "WordPiece"; }), "WordPiece");
  ExpectContains(error([](auto& j) { j["model"].erase("vocab"); }), "vocab");
  ExpectContains(error([](auto& j) { j["model"].erase("merges"); }), "merges");
  ExpectContains(error([](auto& j) { j["model"]["vocab"]["more"] = 290; }), "vocab_size of 290");
  ExpectContains(error([](auto& j) { j["model"]["vocab"]["more"] = -1; }), "vocab_size of 290");
  ExpectContains(error([](auto& j) { j["model"]["vocab"]["more"] = 17; }), "id 17");
  ExpectContains(error([](auto& j) {
                   j["added_tokens"] = {{{"id", 9}, {"content", "!"}, {"special", false}}};
                 }),
                 "not special");
  ExpectContains(error([](auto& j) { j["added_tokens"] = {{{"id", 1}, {"special", true}}}; }), "content");
}

}  // namespace
}  // namespace flashlm
