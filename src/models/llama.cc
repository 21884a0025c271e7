// The transformer that other programs know as Llama, Mistral or Qwen3, in their layout, so that models go both ways
// (src/exchange): rotary attention in which groups of heads may share keys and values, SwiGLU, RMS norms, no bias and
// no cap on the logits. A file of its own and not settings of gpt.cc: it has what those programs have and nothing else.
//
//   h = E[x];  h <- h + dropout(W_o attention(q, k, v)), q, k, v = W_q y, W_k y, W_v y, y = RMS1(h); with qk_norm q and
//   k go through an RMS norm per head before they turn
//   h <- h + dropout(W_down (silu(W_gate y) * W_up y)), y = RMS2(h);  logits = E RMS_out(h), or W_head RMS_out(h)
#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"

namespace flashlm {
namespace {

struct LlamaConfig {
  int vocab = 4096, d_model = 256, n_layers = 6, n_heads = 4, kv_heads = 4, d_head = 64, window = 512, d_ff = 512;
  bool qk_norm = true, tied = true, zero_init_outputs = true;
  double rope_base = kernels::kRopeBase, norm_eps = 1e-6;
  double dropout = 0, embed_std = 0.02, init_std = 0.0625;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 1, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 128, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "heads of queries");
    v.Int("kv_heads", kv_heads, 1, 256, "heads of keys and values, each read by n_heads / kv_heads of queries");
    v.Int("d_head", d_head, 2, 1024, "columns of a head");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the SwiGLU");
    v.Bool("qk_norm", qk_norm, "an RMS norm of each head's queries and keys (Qwen3 has it, Llama not)");
    v.Bool("tied", tied, "the token table is the output head as well");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("rope_base", rope_base, 1, 1e9, "of rotary positions: pair i turns by base^(-2i/d_head) a position");
    v.Real("norm_eps", norm_eps, 1e-12, 1e-2, "added to mean squares in the norms");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training, of both branches and of what attention sees");
    v.Real("embed_std", embed_std, 1e-6, 10, "standard deviation of the initial embedding");
    v.Real("init_std", init_std, 1e-6, 10, "standard deviation of the other initial matrices");
  }

  void Validate() const {
    if (n_heads % kv_heads != 0) {
      throw UsageError(fmt::format("model.n_heads = {}: must be a multiple of kv_heads = {}", n_heads, kv_heads));
    }
    if (d_head % 2 != 0) {
      throw UsageError(fmt::format("model.d_head = {}: must be even", d_head), "rotary positions turn pairs");
    }
  }
};

class Llama final : public Model {
 public:
  using Config = LlamaConfig;
  static Config Tiny() {
    return {.vocab = 32,
            .d_model = 32,
            .n_layers = 2,
            .n_heads = 4,
            .kv_heads = 2,
            .d_head = 8,
            .window = 9,
            .d_ff = 48,
            .zero_init_outputs = false,
            .embed_std = 0.15,
            .init_std = 0.15};
  }

  explicit Llama(const Config& config) : c_(config) {
    const Init normal = Init::Normal(static_cast<float>(c_.init_std));
    const Init table = Init::Normal(static_cast<float>(c_.embed_std));
    embed_ = bank().Add({"embed.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, table});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(fmt::format("blocks.{}.", i), normal));
    ln_out_ = AddGain(bank(), "ln_out", c_.d_model);
    head_ = c_.tied ? embed_ : bank().Add({"head.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, table});
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = Embedding(tape, tokens, embed_);  // [N,C], the residual stream
    for (const Block& b : blocks_) h = Mlp(tape, b, Attend(tape, b, h));
    Prediction prediction;
    prediction.hidden = Norm(tape, h, ln_out_);
    prediction.head = head_;
    return prediction;
  }

  double TrainingFlopsPerToken() const override {
    double weights = static_cast<double>(c_.vocab) * c_.d_model;  // the head; a table of its own is only looked up
    for (const ParamInfo& info : bank().infos()) {
      if (info.role == Role::kMatrix) weights += static_cast<double>(info.size);
    }
    return 6 * weights;
  }

 private:
  struct Block {
    Param ln1, qkv, q_norm, k_norm, out;
    Param ln2, gate_up, down;
  };

  // Scores start as those of gpt-baseline (AddQueryKeyNorm).
  Param AddHeadGain(const std::string& name) {
    return bank().Add({name + ".weight", {c_.d_head}, Role::kVector, Init::Constant(1.2f)});
  }

  Block MakeBlock(const std::string& name, const Init& normal) {
    const Init output = c_.zero_init_outputs ? Init::Zero() : normal;
    const int C = c_.d_model, queries = c_.n_heads * c_.d_head, keys = c_.kv_heads * c_.d_head;
    Block b;
    b.ln1 = AddGain(bank(), name + "ln1", C);
    b.qkv = AddLinear(
        bank(), {{name + "attn.q", queries, normal}, {name + "attn.k", keys, normal}, {name + "attn.v", keys, normal}},
        C);
    if (c_.qk_norm) {
      b.q_norm = AddHeadGain(name + "attn.q_norm");
      b.k_norm = AddHeadGain(name + "attn.k_norm");
    }
    b.out = AddLinear(bank(), {{name + "attn.out", C, output}}, queries);
    b.ln2 = AddGain(bank(), name + "ln2", C);
    b.gate_up = AddLinear(bank(), {{name + "ffn.gate", c_.d_ff, normal}, {name + "ffn.up", c_.d_ff, normal}}, C);
    b.down = AddLinear(bank(), {{name + "ffn.down", C, output}}, c_.d_ff);
    return b;
  }

  Tensor Norm(Tape& tape, const Tensor& h, const Param& gain) const {
    return RmsNorm(tape, h, gain, static_cast<float>(c_.norm_eps));
  }
  Tensor NormHeads(Tape& tape, const Tensor& x, const Param& gain) const {
    return c_.qk_norm ? HeadNorm(tape, x, gain, static_cast<float>(c_.norm_eps)) : x;
  }
  // Keys or values as every head of queries reads them.
  Tensor Share(Tape& tape, const Tensor& x) const {
    return c_.kv_heads == c_.n_heads ? x : RepeatHeads(tape, x, c_.d_head, c_.n_heads / c_.kv_heads);
  }

  Tensor Attend(Tape& tape, const Block& b, const Tensor& h) const {
    const int queries = c_.n_heads * c_.d_head, keys = c_.kv_heads * c_.d_head;
    const Tensor qkv = Linear(tape, Norm(tape, h, b.ln1), b.qkv);                   // [N,(H+2K)D]
    const Tensor q = NormHeads(tape, Tape::Columns(qkv, 0, queries), b.q_norm);     // [N,H*D]
    const Tensor k = NormHeads(tape, Tape::Columns(qkv, queries, keys), b.k_norm);  // [N,K*D]
    const Tensor v = Tape::Columns(qkv, queries + keys, keys);                      // [N,K*D]
    AttentionConfig attention{c_.n_heads, c_.d_head, c_.window, kernels::Rope::kHalf, c_.dropout};
    attention.rope_base = c_.rope_base;
    const Tensor seen = WindowAttention(tape, q, Share(tape, k), Share(tape, v), attention);  // [N,H*D]
    return AddDropout(tape, h, Linear(tape, seen, b.out), c_.dropout);                        // [N,C]
  }

  Tensor Mlp(Tape& tape, const Block& b, const Tensor& h) const {
    const Tensor gate_up = Linear(tape, Norm(tape, h, b.ln2), b.gate_up);  // [N,2F]
    return AddDropout(tape, h, Linear(tape, SwiGlu(tape, gate_up), b.down), c_.dropout);
  }

  Config c_;
  Param embed_, ln_out_, head_;
  std::vector<Block> blocks_;
};

FLASHLM_REGISTER_MODEL("llama", Llama);

}  // namespace
}  // namespace flashlm
