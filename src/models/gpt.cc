// The yardstick beside the lineup: a plain transformer as one would build it today, of the lineup's size. Rotary
// attention with QK-norm over the whole context, SwiGLU, RMS norms, tied head with a soft cap on the logits.
//
//   h = RMS_in(E[x]);  h <- h + dropout(W_o attention(norm(q), norm(k), v)), q|k|v = W RMS1(h)
//   h <- h + dropout(W_down (silu(W_gate y) * W_up y)), y = RMS2(h);  logits = c tanh(E RMS_out(h) / c)
#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

struct GptConfig {
  int vocab = 4096;
  int d_model = 256, n_layers = 6, n_heads = 4, window = 256, d_ff = 512;
  bool zero_init_outputs = true;
  double softcap = 15, dropout = 0, embed_std = 0.02, init_std = 0.0625;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 2, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "attention heads, of d_model / n_heads columns each");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the SwiGLU");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("softcap", softcap, 0, 1000, "c of c tanh(logit / c); 0: none");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training, of both branches and of what attention sees");
    v.Real("embed_std", embed_std, 1e-6, 10, "standard deviation of the initial embedding");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the other initial matrices");
  }

  void Validate() const { CheckRotaryHeads(d_model, n_heads); }
};

class Gpt final : public Model {
 public:
  using Config = GptConfig;
  static constexpr bool kInputTables = true;
  static Config Tiny() {
    return {.vocab = 32,
            .d_model = 32,
            .n_layers = 2,
            .n_heads = 4,
            .window = 9,
            .d_ff = 48,
            .zero_init_outputs = false,
            .embed_std = 0.15,
            .init_std = 0.15};
  }

  explicit Gpt(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    embed_ = bank().Add(
        {"embed.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, Init::Normal(static_cast<float>(c_.embed_std))});
    ln_in_ = AddGain(bank(), "ln_in", c_.d_model);
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(fmt::format("blocks.{}.", i), normal));
    ln_out_ = AddGain(bank(), "ln_out", c_.d_model);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = RmsNormF32(tape, Embedding(tape, tokens, embed_), ln_in_);  // [N,C], the residual stream
    h = WithInputTables(tape, tokens, h);
    for (const Block& b : blocks_) h = Apply(tape, b, h);
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, h, ln_out_);
    prediction.head = embed_;
    prediction.softcap = c_.softcap;
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
    b.qkv = AddLinear(bank(), {{name + "attn.qkv", 3 * C, normal, 3}}, C);
    b.qk_norm = AddQueryKeyNorm(bank(), name + "attn", C / c_.n_heads);
    b.out = AddLinear(bank(), {{name + "attn.out", C, output}}, C);
    b.ffn = AddSwiGlu(bank(), AddGain(bank(), name + "ln2", C),
                      {{name + "ffn.gate", c_.d_ff, normal}, {name + "ffn.up", c_.d_ff, normal}},
                      {name + "ffn.down", C, output});
    return b;
  }

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h) const {
    const int C = c_.d_model;
    const Tensor qkv = Linear(tape, RmsNorm(tape, h, b.ln1), b.qkv);            // [N,3C]
    const Tensor qk = HeadNorm(tape, Tape::Columns(qkv, 0, 2 * C), b.qk_norm);  // [N,2C]
    const Tensor seen =
        WindowAttention(tape, Tape::Columns(qk, 0, C), Tape::Columns(qk, C, C), Tape::Columns(qkv, 2 * C, C),
                        {c_.n_heads, C / c_.n_heads, c_.window, kernels::Rope::kHalf, c_.dropout});
    const Tensor middle = AddDropout(tape, h, Linear(tape, seen, b.out), c_.dropout);  // [N,C]
    return SwiGlu(tape, middle, b.ffn, c_.dropout);
  }

  Config c_;
  Param embed_, ln_in_, ln_out_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("gpt", Gpt);

}  // namespace
}  // namespace flashlm
