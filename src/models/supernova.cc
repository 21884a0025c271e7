// v6 SUPERNOVA (docs/spec/supernova.md): a backbone of gated recurrences, then one engine (RCSM) that reasons
// recursively on a narrow state, with a choice of operations, a memory of slots and an adaptive number of passes; tied
// head.
//
//   h <- h + s, s_t = sigmoid(decay) * s_{t-1} + sigmoid(W_g u_t) * W_v u_t, u = LN(h)        in every layer
//   h <- h + W_up engine(W_down h);  logits = E LN(h)
//
// The published test computed all 16 operations in every pass, made 8 passes whatever depth it chose, drew noise in
// evaluation too, and had an untied ternary head. Here only the two chosen operations of a token are computed, a token
// stops at its depth (kernels/reasoning/reasoning.h), evaluation is deterministic, a balancing loss keeps the
// operations in use, and the head is the embedding. The slots are a buffer: what a step writes into them, averaged over
// its tokens, is seen from the next step on, so nothing passes between the sequences of a batch, and evaluation leaves
// them alone.
#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

struct SupernovaConfig {
  int vocab = 4096, d_model = 256, n_layers = 8;
  int d_reason = 96, n_operations = 16, n_slots = 16, depth = 0;
  double depth_noise = 1, balance_weight = 0.01, init_std = 0.02;
  std::string activation = "none";

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 0, 64, "gated recurrences");
    v.Int("d_reason", d_reason, 1, 1024, "width of the reasoning state");
    v.Int("n_operations", n_operations, 2, 256, "operations, of which each pass takes two");
    v.Int("n_slots", n_slots, 1, 1024, "slots of the memory");
    v.Int("depth", depth, 0, kernels::kMaxReasoningDepth, "passes of every token, 1, 3 or 8; 0: each token chooses");
    v.Real("depth_noise", depth_noise, 0, 10, "factor on the Gumbel noise of the choice of depth, in training");
    v.Real("balance_weight", balance_weight, 0, 10, "weight of the loss that keeps all operations in use");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    v.Text("activation", activation, {"none", "int8"},
           "what ternary maps read: as it is, or rounded to int8 per token");
  }

  void Validate() const { CheckDepth(depth); }

  static void CheckDepth(int depth) {
    if (depth == 0) return;
    for (const int known : kernels::kReasoningDepths) {
      if (depth == known) return;
    }
    throw UsageError(fmt::format("depth {}: must be 1, 3, 8, or 0 for adaptive", depth),
                     "the depths that the classifier chooses from");
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
    c.d_reason = 24;
    c.n_operations = 5;
    c.n_slots = 6;
    c.init_std = 0.15;
    return c;
  }

  explicit Supernova(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const Quantization ternary{kernels::Ternary::kScaleGradient, c_.activation == "int8"};
    const int C = c_.d_model, R = c_.d_reason;
    embed_ = bank().Add({"embedding.weight", {c_.vocab, C}, Role::kEmbedding, normal});
    for (int i = 0; i < c_.n_layers; ++i) {
      const std::string name = fmt::format("backbone.{}.", i);
      Layer layer;
      layer.norm = AddGainBias(bank(), name + "norm", C);
      layer.gate_value =
          AddLinear(bank(), {{name + "gate_proj", C, normal}, {name + "value_proj", C, normal}}, C, ternary);
      layer.decay = bank().Add({name + "decay", {C}, Role::kVector, Init::Constant(0.9f)});
      layers_.push_back(layer);
    }
    down_ = AddLinear(bank(), {{"rcsm.down_proj", R, normal}}, C, ternary);
    AddEngine(normal, ternary);
    up_ = AddLinear(bank(), {{"rcsm.up_proj", C, normal}}, R, ternary);
    norm_out_ = AddGainBias(bank(), "out_norm", C);
    written_.resize(static_cast<size_t>(R));
    addressed_.resize(static_cast<size_t>(c_.n_slots));
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C]
    for (const Layer& layer : layers_) {
      const Tensor gate_value = Linear(tape, LayerNorm(tape, h, layer.norm), layer.gate_value);  // [N,2C]
      h = AddDropout(tape, h, DecayScan(tape, gate_value, layer.decay), 0.0);
    }
    const Tensor r = Linear(tape, ToComputeType(tape, h), down_);  // [N,R]
    const ReasoningConfig config{c_.n_operations, c_.n_slots, c_.depth, c_.depth_noise};
    const ReasoningResult engine = Reasoning(tape, r, engine_, config, pack_);  // state [N,R]
    h = AddDropout(tape, h, Linear(tape, engine.state, up_), 0.0);
    Prediction prediction;
    prediction.hidden = LayerNorm(tape, h, norm_out_);
    prediction.head = embed_;
    if (tape.training()) {
      Remember(engine);
      if (c_.balance_weight > 0) {
        prediction.auxiliary = BalanceLoss(tape, engine.usage, engine.shares, c_.balance_weight);
      }
    }
    return prediction;
  }

  bool PassesSideBySide() const override { return false; }  // what was written and addressed is summed up
  void BeginStep() override {
    std::fill(written_.begin(), written_.end(), 0.0);
    std::fill(addressed_.begin(), addressed_.end(), 0.0);
    forwards_ = 0;
  }

  // The deferred write: slot_i <- 0.99 slot_i + 0.01 (mean address weight)_i (mean z).
  void EndStep(bool applied) override {
    if (!applied || forwards_ == 0) return;
    float* slots = bank().Value(engine_.slots);  // [S,R]
    for (size_t s = 0; s < addressed_.size(); ++s) {
      for (size_t i = 0; i < written_.size(); ++i) {
        float& slot = slots[s * written_.size() + i];
        slot = static_cast<float>(0.99 * slot + 0.01 * addressed_[s] / forwards_ * written_[i] / forwards_);
      }
    }
    bank().Touch();
  }

  void SetDepth(int depth) override {
    Config::CheckDepth(depth);
    c_.depth = depth;
  }

  // Of adaptive tokens as if all depths were as frequent.
  double TrainingFlopsPerToken() const override {
    const double R = c_.d_reason, passes = c_.depth > 0 ? c_.depth : (1 + 3 + 8) / 3.0;
    double weights = 0;
    for (const ParamInfo& info : bank().infos()) {
      const bool engine =
          info.name.starts_with("rcsm.") && info.name != "rcsm.down_proj.weight" && info.name != "rcsm.up_proj.weight";
      if (!engine && (info.role == Role::kMatrix || info.role == Role::kEmbedding))
        weights += static_cast<double>(info.size);
    }
    // Per pass: two operations, W_mix o, router, reading the slots; once: the write.
    return 6.0 * (weights + passes * (3 * R * R + R * (c_.n_operations + 2 * c_.n_slots)) + R * R + 2 * R * c_.n_slots);
  }

 private:
  struct Layer {
    GainBias norm;
    Param gate_value;  // gate_proj | value_proj
    Param decay;       // a logit per channel
  };

  void AddEngine(const Init& normal, const Quantization& ternary) {
    const int R = c_.d_reason;
    for (int j = 0; j < c_.n_operations; ++j) {
      const Param one =
          bank().Add({fmt::format("rcsm.op_library.ops.{}", j), {R, R}, Role::kMatrix, normal, 1, ternary}, j > 0);
      if (j == 0) engine_.operations = one;
    }
    engine_.operations.rows = c_.n_operations * R;
    engine_.router = AddLinear(bank(), {{"rcsm.router.router", c_.n_operations, normal}}, R, ternary);
    engine_.classifier =
        AddLinear(bank(), {{"rcsm.depth_ctrl.classifier", kernels::kDepthChoices, normal}}, R, ternary);
    engine_.read_key = AddLinear(bank(), {{"rcsm.memory.read_key", R, normal}}, R);
    engine_.write_key = AddLinear(bank(), {{"rcsm.memory.write_key", R, normal}}, R);
    engine_.write_value = AddLinear(bank(), {{"rcsm.memory.write_value", R, normal}}, R);
    engine_.write_gate = AddLinear(bank(), {{"rcsm.memory.write_gate", 1, normal}}, R);
    engine_.slots = bank().Add({"rcsm.memory.slots", {c_.n_slots, R}, Role::kBuffer, Init::Normal(0.01f)});
    engine_.mix = AddLinear(bank(), {{"rcsm.mem_mix", R, normal}}, 2 * R);
    const GainBias norm = AddGainBias(bank(), "rcsm.reason_norm", R);
    engine_.gain = norm.gain;
    engine_.bias = norm.bias;
    engine_.write_scale = bank().Add({"rcsm.write_scale", {1}, Role::kVector, Init::Constant(0.01f)});
  }

  // What EndStep writes: the mean over the step's micro-batches.
  void Remember(const ReasoningResult& engine) {
    for (size_t i = 0; i < written_.size(); ++i) written_[i] += engine.mean_write[i];
    for (size_t s = 0; s < addressed_.size(); ++s) addressed_[s] += engine.mean_address[s];
    ++forwards_;
  }

  Config c_;
  Param embed_, down_, up_;
  std::vector<Layer> layers_;
  ReasoningParams engine_;
  kernels::ReasoningPack pack_;
  GainBias norm_out_;
  std::vector<double> written_, addressed_;  // [R], [S]: sums over the forwards of this step
  int forwards_ = 0;
};

FLASHLM_REGISTER_MODEL("v6-supernova", Supernova);

}  // namespace
}  // namespace flashlm
