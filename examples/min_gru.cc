// minGRU (Feng et al., "Were RNNs All We Needed?", 2024): a GRU whose gate and candidate read the current token only,
// so that the recurrence is linear and training runs over a whole sequence at once. Not one of the published FlashLM
// models: it is here to show what a new architecture takes (CONTRIBUTING.md).
//
//   u = RMS1(h);  z_t = sigmoid(W_z u_t + b),  s_t = (1 - z_t) s_{t-1} + z_t W_h u_t;  h <- h + W_o (sigmoid(W_g u) *
//   s) h <- h + W_d (silu(W_1 y) * W_2 y),  y = RMS2(h)
//
// The output gate W_g is ours: the engine's gated average (autograd/ops.h) has it fused. That operation counts in what
// is kept, f = 1 - z, so W_z is stored with its sign turned, as `keep`.
#include "models/registry.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

class MinGru final : public Model {
 public:
  struct Config {
    int vocab = 4096, d_model = 256, n_layers = 6, d_hidden = 384, d_ff = 512;
    double init_std = 0.02;
    void VisitFields(FieldVisitor& v) {
      v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
      v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
      v.Int("n_layers", n_layers, 1, 64, "blocks");
      v.Int("d_hidden", d_hidden, 1, 8192, "width of the recurrent state");
      v.Int("d_ff", d_ff, 1, 65536, "hidden width of the SwiGLU");
      v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    }
    void Validate() const {}
  };
  static Config Tiny() {
    return {.vocab = 32, .d_model = 32, .n_layers = 2, .d_hidden = 40, .d_ff = 48, .init_std = 0.15};
  }

  explicit MinGru(const Config& c) {
    const Init normal = Init::Normal(static_cast<float>(c.init_std));
    embed_ = bank().Add({"embed.weight", {c.vocab, c.d_model}, Role::kEmbedding, normal});
    for (int i = 0; i < c.n_layers; ++i) {
      const std::string name = fmt::format("blocks.{}.", i);
      Block b;
      b.norm_mix = AddGain(bank(), name + "norm_mix", c.d_model);
      b.proj = AddLinear(bank(),
                         {{name + "keep", c.d_hidden, normal},
                          {name + "candidate", c.d_hidden, normal},
                          {name + "output_gate", c.d_hidden, normal}},
                         c.d_model);
      // sigmoid(2) = 0.88: at first the state remembers about eight tokens.
      b.keep_bias = bank().Add({name + "keep.bias", {c.d_hidden}, Role::kVector, Init::Constant(2.0f)});
      b.mix_out = AddLinear(bank(), {{name + "mix_out", c.d_model, normal}}, c.d_hidden);
      b.mlp = AddSwiGlu(bank(), AddGain(bank(), name + "norm_mlp", c.d_model),
                        {{name + "gate", c.d_ff, normal}, {name + "up", c.d_ff, normal}},
                        {name + "down", c.d_model, normal});
      blocks_.push_back(b);
    }
    norm_out_ = AddGain(bank(), "norm_out", c.d_model);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C]
    for (const Block& b : blocks_) {
      const Tensor proj = Linear(tape, RmsNorm(tape, h, b.norm_mix), b.proj);  // [N,3S]
      const Tensor state = GatedScan(tape, proj, b.keep_bias, 0.0f);           // [N,S]
      h = AddDropout(tape, h, Linear(tape, state, b.mix_out), 0.0);
      h = SwiGlu(tape, h, b.mlp);
    }
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, h, norm_out_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  struct Block {
    Param norm_mix, proj, keep_bias, mix_out;
    SwiGluLayer mlp;
  };
  Param embed_, norm_out_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("min-gru", MinGru);

}  // namespace
}  // namespace flashlm
