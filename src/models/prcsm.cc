// v6 "P-RCSM" (docs/spec/supernova.md#p-rcsm): token mixing with the previous position, then a narrow engine (two
// scales of context, a gate set by a planner, a memory of learned slots), then a gated MLP; ternary maps with one scale
// per output (kRow), an untied ternary head. u = RMS(h):
//
//   h <- h + sigmoid(W_g u) * W_v W_mix [u_t; u_{t-1}]
//   r = W_down h;  r <- r + sum_i w_i W_i [n_t; n_{t-2^i}],  n = RMS(r), w = softmax(R n)
//   p <- p + W_pu RMS(p + W_ep mean_{s<=t} r_s);  r <- r * sigmoid(W_pg p);  r <- r + W_mg [r; slots read by W_q r]
//   h <- h + sigmoid(rho) W_up r;   h <- h + W_dn (silu(g) * v), [g; v] = W_gu RMS(h)
//
// The published planner took its mean over the whole sequence, so the gates of all later blocks saw the future;
// here the mean runs. It also moved the planner after the gate had read it, which left the last block's update without
// any effect; here it moves before. `fresh_planner = false` is the published order.
#include <cmath>

#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

struct PrcsmConfig {
  int vocab = 4096;
  int d_model = 192, n_layers = 6, d_ff = 384, d_reason = 64, n_slots = 8, d_plan = 32;
  bool fresh_planner = true;
  std::string activation = "none";
  double init_std = 0.02;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the gated MLP");
    v.Int("d_reason", d_reason, 1, 8192, "width of the engine");
    v.Int("n_slots", n_slots, 1, 4096, "learned memory slots of a block");
    v.Int("d_plan", d_plan, 1, 8192, "width of the planner's state");
    v.Bool("fresh_planner", fresh_planner, "the gate reads the planner after its update, else before");
    v.Text("activation", activation, {"none", "int8"}, "how ternary maps see their input: as it is, or rounded");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial embedding");
  }
  void Validate() const {}
};

class Prcsm final : public Model {
 public:
  using Config = PrcsmConfig;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 2;
    c.d_ff = 48;
    c.d_reason = 16;
    c.n_slots = 4;
    c.d_plan = 8;
    c.init_std = 0.5;
    return c;
  }

  explicit Prcsm(const Config& config) : c_(config) {
    planner_init_ = bank().Add({"planner_init", {1, 1, c_.d_plan}, Role::kVector, Normal(0.01)});
    embed_ = bank().Add({"embed.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, Normal(c_.init_std)});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    ln_out_ = AddGain(bank(), "ln_out", c_.d_model);
    // Its product is fused with the loss, which rounds no input: `activation` does not reach the head.
    head_ = bank().Add({"head.weight",
                        {c_.vocab, c_.d_model},
                        Role::kEmbedding,
                        Kaiming(c_.vocab),
                        1,
                        {kernels::Ternary::kRow, false}});
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    const float scale = 1 / std::sqrt(static_cast<float>(c_.d_model));
    Tensor h = Embedding(tape, tokens, embed_, scale);  // [N,C], the residual stream
    Tensor plan = Broadcast(tape, planner_init_);       // [N,P], the planner's stream
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Block& b = blocks_[i];
      h = MixTokens(tape, b, h);
      h = Reason(tape, b, h, i + 1 == blocks_.size(), plan);
      h = SwiGlu(tape, h, b.channels);
    }
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, h, ln_out_);
    prediction.head = head_;
    return prediction;
  }

 private:
  struct Block {
    Param norm_tokens, mix, gate, value;
    Param down, norm_scales, scale0, scale1, router;
    Param planner_to_gate, executor_to_planner, planner_update, norm_planner;
    Param slots, query, mix_gate, up, res_gate;
    SwiGluLayer channels;
  };

  static Init Normal(double deviation) { return Init::Normal(static_cast<float>(deviation)); }
  // Of the published code (docs/spec/blocks.md#initial-values).
  static Init Kaiming(int fan_out) { return Normal(std::sqrt(2.0 / fan_out)); }

  Quantization Rounding() const { return {kernels::Ternary::kRow, c_.activation == "int8"}; }
  Param AddTernary(const std::string& name, int rows, int in) {
    return AddLinear(bank(), {{name, rows, Kaiming(rows)}}, in, Rounding());
  }

  Block MakeBlock(int index) {
    const std::string block = fmt::format("blocks.{}.", index);
    const int C = c_.d_model, R = c_.d_reason, P = c_.d_plan;
    Block b;
    b.norm_tokens = AddGain(bank(), block + "token_mix.norm", C);
    b.mix = AddTernary(block + "token_mix.mix", C, 2 * C);
    b.gate = AddTernary(block + "token_mix.gate_proj", C, C);
    b.value = AddTernary(block + "token_mix.value_proj", C, C);

    const std::string name = block + "reasoning.";
    b.res_gate = bank().Add({name + "res_gate", {1}, Role::kVector, Init::Zero()});
    b.down = AddTernary(name + "down_proj", R, C);
    b.norm_scales = AddGain(bank(), name + "conv_bank.norm", R);
    b.scale0 = AddTernary(name + "conv_bank.scales.0", R, 2 * R);
    b.scale1 = AddTernary(name + "conv_bank.scales.1", R, 2 * R);
    // The spread of the published uniform in +-1/sqrt(R).
    b.router = AddLinear(bank(), {{name + "conv_bank.router", 2, Normal(1 / std::sqrt(3.0 * R))}}, R);
    b.planner_to_gate = AddTernary(name + "state_gate.planner_to_gate", R, P);
    b.executor_to_planner = AddTernary(name + "state_gate.executor_to_planner", P, R);
    b.planner_update = AddTernary(name + "state_gate.planner_update", P, P);
    b.norm_planner = AddGain(bank(), name + "state_gate.norm", P);
    b.slots = bank().Add({name + "memory.slots", {c_.n_slots, R}, Role::kVector, Normal(0.01)});
    b.query = AddTernary(name + "memory.query_proj", R, R);
    b.mix_gate = AddTernary(name + "memory.mix_gate", R, 2 * R);
    b.up = AddTernary(name + "up_proj", C, R);

    const int F = c_.d_ff;
    b.channels = AddSwiGlu(bank(), AddGain(bank(), block + "channel_mix.norm", C),
                           {{block + "channel_mix.gate_up", 2 * F, Kaiming(2 * F), 2}},
                           {block + "channel_mix.down", C, Kaiming(C)}, Rounding());
    return b;
  }

  static Tensor MixTokens(Tape& tape, const Block& b, const Tensor& h) {
    const Tensor u = RmsNorm(tape, h, b.norm_tokens);                                   // [N,C]
    const Tensor mixed = Linear(tape, PairWithPast(tape, u, 1), b.mix);                 // [N,C]
    const Tensor gate = Linear(tape, u, b.gate), value = Linear(tape, mixed, b.value);  // [N,C]
    return AddDropout(tape, h, SigmoidGate(tape, gate, value), 0.0);
  }

  // The engine's branch added to h; moves the planner's stream.
  Tensor Reason(Tape& tape, const Block& b, const Tensor& h, bool last, Tensor& plan) const {
    const Tensor narrow = ToF32(tape, Linear(tape, ToComputeType(tape, h), b.down));  // [N,R]
    const Tensor n = RmsNorm(tape, narrow, b.norm_scales);                            // [N,R]
    const Tensor near = Linear(tape, PairWithPast(tape, n, 1), b.scale0);             // [N,R]
    const Tensor far = Linear(tape, PairWithPast(tape, n, 2), b.scale1);              // [N,R]
    const Tensor r = AddMixture(tape, narrow, Linear(tape, n, b.router), near, far);  // [N,R]

    const Tensor before = plan;  // [N,P]
    // In the published order nothing reads the planner after the last block.
    if (c_.fresh_planner || !last) plan = MovePlanner(tape, b, r, plan);
    const Tensor plan_seen = ToComputeType(tape, c_.fresh_planner ? plan : before);
    const Tensor gated = SigmoidGate(tape, Linear(tape, plan_seen, b.planner_to_gate), r);  // [N,R]

    const Tensor query = Linear(tape, ToComputeType(tape, gated), b.query);  // [N,R]
    const Tensor read = SlotRead(tape, gated, query, b.slots);               // [N,2R]
    const Tensor out = AddDropout(tape, gated, Linear(tape, read, b.mix_gate), 0.0);
    return AddScalarGated(tape, h, Linear(tape, ToComputeType(tape, out), b.up), b.res_gate);
  }

  static Tensor MovePlanner(Tape& tape, const Block& b, const Tensor& r, const Tensor& plan) {
    const Tensor heard = Linear(tape, RunningMean(tape, r), b.executor_to_planner);  // [N,P]
    const Tensor told = RmsNorm(tape, AddDropout(tape, plan, heard, 0.0), b.norm_planner);
    return AddDropout(tape, plan, Linear(tape, told, b.planner_update), 0.0);
  }

  Config c_;
  Param planner_init_, embed_, ln_out_, head_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("v6-prcsm", Prcsm);

}  // namespace
}  // namespace flashlm
