// v4 "Bolt" (docs/spec/bolt.md): no attention and no recurrence, but a gated causal depthwise convolution of few taps,
// and a gated MLP; ternary maps with one scale per matrix (kMean); tied head. It sees n_layers (kernel - 1) + 1 tokens
// back.
//
//   h <- h + W_down (sigmoid(g) * conv(w)), [g; w] = W_up RMS1(h);   h <- h + W_3 (silu(W_1 y) * W_2 y), y = RMS2(h)
//
// The published network is causal and predicts the next token; it is built as it was. What was wrong lay around it: a
// tokenizer that sends rare words to <unk>, a bits-per-character figure over truncated stories, decayed gains, and a
// learning rate whose schedule spanned 500 times the run.
#include <cmath>

#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

struct BoltConfig {
  int vocab = 10000;
  int d_model = 192, n_layers = 6, kernel = 8, d_ff = 512;
  std::string activation = "none";
  double init_std = 0.02;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("kernel", kernel, 2, 256, "taps of the convolution: positions that a block sees, its own included");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the gated MLP");
    v.Text("activation", activation, {"none", "int8"}, "how ternary maps see their input: as it is, or rounded");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial embedding");
  }
  void Validate() const {}
};

class Bolt final : public Model {
 public:
  using Config = BoltConfig;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 2;
    c.kernel = 4;
    c.d_ff = 48;
    c.init_std = 0.15;
    return c;
  }

  explicit Bolt(const Config& config) : c_(config) {
    embed_ = bank().Add({"embedding.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, Normal(c_.init_std)});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    final_norm_ = AddScale("final_norm");
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C], the residual stream
    for (const Block& block : blocks_) h = Apply(tape, block, h);
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, h, final_norm_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  struct Block {
    Param norm1;
    Param up;    // gate | value
    Param conv;  // [C,K]
    Param down;
    SwiGluLayer ffn;
  };

  static Init Normal(double deviation) { return Init::Normal(static_cast<float>(deviation)); }
  // Of the published code; fan_out: outputs, times the taps of a convolution (docs/spec/blocks.md#initial-values).
  static Init Kaiming(int fan_out) { return Normal(std::sqrt(2.0 / fan_out)); }

  Param AddScale(const std::string& name) {
    return bank().Add({name + ".scale", {c_.d_model}, Role::kVector, Init::Constant(1.0f)});
  }

  Block MakeBlock(int index) {
    const std::string name = fmt::format("blocks.{}.", index);
    const int C = c_.d_model, F = c_.d_ff;
    const Quantization ternary{kernels::Ternary::kMean, c_.activation == "int8"};
    Block b;
    b.norm1 = AddScale(name + "norm1");
    b.up = AddLinear(bank(), {{name + "mixer.up", 2 * C, Kaiming(2 * C), 2}}, C, ternary);
    b.conv = bank().Add({name + "mixer.conv.weight", {C, 1, c_.kernel}, Role::kVector, Kaiming(C * c_.kernel)});
    b.down = AddLinear(bank(), {{name + "mixer.down", C, Kaiming(C)}}, C, ternary);
    b.ffn = AddSwiGlu(bank(), AddScale(name + "norm2"),
                      {{name + "ffn.W_gate", F, Kaiming(F)}, {name + "ffn.W_up", F, Kaiming(F)}},
                      {name + "ffn.W_down", C, Kaiming(C)}, ternary);
    return b;
  }

  static Tensor Apply(Tape& tape, const Block& b, const Tensor& h) {
    const Tensor gate_value = Linear(tape, RmsNorm(tape, h, b.norm1), b.up);  // [N,2C]
    const Tensor mixed = GatedConv(tape, gate_value, b.conv);                 // [N,C]
    const Tensor middle = AddDropout(tape, h, Linear(tape, mixed, b.down), 0.0);
    return SwiGlu(tape, middle, b.ffn);
  }

  Config c_;
  Param embed_, final_norm_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("v4-bolt", Bolt);

}  // namespace
}  // namespace flashlm
