// v6 SUPERNOVA (docs/spec/supernova.md): a backbone of gated recurrences, then one engine that reasons recursively on a
// narrow state (nn/rcsm.h); tied head.
//
//   h <- h + s, s_t = sigmoid(decay) * s_{t-1} + sigmoid(W_g u_t) * W_v u_t, u = LN(h)        in every layer
//   h <- h + W_down (silu(W_gate u) * W_up u), u = LN(h)                           behind each of them, if d_ff > 0
//   h <- h + W_up engine(W_down h);  logits = E LN(h)
//
// The published test computed all 16 operations in every pass, made 8 passes whatever depth it chose, drew noise in
// evaluation too, and had an untied ternary head. Here only the two chosen operations of a token are computed, a token
// stops at its depth, evaluation is deterministic, a balancing loss keeps the operations in use, and the head is the
// embedding. The gated MLP is no part of the published code, nor of its description: it makes up for the parameters
// that the announcement counts and does not describe (preset v6-supernova-8m); nor is the memory of the sequence, which
// the engine can be given (memory_heads).
#include <optional>

#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"
#include "nn/rcsm.h"

namespace flashlm {
namespace {

struct SupernovaConfig {
  int vocab = 4096, d_model = 256, n_layers = 8, d_ff = 0;
  int d_reason = 96, n_operations = 16, n_slots = 16, depth = 0;
  double depth_noise = 1, balance_weight = 0.01, init_std = 0.02;
  bool depth_blend = true;
  int memory_heads = 0, memory_reads = 1, memory_window = 256;
  std::string activation = "none";

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 0, 64, "gated recurrences");
    v.Int("d_ff", d_ff, 0, 65536, "hidden width of the gated MLP behind each of them; 0: none");
    v.Int("d_reason", d_reason, 1, 1024, "width of the reasoning state");
    v.Int("n_operations", n_operations, 2, 256, "operations, of which each pass takes two");
    v.Int("n_slots", n_slots, 1, 1024, "slots, the memory of all texts");
    v.Int("depth", depth, 0, kernels::kMaxReasoningDepth, "passes of every token, 1, 3 or 8; 0: each token chooses");
    v.Real("depth_noise", depth_noise, 0, 10, "factor on the Gumbel noise of the choice of depth, in training");
    v.Bool("depth_blend", depth_blend,
           "in training a token that chooses is a blend of its states up to the depth it drew; else the last of them");
    v.Real("balance_weight", balance_weight, 0, 10, "weight of the loss that keeps all operations in use");
    v.Int("memory_heads", memory_heads, 0, 256,
          "heads by which the engine reads a memory of the sequence's own before its passes; 0: there is none");
    v.Int("memory_reads", memory_reads, 1, 64, "such reads, one after another through the same weights");
    v.Int("memory_window", memory_window, 1, 65536, "tokens that such a read sees, the own one included");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    v.Text("activation", activation, {"none", "int8"},
           "what ternary maps read: as it is, or rounded to int8 per token");
  }

  void Validate() const {
    Rcsm::CheckDepth(depth);
    if (memory_heads > 0) CheckRotaryHeads(d_reason, memory_heads, "d_reason", "memory_heads");
  }
};

class Supernova final : public Model {
 public:
  using Config = SupernovaConfig;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 2;
    c.d_ff = 40;
    c.d_reason = 24;
    c.n_operations = 5;
    c.n_slots = 6;
    c.init_std = 0.15;
    return c;
  }

  explicit Supernova(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const Quantization ternary{kernels::Ternary::kScaleGradient, c_.activation == "int8"};
    const int C = c_.d_model;
    embed_ = bank().Add({"embedding.weight", {c_.vocab, C}, Role::kEmbedding, normal});
    for (int i = 0; i < c_.n_layers; ++i) {
      const std::string name = fmt::format("backbone.{}.", i);
      Layer layer;
      layer.norm = AddGainBias(bank(), name + "norm", C);
      layer.gate_value =
          AddLinear(bank(), {{name + "gate_proj", C, normal}, {name + "value_proj", C, normal}}, C, ternary);
      layer.decay = bank().Add({name + "decay", {C}, Role::kVector, Init::Constant(0.9f)});
      if (c_.d_ff > 0) {
        layer.mlp_norm = AddGainBias(bank(), name + "mlp.norm", C);
        layer.gate_up =
            AddLinear(bank(), {{name + "mlp.gate", c_.d_ff, normal}, {name + "mlp.up", c_.d_ff, normal}}, C, ternary);
        layer.down = AddLinear(bank(), {{name + "mlp.down", C, normal}}, c_.d_ff, ternary);
      }
      layers_.push_back(layer);
    }
    const RcsmConfig engine{.channels = C,
                            .width = c_.d_reason,
                            .operations = c_.n_operations,
                            .slots = c_.n_slots,
                            .depth = c_.depth,
                            .depth_noise = c_.depth_noise,
                            .depth_blend = c_.depth_blend,
                            .balance_weight = c_.balance_weight,
                            .memory_heads = c_.memory_heads,
                            .memory_reads = c_.memory_reads,
                            .memory_window = c_.memory_window,
                            .quantization = ternary};
    const auto init = [&](int) { return normal; };
    engine_.emplace(bank(), "rcsm", engine, init, init);
    norm_out_ = AddGainBias(bank(), "out_norm", C);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C]
    for (const Layer& layer : layers_) {
      const Tensor gate_value = Linear(tape, LayerNorm(tape, h, layer.norm), layer.gate_value);  // [N,2C]
      h = AddDropout(tape, h, DecayScan(tape, gate_value, layer.decay), 0.0);
      if (c_.d_ff == 0) continue;
      const Tensor gate_up = Linear(tape, LayerNorm(tape, h, layer.mlp_norm), layer.gate_up);  // [N,2F]
      h = AddDropout(tape, h, Linear(tape, SwiGlu(tape, gate_up), layer.down), 0.0);
    }
    Prediction prediction;
    h = engine_->Apply(tape, h, prediction.auxiliary, prediction.reasoned);
    prediction.hidden = LayerNorm(tape, h, norm_out_);
    prediction.head = embed_;
    return prediction;
  }

  void BeginStep() override { engine_->BeginStep(); }
  void EndStep(bool applied) override { engine_->EndStep(applied); }
  std::vector<float> PassRecords() const override { return engine_->PassRecords(); }
  void AddPassRecords(std::span<const float> records) override { engine_->AddPassRecords(records); }
  void SetDepth(int depth) override { engine_->SetDepth(depth); }
  int Depth() const override { return engine_->depth(); }
  std::span<const float> OperationShares() const override { return engine_->shares(); }
  double TrainingFlopsPerToken() const override {
    return Model::TrainingFlopsPerToken() + engine_->FlopsBeyondWeights();
  }

 private:
  struct Layer {
    GainBias norm;
    Param gate_value;  // gate_proj | value_proj
    Param decay;       // a logit per channel
    GainBias mlp_norm;
    Param gate_up, down;  // of the gated MLP, if there is one
  };

  Config c_;
  Param embed_;
  std::vector<Layer> layers_;
  std::optional<Rcsm> engine_;
  GainBias norm_out_;
};

FLASHLM_REGISTER_MODEL("v6-supernova", Supernova);

}  // namespace
}  // namespace flashlm
