// GGUF as its specification has it, read back by a reader of the test's own. That llama.cpp computes the same with it
// is what tools/compare_with_llama_cpp.py shows.
#include "exchange/gguf.h"

#include <cmath>
#include <cstring>
#include <map>

#include "base/dtype.h"
#include "tests/exchange/exchange_testing.h"

namespace flashlm {
namespace {

struct GgufTensor {
  std::vector<uint64_t> dimensions;
  uint32_t type = 0;
  uint64_t offset = 0;
};

class GgufReader {
 public:
  explicit GgufReader(std::string bytes) : bytes_(std::move(bytes)) {
    EXPECT_EQ(bytes_.substr(0, 4), "GGUF");
    at_ = 4;
    EXPECT_EQ(Number<uint32_t>(), 3u);
    const auto tensor_count = Number<uint64_t>(), keys = Number<uint64_t>();
    for (uint64_t i = 0; i < keys; ++i) {
      const std::string key = Text();
      EXPECT_FALSE(values.contains(key)) << key;
      values[key] = Value(Number<uint32_t>());
    }
    for (uint64_t i = 0; i < tensor_count; ++i) {
      const std::string name = Text();
      GgufTensor& tensor = tensors[name];
      tensor.dimensions.resize(Number<uint32_t>());
      for (uint64_t& n : tensor.dimensions) n = Number<uint64_t>();
      tensor.type = Number<uint32_t>();
      tensor.offset = Number<uint64_t>();
      EXPECT_EQ(tensor.offset % 32, 0u) << name;
    }
    data_ = (at_ + 31) / 32 * 32;
  }

  template <class T>
  T At(const GgufTensor& tensor, size_t index) const {
    T value;
    std::memcpy(&value, bytes_.data() + data_ + tensor.offset + index * sizeof value, sizeof value);
    return value;
  }

  std::map<std::string, Json> values;
  std::map<std::string, GgufTensor> tensors;

 private:
  template <class T>
  T Number() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string Text() {
    const auto size = Number<uint64_t>();
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  Json Value(uint32_t type) {
    if (type == 4) return Number<uint32_t>();
    if (type == 5) return Number<int32_t>();
    if (type == 6) return Number<float>();
    if (type == 7) return Number<uint8_t>() != 0;
    if (type == 8) return Text();
    EXPECT_EQ(type, 9u);
    const auto of = Number<uint32_t>();
    const auto count = Number<uint64_t>();
    Json list = Json::array();
    for (uint64_t i = 0; i < count; ++i) list.push_back(Value(of));
    return list;
  }

  std::string bytes_;
  size_t at_ = 0, data_ = 0;
};

TEST(Gguf, HasTheKeysAndTensorsOfQwen3) {
  const Scratch scratch;
  const LoadedModel loaded = TinyLoaded("llama");
  const std::string path = scratch / "model.gguf";
  const GgufReport report = ExportGguf(loaded, path, DType::kF32, "Tiny", "mit");
  EXPECT_EQ(report.bytes, std::filesystem::file_size(path));
  const GgufReader file(ReadFile(path));
  const std::map<std::string, Json> expected = {{"general.architecture", "qwen3"},
                                                {"general.name", "Tiny"},
                                                {"general.size_label", "25K"},
                                                {"general.license", "mit"},
                                                {"general.file_type", 0},
                                                {"general.alignment", 32},
                                                {"qwen3.context_length", 9},
                                                {"qwen3.embedding_length", 32},
                                                {"qwen3.block_count", 2},
                                                {"qwen3.feed_forward_length", 48},
                                                {"qwen3.attention.head_count", 4},
                                                {"qwen3.attention.head_count_kv", 2},
                                                {"qwen3.attention.key_length", 8},
                                                {"qwen3.attention.value_length", 8},
                                                {"qwen3.attention.layer_norm_rms_epsilon", 1e-6f},
                                                {"qwen3.rope.freq_base", 10000.0f},
                                                {"qwen3.rope.dimension_count", 8},
                                                {"qwen3.vocab_size", 290},
                                                {"tokenizer.ggml.model", "gpt2"},
                                                {"tokenizer.ggml.pre", "gpt-2"},
                                                {"tokenizer.ggml.bos_token_id", 3},
                                                {"tokenizer.ggml.eos_token_id", 3},
                                                {"tokenizer.ggml.padding_token_id", 0},
                                                {"tokenizer.ggml.add_bos_token", true},
                                                {"tokenizer.ggml.add_eos_token", false}};
  for (const auto& [key, value] : expected) EXPECT_EQ(file.values.at(key), value) << key;
  const Json &tokens = file.values.at("tokenizer.ggml.tokens"), &types = file.values.at("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 290u);
  EXPECT_EQ(tokens[3], "<eos>");
  EXPECT_EQ(types[3], 3);
  EXPECT_EQ(types[4], 1);
  EXPECT_EQ(file.values.at("tokenizer.ggml.merges").size(), 290u - 260);

  ASSERT_EQ(file.tensors.size(), 2u * 11 + 2);  // the head is tied: absent
  const GgufTensor& gate = file.tensors.at("blk.1.ffn_gate.weight");
  EXPECT_EQ(gate.dimensions, (std::vector<uint64_t>{32, 48}));
  for (const char* name : {"token_embd", "output_norm", "blk.0.attn_norm", "blk.0.attn_q", "blk.0.attn_k",
                           "blk.0.attn_v", "blk.0.attn_q_norm", "blk.0.attn_k_norm", "blk.0.attn_output",
                           "blk.0.ffn_norm", "blk.0.ffn_up", "blk.0.ffn_down"}) {
    EXPECT_TRUE(file.tensors.contains(std::string(name) + ".weight")) << name;
  }
  const ParamInfo& info = *loaded.model->bank().Find("blocks.1.ffn.gate.weight");
  for (size_t i = 0; i < static_cast<size_t>(info.size); ++i) {
    ASSERT_EQ(file.At<float>(gate, i), loaded.model->bank().values()[info.offset + static_cast<int64_t>(i)]);
  }
}

TEST(Gguf, MatricesMayBeBf16) {
  const Scratch scratch;
  const LoadedModel loaded = TinyLoaded("llama", {{"tied", false}});
  const std::string path = scratch / "model.gguf";
  ExportGguf(loaded, path, DType::kBF16, "", "mit");
  const GgufReader file(ReadFile(path));
  EXPECT_EQ(file.values.at("general.file_type"), 32);
  const GgufTensor& head = file.tensors.at("output.weight");
  EXPECT_EQ(head.type, 30u);
  EXPECT_EQ(file.tensors.at("output_norm.weight").type, 0u);
  const ParamInfo& info = *loaded.model->bank().Find("head.weight");
  for (int64_t i = 0; i < info.size; ++i) {
    ASSERT_EQ(file.At<uint16_t>(head, static_cast<size_t>(i)),
              ToBFloat16(loaded.model->bank().values()[info.offset + i]).bits);
  }
}

TEST(Gguf, RefusesOtherShapesByName) {
  const Scratch scratch;
  const std::string path = scratch / "model.gguf";
  const auto error = [&](const char* architecture, const Json& overrides) {
    return ErrorOf([&] { ExportGguf(TinyLoaded(architecture, overrides), path, DType::kF32, "", ""); });
  };
  ExpectContains(error("gpt", Json::object()), "architecture gpt");
  ExpectContains(error("llama", {{"qk_norm", false}}), "qk_norm");
  ExpectContains(error("llama", {{"ngram_order", 3}}), "n-grams");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Gguf, RefusesWeightsThatAreNotFiniteByName) {
  const Scratch scratch;
  const std::string path = scratch / "model.gguf";
  const LoadedModel loaded = TinyLoaded("llama");
  loaded.model->bank().values()[loaded.model->bank().Find("blocks.1.ffn.gate.weight")->offset + 5] = std::nanf("");
  ExpectContains(ErrorOf([&] { ExportGguf(loaded, path, DType::kBF16, "", "mit"); }),
                 "parameter 'blocks.1.ffn.gate.weight' has values that are not finite");
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace flashlm
