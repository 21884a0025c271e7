// v8 SearchLM (docs/spec/search.md): attention with QK-norm over the whole context, SwiGLU, and a look-ahead value head
// per block, which search-guided decoding asks for the cost of what would follow a candidate; tied head.
//
//   h = E[x];  h <- h + dropout(W_o attention(norm(q), norm(k), v)), q|k|v = W RMS1(h)
//   h <- h + dropout(W_down (silu(W_gate y) * W_up y)), y = RMS2(h);  value of block i: a_i . h
//
// The published code turned its rotary pairs by the number of the head instead of the position, so it knew no
// positions, and predicted the token after next; both are put right here. Its cap 50 tanh(s / 50) on scores
// is left out: with norms on q and k no score comes near 50.
#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

struct SearchLmConfig {
  int vocab = 4096;
  int d_model = 256, n_layers = 6, n_heads = 4, window = 256, d_ff = 768;
  bool value_heads = true, zero_init_outputs = false;
  double dropout = 0.1, init_std = 0.02, embed_std = 0;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 2, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "attention heads, of d_model / n_heads columns each");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the SwiGLU");
    v.Bool("value_heads", value_heads, "look-ahead value heads, one per block");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    v.Real("embed_std", embed_std, 0, 10, "of the initial token table; 0: init_std");
  }

  void Validate() const { CheckRotaryHeads(d_model, n_heads); }
};

class SearchLm final : public Model {
 public:
  using Config = SearchLmConfig;
  static Config Tiny() {
    return {.vocab = 32,
            .d_model = 32,
            .n_layers = 2,
            .n_heads = 4,
            .window = 9,
            .d_ff = 48,
            .dropout = 0,
            .init_std = 0.15};
  }

  explicit SearchLm(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const int C = c_.d_model;
    embed_ = AddTokenTable(bank(), "embed.weight", c_.vocab, C, c_.embed_std, normal);
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(fmt::format("blocks.{}.", i), normal));
    for (int i = 0; c_.value_heads && i < c_.n_layers; ++i) {
      value_heads_.push_back(bank().Add(
          {fmt::format("lookahead_heads.{}.head.weight", i), {1, C}, Role::kValueHead, Init::Normal(0.01f)}));
    }
    ln_out_ = AddGain(bank(), "ln_out", C);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C], the residual stream
    Prediction prediction;
    Tensor* values = value_heads_.empty() ? nullptr : tape.Keep<Tensor>(c_.n_layers);
    for (int i = 0; i < c_.n_layers; ++i) {
      h = Apply(tape, blocks_[static_cast<size_t>(i)], h);
      if (values != nullptr) values[i] = RowDot(tape, h, value_heads_[static_cast<size_t>(i)]);  // [N,1]
    }
    prediction.hidden = RmsNorm(tape, h, ln_out_);
    prediction.head = embed_;
    prediction.values = values;
    prediction.value_count = values == nullptr ? 0 : c_.n_layers;
    return prediction;
  }

 private:
  struct Block {
    Param ln1, qkv, qk_norm, out;
    SwiGluLayer ffn;
  };

  Block MakeBlock(const std::string& name, const Init& normal) {
    const Init output = c_.zero_init_outputs ? Init::Zero() : normal;
    const int C = c_.d_model;
    Block b;
    b.ln1 = AddGain(bank(), name + "ln1", C);
    b.qkv = AddLinear(
        bank(),
        {{name + "attn.q_proj", C, normal}, {name + "attn.k_proj", C, normal}, {name + "attn.v_proj", C, normal}}, C);
    b.qk_norm = AddVectors(bank(), {name + "attn.q_norm.weight", name + "attn.k_norm.weight"}, C / c_.n_heads, 1.0f);
    b.out = AddLinear(bank(), {{name + "attn.out_proj", C, output}}, C);
    b.ffn = AddSwiGlu(bank(), AddGain(bank(), name + "ln2", C),
                      {{name + "ffn.W_gate", c_.d_ff, normal}, {name + "ffn.W_up", c_.d_ff, normal}},
                      {name + "ffn.W_down", C, output});
    return b;
  }

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h) const {
    const int C = c_.d_model;
    const Tensor qkv = Linear(tape, RmsNorm(tape, h, b.ln1), b.qkv);            // [N,3C]
    const Tensor qk = HeadNorm(tape, Tape::Columns(qkv, 0, 2 * C), b.qk_norm);  // [N,2C]
    const Tensor seen =
        WindowAttention(tape, Tape::Columns(qk, 0, C), Tape::Columns(qk, C, C), Tape::Columns(qkv, 2 * C, C),
                        {c_.n_heads, C / c_.n_heads, c_.window, kernels::Rope::kInterleaved, c_.dropout});  // [N,C]
    const Tensor middle = AddDropout(tape, h, Linear(tape, seen, b.out), c_.dropout);
    return SwiGlu(tape, middle, b.ffn, c_.dropout);
  }

  Config c_;
  Param embed_, ln_out_;
  std::vector<Block> blocks_;
  std::vector<Param> value_heads_;
};

FLASHLM_REGISTER_MODEL("searchlm", SearchLm);

}  // namespace
}  // namespace flashlm
