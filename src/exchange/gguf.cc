#include "exchange/gguf.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/atomic_file.h"
#include "base/dtype.h"
#include "base/error.h"
#include "exchange/native_layout.h"
#include "io/bank_files.h"

namespace flashlm {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;

// Types of values, and of tensors.
enum ValueType : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };
enum TensorType : uint32_t { kTensorF32 = 0, kTensorBF16 = 30 };
// general.file_type of llama.cpp, and its types of tokens.
constexpr uint32_t kAllF32 = 0, kMostlyBF16 = 32;
constexpr int32_t kNormalToken = 1, kControlToken = 3;

class Bytes {
 public:
  template <class T>
  void Number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Text(const std::string& text) {
    Number(uint64_t{text.size()});
    bytes_ += text;
  }
  void Align() { bytes_.resize((bytes_.size() + kAlignment - 1) / kAlignment * kAlignment, '\0'); }
  std::string& str() { return bytes_; }

 private:
  std::string bytes_;
};

// Keys and values, counted.
class Keys {
 public:
  void Set(const std::string& key, const std::string& value) {
    Begin(key, kString);
    bytes_.Text(value);
  }
  void Set(const std::string& key, uint32_t value) {
    Begin(key, kUint32);
    bytes_.Number(value);
  }
  void Set(const std::string& key, float value) {
    Begin(key, kFloat32);
    bytes_.Number(value);
  }
  void Flag(const std::string& key, bool value) {
    Begin(key, kBool);
    bytes_.Number(static_cast<uint8_t>(value));
  }
  void Set(const std::string& key, std::span<const std::string> values) {
    BeginArray(key, kString, values.size());
    for (const std::string& value : values) bytes_.Text(value);
  }
  void Set(const std::string& key, std::span<const int32_t> values) {
    BeginArray(key, kInt32, values.size());
    for (const int32_t value : values) bytes_.Number(value);
  }
  uint64_t count() const { return count_; }
  const std::string& bytes() { return bytes_.str(); }

 private:
  void Begin(const std::string& key, ValueType type) {
    bytes_.Text(key);
    bytes_.Number(static_cast<uint32_t>(type));
    ++count_;
  }
  void BeginArray(const std::string& key, ValueType type, size_t size) {
    Begin(key, kArray);
    bytes_.Number(static_cast<uint32_t>(type));
    bytes_.Number(uint64_t{size});
  }

  Bytes bytes_;
  uint64_t count_ = 0;
};

void SetShape(const Json& config, Keys& keys) {
  const auto number = [&](const char* key) { return config.at(key).get<uint32_t>(); };
  const std::string qwen3 = "qwen3.";
  keys.Set(qwen3 + "context_length", number("window"));
  keys.Set(qwen3 + "embedding_length", number("d_model"));
  keys.Set(qwen3 + "block_count", number("n_layers"));
  keys.Set(qwen3 + "feed_forward_length", number("d_ff"));
  keys.Set(qwen3 + "attention.head_count", number("n_heads"));
  keys.Set(qwen3 + "attention.head_count_kv", number("kv_heads"));
  keys.Set(qwen3 + "attention.key_length", number("d_head"));
  keys.Set(qwen3 + "attention.value_length", number("d_head"));
  keys.Set(qwen3 + "attention.layer_norm_rms_epsilon", config.at("norm_eps").get<float>());
  keys.Set(qwen3 + "rope.freq_base", config.at("rope_base").get<float>());
  keys.Set(qwen3 + "rope.dimension_count", number("d_head"));
  keys.Set(qwen3 + "vocab_size", number("vocab"));
}

// pre = gpt-2 is the splitting of words that our tokenizer does. A text begins with <eos> here, hence add_bos_token.
void SetTokenizer(const Tokenizer& tokenizer, Keys& keys) {
  const auto json = nlohmann::json::parse(tokenizer.ToJson());
  const auto& model = json.at("model");
  std::vector<std::string> tokens(static_cast<size_t>(tokenizer.vocab_size()));
  for (const auto& [name, id] : model.at("vocab").items()) tokens[id.get<size_t>()] = name;
  std::vector<int32_t> types;
  types.reserve(tokens.size());
  for (int id = 0; id < tokenizer.vocab_size(); ++id) {
    types.push_back(tokenizer.Bytes(id).empty() ? kControlToken : kNormalToken);
  }
  std::vector<std::string> merges;
  for (const auto& merge : model.at("merges")) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  keys.Set("tokenizer.ggml.model", std::string("gpt2"));
  keys.Set("tokenizer.ggml.pre", std::string("gpt-2"));
  keys.Set("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  keys.Set("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  keys.Set("tokenizer.ggml.merges", std::span<const std::string>(merges));
  keys.Set("tokenizer.ggml.bos_token_id", uint32_t{Tokenizer::kEos});
  keys.Set("tokenizer.ggml.eos_token_id", uint32_t{Tokenizer::kEos});
  keys.Set("tokenizer.ggml.padding_token_id", uint32_t{Tokenizer::kPad});
  keys.Flag("tokenizer.ggml.add_bos_token", true);
  keys.Flag("tokenizer.ggml.add_eos_token", false);
}

// Descriptions of the tensors, and their data.
struct Tensors {
  Bytes infos, data;
  uint64_t count = 0;

  void Add(const NativeTensor& tensor, const float* values, DType matrices) {
    const bool vector = tensor.shape.size() == 1;
    const bool bf16 = !vector && matrices == DType::kBF16;
    infos.Text(tensor.gguf);
    infos.Number(static_cast<uint32_t>(tensor.shape.size()));
    for (auto n = tensor.shape.rbegin(); n != tensor.shape.rend(); ++n) infos.Number(static_cast<uint64_t>(*n));
    infos.Number(static_cast<uint32_t>(bf16 ? kTensorBF16 : kTensorF32));
    data.Align();
    infos.Number(uint64_t{data.str().size()});
    size_t size = 1;
    for (const int n : tensor.shape) size *= static_cast<size_t>(n);
    if (bf16) {
      for (size_t i = 0; i < size; ++i) data.Number(ToBFloat16(values[i]).bits);
    } else {
      data.str().append(reinterpret_cast<const char*>(values), size * sizeof(float));
    }
    ++count;
  }
};

std::string NameOfModel(const LoadedModel& loaded) {
  const Json run = loaded.trainer_state.is_object() ? loaded.trainer_state.value("run", Json()) : Json();
  const Json preset = run.is_object() ? run.value("preset", Json()) : Json();
  return "FlashLM " + (preset.is_string() ? preset.get<std::string>() : loaded.model->architecture());
}

// As names of models have it: two digits and more, "650K", "4.2M", "12M".
std::string SizeLabel(int64_t parameters) {
  const bool millions = parameters >= 1'000'000;
  const double number = static_cast<double>(parameters) / (millions ? 1e6 : 1e3);
  return fmt::format("{:.{}f}{}", number, number < 9.95 ? 1 : 0, millions ? "M" : "K");
}

}  // namespace

GgufReport ExportGguf(const LoadedModel& loaded, const std::string& path, DType matrices, const std::string& name,
                      const std::string& license) {
  const Model& model = *loaded.model;
  const NativeModel native = NativeModelOf(model);
  if (native.type != "qwen3") {
    throw Error(fmt::format("no GGUF of this model: {}",
                            native.exists() ? "without qk_norm it is not of llama.cpp's shape qwen3" : native.why_not),
                "the preset gpt-qwen3 trains one that llama.cpp knows; --format packed and hf take every model");
  }
  RefuseInfinite(path, model.bank());
  Keys keys;
  keys.Set("general.architecture", std::string("qwen3"));
  keys.Set("general.name", name.empty() ? NameOfModel(loaded) : name);
  keys.Set("general.size_label", SizeLabel(model.bank().ParameterCount()));
  keys.Set("general.license", license);
  keys.Set("general.file_type", matrices == DType::kBF16 ? kMostlyBF16 : kAllF32);
  keys.Set("general.alignment", static_cast<uint32_t>(kAlignment));
  SetShape(model.config(), keys);
  SetTokenizer(loaded.tokenizer, keys);
  Tensors tensors;
  for (const NativeTensor& tensor : NativeTensorsOf(model.config())) {
    const ParamInfo* info = model.bank().Find(tensor.ours);
    FLASHLM_CHECK(info != nullptr && info->shape == tensor.shape, "'{}' is not as llama.cpp has it", tensor.ours);
    tensors.Add(tensor, model.bank().values() + info->offset, matrices);
  }
  Bytes file;
  file.str() = "GGUF";
  file.Number(kVersion);
  file.Number(tensors.count);
  file.Number(keys.count());
  file.str() += keys.bytes() + tensors.infos.str();
  file.Align();
  file.str() += tensors.data.str();
  file.Align();
  AtomicFile out(path);
  out.Append(file.str());
  out.Commit();
  return {path, file.str().size(), static_cast<int>(tensors.count), matrices};
}

Json ToJson(const GgufReport& report) {
  return {{"format", "gguf"},
          {"out", report.path},
          {"bytes", report.bytes},
          {"tensors", report.tensors},
          {"matrices", NameOf(report.matrices)}};
}

std::string Describe(const GgufReport& report) {
  return fmt::format("{}: {:.2f} MB, {} tensors, matrices in {}, for llama.cpp as qwen3\n", report.path,
                     static_cast<double>(report.bytes) / 1e6, report.tensors, NameOf(report.matrices));
}

}  // namespace flashlm
