// v5.2a (docs/spec/nova.md): differential attention, a gate per token on it, and a shared expert beside one of six
// routed ones; all maps but the routers ternary; untied ternary head. 36.9 M parameters (announced as 5 M), of which a
// token meets 13.9 M.
//
//   a = LN1(h);  q, k = LN(W_q a), LN(W_k a), each two branches of heads;  A_b = softmax(q_b k_b) V of a branch
//   h <- h + sigmoid(w . h) W_o norm(A_1 - lambda A_2)                              (the gate from the third block on)
//   h <- h + shared(LN2(h)) + p_e expert_e(LN3(h)),  e = argmax R LN2(h), p = softmax;  an expert: W_2 silu(W_1 x)
//
// What the published code did otherwise (docs/spec/defects.md#d15), with the same parameters: the token gate acted in
// training only; lambda began at 1, where the branches cancel (here 0.8), and nothing normalised what the subtraction
// left; the experts read one layer norm of another (here LN3 is the routed experts' own); the embedding was scaled down
// twice. There was no notion of position beyond the causal mask: here q and k turn by theirs. Routing computes the
// chosen expert only.
#include <cmath>

#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

struct NovaMoeConfig {
  int vocab = 5120;
  int d_model = 288, n_layers = 12, n_heads = 6, window = 256, n_experts = 6, d_expert = 576;
  std::string activation = "none";
  bool rope = true;
  double router_std = 0.01;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 2, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "heads of each of the two softmaxes");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("n_experts", n_experts, 1, kMaxExperts, "routed experts, of which a token meets one");
    v.Int("d_expert", d_expert, 1, 65536, "hidden width of an expert");
    v.Text("activation", activation, {"none", "int8"}, "rounding of what ternary maps read, per token");
    v.Bool("rope", rope, "rotary positions in the attention");
    v.Real("router_std", router_std, 0, 10, "standard deviation of the initial routers");
  }

  void Validate() const { CheckRotaryHeads(d_model, n_heads); }
};

class NovaMoe final : public Model {
 public:
  using Config = NovaMoeConfig;
  static Config Tiny() {
    // Routers far from ties, where a small change of a weight would send a token elsewhere.
    return {.vocab = 32,
            .d_model = 32,
            .n_layers = 3,
            .n_heads = 2,
            .window = 9,
            .n_experts = 3,
            .d_expert = 40,
            .router_std = 0.5};
  }

  explicit NovaMoe(const Config& config) : c_(config), ternary_{kernels::Ternary::kRow, config.activation == "int8"} {
    const int C = c_.d_model;
    embed_ = bank().Add({"embed.weight", {c_.vocab, C}, Role::kEmbedding, FanOut(C)});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    ln_out_ = AddGainBias(bank(), "ln_out", C);
    // Losses and logits are made of float activations.
    head_ = bank().Add({"head.weight", {c_.vocab, C}, Role::kEmbedding, FanOut(c_.vocab), 1, {kernels::Ternary::kRow}});
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C], the residual stream
    for (const Block& b : blocks_) h = Feed(tape, b, Attend(tape, b, h));
    Prediction prediction;
    prediction.hidden = LayerNorm(tape, h, ln_out_);
    prediction.head = head_;
    return prediction;
  }

 private:
  static constexpr int kFirstGated = 2;  // block whose attention is the first with a gate

  struct Block {
    GainBias attn_norm, qk_norm, shared_norm, routed_norm;
    Param qkv, out, lambda_q, lambda_k;
    Param gate;  // offset < 0: none
    Param router;
    Expert shared;
    std::vector<Expert> experts;
  };

  static Init FanOut(int rows) { return Init::Normal(1 / std::sqrt(static_cast<float>(rows))); }

  Param AddTernary(const std::string& name, int rows, int in) {
    return AddLinear(bank(), {{name, rows, FanOut(rows)}}, in, ternary_);
  }
  Expert AddExpert(const std::string& name) {
    const Param up = AddTernary(name + ".0", c_.d_expert, c_.d_model);
    return {up, AddTernary(name + ".2", c_.d_model, c_.d_expert)};
  }

  Block MakeBlock(int index) {
    const std::string name = fmt::format("blocks.{}.", index);
    const int C = c_.d_model, D = C / c_.n_heads;
    const Init router = Init::Normal(static_cast<float>(c_.router_std));
    Block b;
    b.attn_norm = AddGainBias(bank(), name + "attn_norm", C);
    b.qkv = AddLinear(bank(),
                      {{name + "attn.W_q", 2 * C, FanOut(2 * C), 2},
                       {name + "attn.W_k", 2 * C, FanOut(2 * C), 2},
                       {name + "attn.W_v", C, FanOut(C)}},
                      C, ternary_);
    b.qk_norm = AddGainBiases(bank(), {name + "attn.q_norm", name + "attn.k_norm"}, 2 * C);
    b.lambda_q = bank().Add({name + "attn.lambda_q", {c_.n_heads, D}, Role::kVector, Init::Normal(0.1f)});
    b.lambda_k = bank().Add({name + "attn.lambda_k", {c_.n_heads, D}, Role::kVector, Init::Normal(0.1f)});
    b.out = AddTernary(name + "attn.W_o", C, C);
    if (index >= kFirstGated) {
      b.gate = bank().Add({name + "mod_router.router.weight", {1, C}, Role::kVector, router});
    }
    b.shared_norm = AddGainBias(bank(), name + "ffn_norm", C);
    b.routed_norm = AddGainBias(bank(), name + "ffn.norm", C);
    b.router = AddLinear(bank(), {{name + "ffn.router", c_.n_experts, router}}, C);
    b.shared = AddExpert(name + "ffn.shared_expert");
    for (int e = 0; e < c_.n_experts; ++e) b.experts.push_back(AddExpert(fmt::format("{}ffn.experts.{}", name, e)));
    return b;
  }

  Tensor Attend(Tape& tape, const Block& b, const Tensor& h) const {
    const int C = c_.d_model, D = C / c_.n_heads;
    AttentionConfig attention{2 * c_.n_heads, D, c_.window, c_.rope ? kernels::Rope::kHalf : kernels::Rope::kNone};
    attention.value_heads = c_.n_heads;
    const Tensor qkv = Linear(tape, LayerNorm(tape, h, b.attn_norm), b.qkv);        // [N,5C]: 2C|2C|C
    const Tensor qk = LayerNorm(tape, Tape::Columns(qkv, 0, 4 * C), b.qk_norm, 2);  // [N,4C]
    const Tensor seen = WindowAttention(tape, Tape::Columns(qk, 0, 2 * C), Tape::Columns(qk, 2 * C, 2 * C),
                                        Tape::Columns(qkv, 4 * C, C), attention);                 // [N,2C]
    const Tensor difference = DifferentialHeads(tape, seen, b.lambda_q, b.lambda_k, c_.n_heads);  // [N,C]
    const Tensor branch = Linear(tape, difference, b.out);
    if (b.gate.offset < 0) return AddDropout(tape, h, branch, 0.0);
    return AddTokenGated(tape, h, branch, RowDot(tape, h, b.gate));
  }

  Tensor Feed(Tape& tape, const Block& b, const Tensor& h) const {
    const Tensor u = LayerNorm(tape, h, b.shared_norm);  // [N,C]
    const Tensor logits = Linear(tape, u, b.router);     // [N,K]
    const Tensor shared = Linear(tape, Silu(tape, Linear(tape, u, b.shared.up)), b.shared.down);
    const Tensor routed = RoutedExperts(tape, LayerNorm(tape, h, b.routed_norm), logits, b.experts.data());
    return AddDropout(tape, AddDropout(tape, h, shared, 0.0), routed, 0.0);
  }

  Config c_;
  Quantization ternary_;
  Param embed_, head_;
  std::vector<Block> blocks_;
  GainBias ln_out_;
};

FLASHLM_REGISTER_MODEL("nova-moe", NovaMoe);

}  // namespace
}  // namespace flashlm
