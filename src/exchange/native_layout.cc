#include "exchange/native_layout.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr char kArchitecture[] = "llama";
constexpr int64_t kMostLayers = 128;

// Reads theirs; what is missing, null or of the wrong kind is named.
class TheirConfig {
 public:
  TheirConfig(const Json& config, const std::string& where) : config_(config), where_(where) {}

  [[noreturn]] void Refuse(const std::string& what) const {
    throw Error(fmt::format("{}: {}", where_, what),
                "what is carried: Llama, Mistral and Qwen3 without biases, with plain rotary positions and silu");
  }
  bool Has(const char* key) const { return config_.is_object() && config_.contains(key); }
  // Null where there is none.
  Json Get(const char* key) const { return config_.is_object() ? config_.value(key, Json()) : Json(); }
  // A number from 1 to `most`; `missing` where there is none.
  int64_t Int(const char* key, int64_t most, int64_t missing = 0) const {
    const Json value = Get(key);
    if (value.is_null() && missing > 0) return missing;
    if (!value.is_number_integer() || value < 1 || value > most) {
      Refuse(fmt::format("\"{}\" is no number from 1 to {}: {}", key, most, Short(value)));
    }
    return value.get<int64_t>();
  }
  double Real(const char* key, double missing) const {
    const Json value = Get(key);
    if (value.is_null()) return missing;
    if (!value.is_number()) Refuse(fmt::format("\"{}\" is no number: {}", key, Short(value)));
    return value.get<double>();
  }
  bool Flag(const char* key, bool missing) const {
    const Json value = Get(key);
    if (value.is_null()) return missing;
    if (!value.is_boolean()) Refuse(fmt::format("\"{}\" is neither true nor false: {}", key, Short(value)));
    return value.get<bool>();
  }
  // Refuses a setting that is neither absent nor null nor one of `known`.
  void Expect(const char* key, const std::vector<Json>& known) const {
    const Json value = Get(key);
    if (value.is_null() || std::find(known.begin(), known.end(), value) != known.end()) return;
    Refuse(fmt::format("\"{}\": {} cannot be carried", key, Short(value)));
  }
  static std::string Short(const Json& value) {
    std::string text = ToText(value);
    constexpr size_t kLongest = 60;
    return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
  }

 private:
  const Json& config_;
  const std::string& where_;
};

// The base of plain rotary positions; everything else that turns is refused.
double RopeBaseOf(const TheirConfig& theirs, const std::string& where) {
  constexpr std::array kCarried = {"rope_type", "type", "partial_rotary_factor", "rope_theta"};
  theirs.Expect("partial_rotary_factor", {1.0, 1});
  double base = theirs.Real("rope_theta", 10000);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {  // before and since version 5
    const Json rope = theirs.Get(key);
    if (rope.is_null()) continue;
    if (!rope.is_object()) theirs.Refuse(fmt::format("\"{}\" is no object", key));
    const TheirConfig parameters(rope, where);
    parameters.Expect("rope_type", {"default"});
    parameters.Expect("type", {"default"});
    parameters.Expect("partial_rotary_factor", {1.0, 1});
    base = parameters.Real("rope_theta", base);
    // What scales, and objects by the type of a layer.
    for (const auto& [name, value] : rope.items()) {
      if (value.is_null() || std::find(kCarried.begin(), kCarried.end(), name) != kCarried.end()) continue;
      theirs.Refuse(fmt::format("{} of \"{}\" cannot be carried: {}", TheirConfig::Short(Json(name)), key,
                                TheirConfig::Short(value)));
    }
  }
  return base;
}

// Whether attention slides. Llama's never does, whatever is set; Mistral's does unless its window is null; Qwen3's does
// where it is said to. Where the window is left out it is the class's own.
bool Slides(const TheirConfig& theirs, const std::string& type) {
  if (type == "llama") return false;
  const Json window = theirs.Get("sliding_window");
  if (!window.is_null() && !window.is_number_integer()) {
    theirs.Refuse(fmt::format("\"sliding_window\" is neither a whole number nor null: {}", TheirConfig::Short(window)));
  }
  return (!window.is_null() || !theirs.Has("sliding_window")) &&
         (type == "mistral" || theirs.Flag("use_sliding_window", false));
}

// Tokens that attention sees: of a sliding window the same in all layers, else of the whole context.
int64_t WindowOf(const TheirConfig& theirs, const std::string& type) {
  constexpr int64_t kMost = 65536, kAny = int64_t{1} << 40;
  constexpr int64_t kUsualWindow = 4096, kMistralContext = 131072;  // where config.json has none
  const int64_t missing = type == "llama" ? 2048 : type == "mistral" ? kMistralContext : 32768;
  const int64_t context = std::min(theirs.Int("max_position_embeddings", kAny, missing), kMost);
  const bool slides = Slides(theirs, type);
  const Json types = theirs.Get("layer_types");
  if (!types.is_null()) {
    const char* one = slides ? "sliding_attention" : "full_attention";
    if (!types.is_array() || !std::all_of(types.begin(), types.end(), [&](const Json& t) { return t == one; })) {
      theirs.Refuse(fmt::format("\"layer_types\" are not all {}: layers that see differently cannot be carried", one));
    }
    const int64_t layers = theirs.Int("num_hidden_layers", kMostLayers);
    if (static_cast<int64_t>(types.size()) != layers) {
      theirs.Refuse(fmt::format("\"layer_types\" has {} entries for {} layers", types.size(), layers));
    }
  } else if (slides && type == "qwen3" && theirs.Get("max_window_layers") != Json(0)) {
    theirs.Refuse("\"max_window_layers\": layers that see differently cannot be carried");
  }
  return slides ? std::min(theirs.Int("sliding_window", kAny, kUsualWindow), context) : context;
}

}  // namespace

NativeModel NativeModelOf(const Model& model) {
  if (model.architecture() != kArchitecture) {
    return {"", "", fmt::format("no class of transformers is of the architecture {}", model.architecture())};
  }
  if (model.ngram() != nullptr) return {"", "", "no class of transformers has counted n-grams beside the network"};
  if (!model.bank().tables().empty()) return {"", "", "no class of transformers has tables of n-grams"};
  const bool qwen3 = model.config().at("qk_norm").get<bool>();
  return {qwen3 ? "qwen3" : "llama", qwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM", ""};
}

std::vector<NativeTensor> NativeTensorsOf(const Json& config) {
  const auto at = [&](const char* key) { return config.at(key).get<int>(); };
  const int C = at("d_model"), D = at("d_head"), F = at("d_ff"), V = at("vocab");
  const int queries = at("n_heads") * D, keys = at("kv_heads") * D;
  std::vector<NativeTensor> all;
  const auto add = [&](const std::string& ours, const std::string& theirs, const std::string& gguf,
                       std::vector<int> shape) {
    all.push_back({ours + ".weight", theirs + ".weight", gguf + ".weight", std::move(shape)});
  };
  add("embed", "model.embed_tokens", "token_embd", {V, C});
  for (int i = 0; i < at("n_layers"); ++i) {
    const auto block = [&](const char* ours, const char* theirs, const char* gguf, std::vector<int> shape) {
      add(fmt::format("blocks.{}.{}", i, ours), fmt::format("model.layers.{}.{}", i, theirs),
          fmt::format("blk.{}.{}", i, gguf), std::move(shape));
    };
    block("ln1", "input_layernorm", "attn_norm", {C});
    block("attn.q", "self_attn.q_proj", "attn_q", {queries, C});
    block("attn.k", "self_attn.k_proj", "attn_k", {keys, C});
    block("attn.v", "self_attn.v_proj", "attn_v", {keys, C});
    if (config.at("qk_norm").get<bool>()) {
      block("attn.q_norm", "self_attn.q_norm", "attn_q_norm", {D});
      block("attn.k_norm", "self_attn.k_norm", "attn_k_norm", {D});
    }
    block("attn.out", "self_attn.o_proj", "attn_output", {C, queries});
    block("ln2", "post_attention_layernorm", "ffn_norm", {C});
    block("ffn.gate", "mlp.gate_proj", "ffn_gate", {F, C});
    block("ffn.up", "mlp.up_proj", "ffn_up", {F, C});
    block("ffn.down", "mlp.down_proj", "ffn_down", {C, F});
  }
  add("ln_out", "model.norm", "output_norm", {C});
  if (!config.at("tied").get<bool>()) add("head", "lm_head", "output", {V, C});
  return all;
}

Json ToNativeConfig(const Model& model, int eos, int pad) {
  const NativeModel native = NativeModelOf(model);
  FLASHLM_CHECK(native.exists(), "{}", native.why_not);
  const Json& config = model.config();
  Json theirs = {{"architectures", {native.class_name}},
                 {"model_type", native.type},
                 {"vocab_size", config.at("vocab")},
                 {"hidden_size", config.at("d_model")},
                 {"intermediate_size", config.at("d_ff")},
                 {"num_hidden_layers", config.at("n_layers")},
                 {"num_attention_heads", config.at("n_heads")},
                 {"num_key_value_heads", config.at("kv_heads")},
                 {"head_dim", config.at("d_head")},
                 {"hidden_act", "silu"},
                 {"max_position_embeddings", config.at("window")},
                 {"rms_norm_eps", config.at("norm_eps")},
                 {"rope_theta", config.at("rope_base")},
                 {"tie_word_embeddings", config.at("tied")},
                 {"attention_bias", false},
                 {"attention_dropout", 0.0},
                 {"bos_token_id", eos},
                 {"eos_token_id", eos},
                 {"pad_token_id", pad},
                 {"torch_dtype", "float32"},
                 {"use_cache", true}};
  theirs["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", config.at("rope_base")}};
  if (native.type == "qwen3") {
    theirs["use_sliding_window"] = false;
    theirs["sliding_window"] = nullptr;
  } else {
    theirs["mlp_bias"] = false;
  }
  return theirs;
}

Json FromNativeConfig(const Json& theirs, const std::string& where) {
  const TheirConfig from(theirs, where);
  const Json type_value = from.Get("model_type");
  const std::string type = type_value.is_string() ? type_value.get<std::string>() : "";
  if (type != "llama" && type != "mistral" && type != "qwen3") {
    from.Refuse(fmt::format("\"model_type\" {} cannot be carried", TheirConfig::Short(type_value)));
  }
  from.Expect("hidden_act", {"silu", "swish"});
  for (const char* bias : {"attention_bias", "mlp_bias"}) from.Expect(bias, {false});
  from.Expect("quantization_config", {});
  const int64_t heads = from.Int("num_attention_heads", 256), width = from.Int("hidden_size", 8192);
  Json ours = {{"architecture", kArchitecture}};
  ours["vocab"] = from.Int("vocab_size", 65536);
  ours["d_model"] = width;
  ours["n_layers"] = from.Int("num_hidden_layers", kMostLayers);
  ours["n_heads"] = heads;
  ours["kv_heads"] = from.Int("num_key_value_heads", heads, heads);
  ours["d_head"] = from.Int("head_dim", 1024, width / heads);
  ours["window"] = WindowOf(from, type);
  ours["d_ff"] = from.Int("intermediate_size", 65536);
  ours["qk_norm"] = type == "qwen3";
  ours["tied"] = from.Flag("tie_word_embeddings", false);
  ours["rope_base"] = RopeBaseOf(from, where);
  ours["norm_eps"] = from.Real("rms_norm_eps", 1e-6);
  return ours;
}

}  // namespace flashlm
