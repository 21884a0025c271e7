// v5 "Thunderbolt" (docs/spec/thunderbolt.md): gated linear recurrences with token shift, a squared-rectifier MLP,
// ternary maps with one scale per matrix (kMatrix), tied head. Its memory of a stream has one size whatever the length.
//
//   z = shift1(LN1(h)),  f = floor + (1 - floor) sigmoid(W_f z + b_f),  s_t = f s_{t-1} + (1 - f) W_v z
//   h <- h + W_proj GN(sigmoid(W_o z) * s);   h <- h + W_down relu(W_up shift2(LN2(h)))^2
//
// The floor of the forget gate rises with depth, from 0 to max_floor: the upper blocks remember longer. In the
// published network the group norm took its moments over time as well, so every position saw the whole sequence;
// here they are those of one head at one position.
#include <cmath>

#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

struct ThunderboltConfig {
  int vocab = 8192;
  int d_model = 384, n_layers = 18, n_heads = 8, d_ff = 1152;
  std::string activation = "none";
  double max_floor = 0.9, init_std = 0.02;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream and of the recurrence");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "groups of channels that are normalised together; divide d_model");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the MLP");
    v.Text("activation", activation, {"none", "int8"}, "how ternary maps see their input: as it is, or rounded");
    v.Real("max_floor", max_floor, 0, 0.999, "least value of the forget gate in the last block; 0 in the first");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial embedding");
  }

  void Validate() const {
    if (d_model % n_heads != 0) {
      throw UsageError(fmt::format("model.n_heads = {}: must divide model.d_model = {}", n_heads, d_model),
                       "heads are groups of channels of equal size");
    }
  }
};

class Thunderbolt final : public Model {
 public:
  using Config = ThunderboltConfig;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 2;
    c.n_heads = 4;
    c.d_ff = 48;
    c.init_std = 0.15;
    return c;
  }

  explicit Thunderbolt(const Config& config) : c_(config) {
    embed_ = bank().Add({"embed.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, Normal(c_.init_std)});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    ln_out_ = AddGainBias(bank(), "ln_out", c_.d_model);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C], the residual stream
    for (const Block& block : blocks_) h = Apply(tape, block, h);
    Prediction prediction;
    prediction.hidden = LayerNorm(tape, h, ln_out_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  struct Block {
    GainBias ln1, ln2, group_norm;
    Param mix1, mix2;
    Param forget_value_open;  // W_f | W_v | W_o: all read z
    Param forget_bias;
    Param proj, up, down;
    float floor = 0;
  };

  static Init Normal(double deviation) { return Init::Normal(static_cast<float>(deviation)); }
  // Of the published code (docs/spec/blocks.md#initial-values).
  static Init Kaiming(int fan_out) { return Normal(std::sqrt(2.0 / fan_out)); }

  Block MakeBlock(int index) {
    const std::string name = fmt::format("blocks.{}.", index), rec = name + "rec.";
    const int C = c_.d_model;
    const Quantization ternary{kernels::Ternary::kMatrix, c_.activation == "int8"};
    Block b;
    b.floor = static_cast<float>(c_.max_floor * index / std::max(1, c_.n_layers - 1));
    b.ln1 = AddGainBias(bank(), name + "ln1", C);
    b.mix1 = bank().Add({name + "mix1", {C}, Role::kVector, Init::Zero()});
    b.forget_value_open = AddLinear(
        bank(), {{rec + "W_f", C, Kaiming(C)}, {rec + "W_v", C, Kaiming(C)}, {rec + "W_o", C, Kaiming(C)}}, C, ternary);
    b.forget_bias = bank().Add({rec + "f_bias", {C}, Role::kVector, Init::Zero()});
    b.group_norm = AddGainBias(bank(), rec + "gn", C);
    b.proj = AddLinear(bank(), {{rec + "W_proj", C, Kaiming(C)}}, C, ternary);
    b.ln2 = AddGainBias(bank(), name + "ln2", C);
    b.mix2 = bank().Add({name + "mix2", {C}, Role::kVector, Init::Zero()});
    b.up = AddLinear(bank(), {{name + "ffn_up", c_.d_ff, Kaiming(c_.d_ff)}}, C, ternary);
    b.down = AddLinear(bank(), {{name + "ffn_down", C, Kaiming(C)}}, c_.d_ff, ternary);
    return b;
  }

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h) const {
    const Tensor z = TokenShift(tape, LayerNorm(tape, h, b.ln1), b.mix1);                            // [N,C]
    const Tensor s = GatedScan(tape, Linear(tape, z, b.forget_value_open), b.forget_bias, b.floor);  // [N,C]
    const Tensor normed = LayerNorm(tape, s, b.group_norm, c_.n_heads);                              // [N,C]
    const Tensor middle = AddDropout(tape, h, Linear(tape, normed, b.proj), 0.0);

    const Tensor u = TokenShift(tape, LayerNorm(tape, middle, b.ln2), b.mix2);  // [N,C]
    const Tensor hidden = ReluSquared(tape, Linear(tape, u, b.up));             // [N,F]
    return AddDropout(tape, middle, Linear(tape, hidden, b.down), 0.0);
  }

  Config c_;
  Param embed_;
  GainBias ln_out_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("v5-thunderbolt", Thunderbolt);

}  // namespace
}  // namespace flashlm
