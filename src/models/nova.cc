// v5.2-nova-ignition (docs/spec/nova.md): a plain transformer in float with rotary attention and GEGLU; tied head. It
// is what the claimed 5.0 M parameters and perplexity 10.56 belong to.
//
//   h = dropout(E[x]);  h <- h + W_o attention(W_qkv LN1(h));  h <- h + dropout(W_down geglu(W_up LN2(h)))
//
// The published network was sound; its training was not: the learning rate rose again where the schedule had ended,
// it trained on the validation file, and it read separators as text.
#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

struct NovaConfig {
  int vocab = 4096;
  int d_model = 256, n_layers = 6, n_heads = 4, window = 128, d_ff = 512;
  bool zero_init_outputs = false;
  double dropout = 0.1, init_std = 0.02, embed_std = 0;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 2, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "attention heads, of d_model / n_heads columns each");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the GEGLU");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    v.Real("embed_std", embed_std, 0, 10, "of the initial token table; 0: init_std");
  }

  void Validate() const { CheckRotaryHeads(d_model, n_heads); }
};

class Nova final : public Model {
 public:
  using Config = NovaConfig;
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

  explicit Nova(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const Init output = c_.zero_init_outputs ? Init::Zero() : normal;
    const int C = c_.d_model;
    embed_ = AddTokenTable(bank(), "embed.weight", c_.vocab, C, c_.embed_std, normal);
    for (int i = 0; i < c_.n_layers; ++i) {
      const std::string name = fmt::format("blocks.{}.", i);
      Block b;
      b.norm1 = AddGainBias(bank(), name + "norm1", C);
      b.qkv = AddLinear(bank(), {{name + "attn.qkv", 3 * C, normal, 3}}, C);
      b.out = AddLinear(bank(), {{name + "attn.out", C, output}}, C);
      b.norm2 = AddGainBias(bank(), name + "norm2", C);
      b.up = AddLinear(bank(), {{name + "ffn.up", 2 * c_.d_ff, normal, 2}}, C);
      b.down = AddLinear(bank(), {{name + "ffn.down", C, output}}, c_.d_ff);
      blocks_.push_back(b);
    }
    ln_out_ = AddGainBias(bank(), "ln_out", C);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Dropout(tape, Embedding(tape, tokens, embed_), c_.dropout);  // [N,C], the residual stream
    for (const Block& b : blocks_) h = Apply(tape, b, h);
    Prediction prediction;
    prediction.hidden = LayerNorm(tape, h, ln_out_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  struct Block {
    GainBias norm1, norm2;
    Param qkv, out;
    Param up, down;  // up: gate | value
  };

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h) const {
    AttentionConfig attention{c_.n_heads, c_.d_model / c_.n_heads, c_.window};
    attention.dropout = c_.dropout;
    const Tensor qkv = Linear(tape, LayerNorm(tape, h, b.norm1), b.qkv);  // [N,3C]
    const Tensor seen = WindowAttention(tape, qkv, attention);            // [N,C]
    const Tensor middle = AddDropout(tape, h, Linear(tape, seen, b.out), 0.0);
    const Tensor gate_up = Linear(tape, LayerNorm(tape, middle, b.norm2), b.up);  // [N,2F]
    return AddDropout(tape, middle, Linear(tape, GeGlu(tape, gate_up), b.down), c_.dropout);
  }

  Config c_;
  Param embed_;
  std::vector<Block> blocks_;
  GainBias ln_out_;
};

FLASHLM_REGISTER_MODEL("nova-ignition", Nova);

}  // namespace
}  // namespace flashlm
