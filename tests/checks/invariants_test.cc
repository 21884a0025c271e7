// The invariants of docs/architecture.md on every registered architecture. ToyModel below is registered here alone and
// passes them by that: nothing in this file is written per model.
#include "checks/invariants.h"

#include <gtest/gtest.h>

#include "models/registry.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

// The smallest thing that is a language model: embedding, one windowed attention, tied head; and tables of n-grams,
// which are parameters of a kind of their own.
class ToyModel final : public Model {
 public:
  struct Config {
    int vocab = 32, d_model = 32;
    void VisitFields(FieldVisitor& v) {
      v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
      v.Int("d_model", d_model, 2, 1024, "width");
    }
    void Validate() const {}
  };
  static Config Tiny() { return {}; }

  explicit ToyModel(const Config& c) : c_(c) {
    const Init normal = Init::Normal(0.15f);
    embed_ = bank().Add({"embed.weight", {c.vocab, c.d_model}, Role::kEmbedding, normal});
    bigrams_ = &bank().AddTable("bigrams", 300, c.d_model, normal);
    trigrams_ = &bank().AddTable("trigrams", 200, c.d_model, normal);
    norm_ = AddGain(bank(), "norm", c.d_model);
    qkv_ = AddLinear(bank(), {{"qkv", 3 * c.d_model, normal, 3}}, c.d_model);
    out_ = AddLinear(bank(), {{"out", c.d_model, normal}}, c.d_model);
    ln_out_ = AddGain(bank(), "ln_out", c.d_model);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C]
    h = AddDropout(tape, h, HashedEmbedding(tape, tokens, *bigrams_, {.order = 2}), 0.0);
    h = AddDropout(tape, h, HashedEmbedding(tape, tokens, *trigrams_, {.order = 3}), 0.0);
    const Tensor qkv = Linear(tape, RmsNorm(tape, h, norm_), qkv_);
    const Tensor mixed = WindowAttention(tape, qkv, {2, c_.d_model / 2, 8});
    const Tensor y = AddDropout(tape, h, Linear(tape, mixed, out_), 0.0);
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, y, ln_out_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  Config c_;
  Param embed_, norm_, qkv_, out_, ln_out_;
  SparseTable *bigrams_, *trigrams_;
};

FLASHLM_REGISTER_MODEL("toy", ToyModel);

Json WithTables(Json config, const char* place) {
  config.update({{"table_place", place},
                 {"table_bigrams", 300},
                 {"table_trigrams", 200},
                 {"table_fourgrams", 100},
                 {"table_width", 12},
                 {"table_std", 0.3},
                 {"table_gate", std::string_view(place) == "output"}});
  return config;
}

std::vector<Json> Configs() {
  std::vector<Json> configs;
  for (const ModelEntry& entry : RegisteredModels()) {
    Json config = entry.tiny();
    config["architecture"] = entry.name;
    configs.push_back(config);
    if (entry.input_tables) configs.push_back(WithTables(config, "input"));
    // One whose input has a place for tables, and one that knows nothing of them.
    if (entry.name == "gpt" || entry.name == "v4-bolt") configs.push_back(WithTables(config, "output"));
    // The other value of a field that changes what is computed is another model to prove.
    if (config.contains("memory")) {
      config["memory"] = config["memory"] == "delta" ? "linear" : "delta";
      configs.push_back(config);
    }
    if (config.contains("weights")) {
      config["weights"] = "ternary";
      configs.push_back(config);
    }
    if (config.contains("memory_heads")) {
      config.update({{"memory_heads", 2}, {"memory_reads", 2}, {"memory_window", 9}});
      configs.push_back(config);
    }
    if (config.contains("rcsm_operations")) {
      config.update({{"rcsm_operations", 4}, {"rcsm_width", 24}, {"rcsm_slots", 5}, {"weights", "float"}});
      configs.push_back(config);
    }
    if (config.contains("second_head")) {
      config["second_head"] = true;
      configs.push_back(config);
    }
  }
  configs.push_back(TinyWithNGrams());
  return configs;
}

class InvariantsTest : public testing::TestWithParam<Json> {};

void Expect(const CheckResult& check) { EXPECT_TRUE(check.passed) << check.name << ": " << check.detail; }

TEST_P(InvariantsTest, CausalSplitAndBatch) { Expect(CheckCausalSplitAndBatch(GetParam())); }
TEST_P(InvariantsTest, NextToken) { Expect(CheckNextToken(GetParam())); }
TEST_P(InvariantsTest, NothingToLearn) { Expect(CheckNothingToLearn(GetParam(), 400)); }
TEST_P(InvariantsTest, Gradients) { Expect(CheckGradients(GetParam())); }
TEST_P(InvariantsTest, EveryParameterLearns) { Expect(CheckEveryParameterLearns(GetParam())); }
TEST_P(InvariantsTest, CompleteGradients) { Expect(CheckCompleteGradients(GetParam())); }
TEST_P(InvariantsTest, SteadyMemory) { Expect(CheckSteadyMemory(GetParam())); }
TEST_P(InvariantsTest, Threads) { Expect(CheckThreads(GetParam())); }
TEST_P(InvariantsTest, Lanes) { Expect(CheckLanes(GetParam())); }
TEST_P(InvariantsTest, Company) { Expect(CheckCompany(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Registry, InvariantsTest, testing::ValuesIn(Configs()), [](const auto& info) {
  std::string name = fmt::format("{}_{}", info.index, info.param["architecture"].template get<std::string>());
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace flashlm
