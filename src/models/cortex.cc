// CORTEX-VIII (docs/spec/cortex.md): every block mixes sliding-window attention (local) with a gated delta memory
// (global) by a learned gate per channel, then a SwiGLU; tied head; one look-ahead value head per block.
//
//   u = RMS1(h), w = RMSd(h);  g = sigmoid(W_gate u)
//   h <- h + W_c (g * SWA(u) + (1 - g) * MEM(w));  h <- h + dropout(W_o (silu(W_g y) * W_u y)), y = RMS2(h)
//
// Unlike the published code this is causal (its memory read the future), predicts the next token (not the one after),
// and knows positions (RoPE). `memory = "linear"` with `rope = false` is the published formula made causal.
#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

struct CortexConfig {
  int vocab = 4096;
  int d_model = 256, n_layers = 6, n_heads = 4, d_head = 64, window = 32, d_mem = 32, d_ff = 512;
  std::string memory = "delta", attention_name = "swa";
  bool rope = true, value_heads = true, zero_init_outputs = false, second_head = false;
  double dropout = 0.1, init_std = 0.02, embed_std = 0;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "heads of the attention and of the memory");
    v.Int("d_head", d_head, 2, 512, "width of an attention head, even");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_mem", d_mem, 1, 512, "width of a memory head (its state is d_mem x d_mem)");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the SwiGLU");
    v.Text("memory", memory, {"delta", "linear"}, "gated delta rule with learned decay, or decayed linear attention");
    v.Text("attention_name", attention_name, {"swa", "attn"}, "of the attention in the file (v8.4 lean: attn)");
    v.Bool("rope", rope, "rotary positions in the attention");
    v.Bool("value_heads", value_heads, "look-ahead value heads, one per block");
    v.Bool("second_head", second_head, "a head of its own for the token after next, in training");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the initial matrices");
    v.Real("embed_std", embed_std, 0, 10, "of the initial token table; 0: init_std");
  }

  void Validate() const {
    if (d_head % 2 != 0) {
      throw UsageError(fmt::format("model.d_head = {}: must be even", d_head), "rotary positions turn pairs");
    }
  }
};

class Cortex final : public Model {
 public:
  using Config = CortexConfig;
  static constexpr bool kInputTables = true;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 2;
    c.d_head = 8;
    c.window = 5;
    c.d_mem = 8;
    c.d_ff = 48;
    c.dropout = 0;
    c.init_std = 0.15;
    return c;
  }

  explicit Cortex(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const Init output = c_.zero_init_outputs ? Init::Zero() : normal;
    embed_ = AddTokenTable(bank(), "embed.weight", c_.vocab, c_.d_model, c_.embed_std, normal);
    ln_in_ = AddGain(bank(), "ln_in", c_.d_model);
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i, normal, output));
    for (int i = 0; c_.value_heads && i < c_.n_layers; ++i) {
      value_heads_.push_back(bank().Add(
          {fmt::format("lookahead_heads.{}.head.weight", i), {1, c_.d_model}, Role::kValueHead, Init::Normal(0.01f)}));
    }
    ln_out_ = AddGain(bank(), "ln_out", c_.d_model);
    if (c_.second_head) {
      second_head_ = bank().Add({"second_head.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, normal});
    }
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = RmsNormF32(tape, Embedding(tape, tokens, embed_), ln_in_);  // [N,C], the residual stream
    h = WithInputTables(tape, tokens, h);
    Prediction prediction;
    Tensor* values = value_heads_.empty() ? nullptr : tape.Keep<Tensor>(c_.n_layers);
    for (int i = 0; i < c_.n_layers; ++i) {
      h = Apply(tape, blocks_[static_cast<size_t>(i)], h);
      if (values != nullptr) values[i] = RowDot(tape, h, value_heads_[static_cast<size_t>(i)]);  // [N,1]
    }
    prediction.hidden = RmsNorm(tape, h, ln_out_);
    prediction.head = embed_;
    prediction.second_head = second_head_;
    prediction.values = values;
    prediction.value_count = values == nullptr ? 0 : c_.n_layers;
    return prediction;
  }

 private:
  struct Block {
    Param ln1, ln_delta;
    Param qkv_gate;  // swa.qkv | combine_gate: both read u
    Param swa_out;
    Param memory_in;  // delta.{k,v,q,beta(,alpha)}_proj: all read w
    Param alpha_bias;
    Param memory_out, combine_out;
    SwiGluLayer ffn;
  };

  Block MakeBlock(int index, const Init& normal, const Init& output) {
    const std::string name = fmt::format("blocks.{}.", index);
    const int C = c_.d_model, width = c_.n_heads * c_.d_head, memory = c_.n_heads * c_.d_mem;
    Block b;
    b.ln1 = AddGain(bank(), name + "ln1", C);
    const std::string attention = name + c_.attention_name;
    b.qkv_gate = AddLinear(bank(), {{attention + ".qkv", 3 * width, normal, 3}, {name + "combine_gate", C, normal}}, C);
    b.swa_out = AddLinear(bank(), {{attention + ".out", C, normal}}, width);
    b.ln_delta = AddGain(bank(), name + "ln_delta", C);
    std::vector<LinearPart> parts = {{name + "delta.k_proj", memory, normal},
                                     {name + "delta.v_proj", memory, normal},
                                     {name + "delta.q_proj", memory, normal},
                                     {name + "delta.beta_proj", c_.n_heads, normal}};
    if (DeltaRule()) parts.push_back({name + "delta.alpha_proj", c_.n_heads, normal});
    b.memory_in = AddLinear(bank(), parts, C);
    if (DeltaRule()) {
      // sigmoid(4) = 0.982: the memory starts by forgetting slowly.
      b.alpha_bias = bank().Add({name + "delta.alpha_proj.bias", {c_.n_heads}, Role::kVector, Init::Constant(4.0f)});
    }
    b.memory_out = AddLinear(bank(), {{name + "delta.mem_out", C, normal}}, memory);
    b.combine_out = AddLinear(bank(), {{name + "combine_out", C, output}}, C);
    b.ffn = AddSwiGlu(bank(), AddGain(bank(), name + "ln2", C),
                      {{name + "Wg", c_.d_ff, normal}, {name + "Wu", c_.d_ff, normal}}, {name + "Wo", C, output});
    return b;
  }

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h) const {
    const int C = c_.d_model, width = c_.n_heads * c_.d_head;
    const Tensor qkv_gate = Linear(tape, RmsNorm(tape, h, b.ln1), b.qkv_gate);  // [N, 3*H*D + C]
    const kernels::Rope rope = c_.rope ? kernels::Rope::kHalf : kernels::Rope::kNone;
    const Tensor attention = WindowAttention(tape, Tape::Columns(qkv_gate, 0, 3 * width),
                                             {c_.n_heads, c_.d_head, c_.window, rope, c_.dropout});  // [N,H*D]
    const Tensor local = Linear(tape, attention, b.swa_out);                                         // [N,C]

    const Tensor memory_in = Linear(tape, RmsNorm(tape, h, b.ln_delta), b.memory_in);
    const Tensor memory = DeltaMemory(tape, memory_in, b.alpha_bias, {c_.n_heads, c_.d_mem, DeltaRule()});  // [N,H*M]
    const Tensor global = Linear(tape, Dropout(tape, memory, c_.dropout), b.memory_out);                    // [N,C]

    const Tensor mixed = GateMix(tape, Tape::Columns(qkv_gate, 3 * width, C), local, global);  // [N,C]
    const Tensor middle = AddDropout(tape, h, Linear(tape, mixed, b.combine_out), 0.0);        // [N,C]
    return SwiGlu(tape, middle, b.ffn, c_.dropout);
  }

  bool DeltaRule() const { return c_.memory == "delta"; }

  Config c_;
  Param embed_, ln_in_, ln_out_, second_head_;
  std::vector<Block> blocks_;
  std::vector<Param> value_heads_;
};

FLASHLM_REGISTER_MODEL("cortex-viii", Cortex);

}  // namespace
}  // namespace flashlm
