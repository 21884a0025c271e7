// The flagship: recurrence and attention in turns, for small budgets, with every block option that short training
// records found worth a try (docs/lab-book/2026-11-flagship.md has what each is worth here).
//
//   x = h = RMS_in(E[t]);  per block:  h <- r_0 h + r_1 x (+ u_1 skip);  u = RMS1(h)
//   attention:  q|k|v|gate = W u;  v <- w_0 v + w_1 V[t];  a = gate(mix(norm(q), norm(k), v))
//   recurrence: f|v|o = W u;       v <- w_0 v + w_1 V[t];  a = scan(f, v, o)
//   h <- h + W_o a;  h <- h + dropout(W_down mlp(W_up RMS2(h)))
//   h <- h + W_up engine(W_down h) (nn/rcsm.h), if there is one;  logits = c tanh(E RMS_out(h) / c)
//
// `mixers` names each block's way to look back by a letter, repeated as often as needed: F full attention, W attention
// in a short window, D gated delta memory, R gated recurrence.
#include <cmath>
#include <optional>

#include "models/registry.h"
#include "nn/heads.h"
#include "nn/linear.h"
#include "nn/rcsm.h"

namespace flashlm {
namespace {

struct FlagshipConfig {
  int vocab = 4096;
  int d_model = 192, n_layers = 5, n_heads = 3, d_ff = 768, window = 256, local_window = 32;
  std::string mixers = "F", mlp = "relu2", rope = "full", weights = "float", activation = "none";
  bool key_shift = false, qk_norm = true, residual_scalars = true, skips = false, head_gate = false, smear = false,
       tied = true;
  int value_tables = 0;
  int rcsm_operations = 0, rcsm_width = 96, rcsm_slots = 16, rcsm_depth = 0;
  bool zero_init_outputs = true;
  double softcap = 15, dropout = 0, embed_std = 0.02, init_scale = 1;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 2, 8192, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 64, "blocks");
    v.Int("n_heads", n_heads, 1, 256, "heads, of d_model / n_heads columns each");
    v.Int("d_ff", d_ff, 1, 65536, "hidden width of the MLP");
    v.Int("window", window, 1, 65536, "tokens that full attention sees, itself included");
    v.Int("local_window", local_window, 1, 65536, "tokens that attention in a short window sees, itself included");
    v.Text("mixers", mixers, {},
           "how blocks look back, a letter each, repeated: F full attention, W short window, D delta memory, R "
           "recurrence");
    v.Text("mlp", mlp, {"relu2", "swiglu"}, "squared ReLU, or SwiGLU");
    v.Text("rope", rope, {"full", "half"}, "channels of queries and keys that turn with the position: all, or half");
    v.Bool("key_shift", key_shift, "keys take in some of the one before: most, where rope leaves channels still");
    v.Text("weights", weights, {"float", "ternary"},
           "of the blocks' maps: as they are, or -1, 0, +1 times a scale per output");
    v.Text("activation", activation, {"none", "int8"},
           "what ternary maps read: as it is, or rounded to int8 per token");
    v.Bool("qk_norm", qk_norm, "RMS norm of queries and keys per head");
    v.Bool("residual_scalars", residual_scalars, "learned numbers on the stream and on the embedding, per block");
    v.Bool("skips", skips, "second half of the blocks reads what the first half left, last first (U-Net)");
    v.Bool("head_gate", head_gate, "a gate per head and token on what attention found");
    v.Bool("smear", smear, "embeddings take in some of the one before");
    v.Bool("tied", tied, "the token table is the output head as well");
    v.Int("value_tables", value_tables, 0, 64,
          "blocks, from the last, with a token table of values for attention or recurrence");
    v.Int("rcsm_operations", rcsm_operations, 0, 256,
          "operations of a reasoning engine after the last block, of which each pass takes two; 0: no engine");
    v.Int("rcsm_width", rcsm_width, 1, 1024, "width of the engine's state");
    v.Int("rcsm_slots", rcsm_slots, 1, 1024, "slots of the engine's memory");
    v.Int("rcsm_depth", rcsm_depth, 0, kernels::kMaxReasoningDepth,
          "passes of every token through the engine, 1, 3 or 8; 0: each token chooses");
    v.Bool("zero_init_outputs", zero_init_outputs, "start maps into the residual stream at zero");
    v.Real("softcap", softcap, 0, 1000, "c of c tanh(logit / c); 0: none");
    v.Real("dropout", dropout, 0, 0.9, "probability, in training");
    v.Real("embed_std", embed_std, 1e-6, 10, "standard deviation of the initial embedding");
    v.Real("init_scale", init_scale, 1e-6, 10, "of the other initial matrices: deviation init_scale / sqrt(inputs)");
  }

  void Validate() const {
    CheckRotaryHeads(d_model, n_heads);
    if (mixers.empty() || mixers.find_first_not_of("FWDR") != std::string::npos) {
      throw UsageError(fmt::format("model.mixers = '{}': letters F, W, D, R only", mixers),
                       "F full attention, W short window, D delta memory, R recurrence, as in FWWF");
    }
    if (rcsm_operations == 1) {
      throw UsageError("model.rcsm_operations = 1: an engine chooses two", "0 for none, or 2 and more");
    }
    Rcsm::CheckDepth(rcsm_depth);
  }
};

class Flagship final : public Model {
 public:
  using Config = FlagshipConfig;
  static constexpr bool kInputTables = true;
  static Config Tiny() {
    Config c;
    c.vocab = 32;
    c.d_model = 32;
    c.n_layers = 5;
    c.n_heads = 4;
    c.d_ff = 48;
    c.window = 9;
    c.local_window = 3;
    c.mixers = "FWDRF";
    c.rope = "half";
    c.skips = c.head_gate = c.smear = c.key_shift = true;
    c.tied = false;
    c.value_tables = 2;
    c.zero_init_outputs = false;
    c.embed_std = 0.15;
    return c;
  }

  explicit Flagship(const Config& config) : c_(config) {
    const Init table = Init::Normal(static_cast<float>(c_.embed_std));
    embed_ = head_ = bank().Add({"embed.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, table});
    if (c_.smear) smear_ = AddVectors(bank(), {"smear.mix"}, c_.d_model, 4.0f);  // sigmoid(4) = 0.982 of itself
    ln_in_ = AddGain(bank(), "ln_in", c_.d_model);
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    if (c_.rcsm_operations > 0) AddEngine();
    ln_out_ = AddGain(bank(), "ln_out", c_.d_model);
    if (!c_.tied) head_ = bank().Add({"head.weight", {c_.vocab, c_.d_model}, Role::kEmbedding, table});
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor x = Embedding(tape, tokens, embed_);  // [N,C]
    if (c_.smear) x = TokenShift(tape, x, smear_);
    x = WithInputTables(tape, tokens, RmsNormF32(tape, x, ln_in_));
    Tensor h = x;  // the residual stream
    Tensor* left = tape.Keep<Tensor>(c_.n_layers);
    for (int i = 0; i < c_.n_layers; ++i) {
      const Block& b = blocks_[static_cast<size_t>(i)];
      if (b.residual.cols > 0) h = WeightedSum(tape, h, x, b.residual);
      if (b.skip.cols > 0) h = WeightedSum(tape, h, left[c_.n_layers - 1 - i], b.skip);
      h = left[i] = Apply(tape, b, h, tokens);
    }
    Prediction prediction;
    if (engine_) h = engine_->Apply(tape, h, prediction.auxiliary, prediction.reasoned);
    prediction.hidden = RmsNorm(tape, h, ln_out_);
    prediction.head = head_;
    prediction.softcap = c_.softcap;
    return prediction;
  }

  void BeginStep() override {
    if (engine_) engine_->BeginStep();
  }
  void EndStep(bool applied) override {
    if (engine_) engine_->EndStep(applied);
  }
  std::vector<float> PassRecords() const override { return engine_ ? engine_->PassRecords() : std::vector<float>(); }
  void AddPassRecords(std::span<const float> records) override {
    if (engine_) engine_->AddPassRecords(records);
  }
  void SetDepth(int depth) override {
    if (!engine_) return Model::SetDepth(depth);
    engine_->SetDepth(depth);
  }
  int Depth() const override { return engine_ ? engine_->depth() : -1; }
  std::span<const float> OperationShares() const override {
    return engine_ ? std::span<const float>(engine_->shares()) : std::span<const float>();
  }

  // Tables are looked up; only the head is multiplied by.
  double TrainingFlopsPerToken() const override {
    double weights = static_cast<double>(c_.vocab) * c_.d_model;
    for (const ParamInfo& info : bank().infos()) {
      if (info.role == Role::kMatrix) weights += static_cast<double>(info.size);
    }
    return 6 * weights + (engine_ ? engine_->FlopsBeyondWeights() : 0);
  }

 private:
  struct Block {
    char mixer;
    Param residual, skip;  // [2], of WeightedSum
    Param ln1, mix_in, qk_norm, key_shift, forget_bias, mix_out;
    Param values, value_mix;  // a token table, and how much of it
    Param ln2, up, down;
  };

  Init Normal(int inputs) const {
    return Init::Normal(static_cast<float>(c_.init_scale / std::sqrt(static_cast<double>(inputs))));
  }
  Init Output(int inputs) const { return c_.zero_init_outputs ? Init::Zero() : Normal(inputs); }
  Param AddMap(const std::vector<LinearPart>& parts, int inputs) {
    if (c_.weights == "float") return AddLinear(bank(), parts, inputs);
    return AddLinear(bank(), parts, inputs, {kernels::Ternary::kRow, c_.activation == "int8"});
  }

  Param AddScalars(const std::string& name, float first, float second) {
    const Param both = bank().Add({name + ".kept", {1}, Role::kVector, Init::Constant(first)});
    bank().Add({name + ".added", {1}, Role::kVector, Init::Constant(second)}, true);
    return {both.offset, 1, 2};
  }

  Block MakeBlock(int i) {
    const std::string name = fmt::format("blocks.{}.", i);
    const int C = c_.d_model, H = c_.n_heads;
    Block b{};
    b.mixer = c_.mixers[static_cast<size_t>(i) % c_.mixers.size()];
    if (c_.residual_scalars && i > 0) b.residual = AddScalars(name + "residual", 1, 0);
    if (c_.skips && i >= (c_.n_layers + 1) / 2) b.skip = AddScalars(name + "skip", 1, 0);
    b.ln1 = AddGain(bank(), name + "ln1", C);
    const bool attention = b.mixer == 'F' || b.mixer == 'W';
    std::vector<LinearPart> parts = {{name + "mix.in", 3 * C, Normal(C), 3}};
    if (b.mixer == 'D') {
      parts.push_back({name + "mix.beta", H, Normal(C)});
      parts.push_back({name + "mix.alpha", H, Normal(C)});
    }
    if (attention && c_.head_gate) parts.push_back({name + "mix.gate", H, Init::Zero()});
    b.mix_in = AddMap(parts, C);
    if (attention && c_.qk_norm) b.qk_norm = AddQueryKeyNorm(bank(), name + "mix", C / H);
    // sigmoid(2) = 0.88 of itself.
    if (attention && c_.key_shift) b.key_shift = AddVectors(bank(), {name + "mix.key_shift"}, C, 2.0f);
    // sigmoid(4) = 0.982: memories start by forgetting slowly. A recurrence has channels of all speeds.
    if (b.mixer == 'D') b.forget_bias = bank().Add({name + "mix.alpha.bias", {H}, Role::kVector, Init::Constant(4)});
    if (b.mixer == 'R') b.forget_bias = bank().Add({name + "mix.forget.bias", {C}, Role::kVector, Init::Constant(1)});
    if (b.mixer != 'D' && i >= c_.n_layers - c_.value_tables) {
      b.values = bank().Add({fmt::format("embed_values.{}.weight", i), {c_.vocab, C}, Role::kLookup, Normal(C)});
      b.value_mix = AddScalars(name + "values", 0.5f, 0.5f);
    }
    b.mix_out = AddMap({{name + "mix.out", C, Output(C)}}, C);
    b.ln2 = AddGain(bank(), name + "ln2", C);
    std::vector<LinearPart> up = {{name + "mlp.up", c_.d_ff, Normal(C)}};
    if (c_.mlp == "swiglu") up.insert(up.begin(), {name + "mlp.gate", c_.d_ff, Normal(C)});
    b.up = AddMap(up, C);
    b.down = AddMap({{name + "mlp.down", C, Output(c_.d_ff)}}, c_.d_ff);
    return b;
  }

  // Ternary where the blocks' maps are; its kind needs one scale a matrix.
  void AddEngine() {
    Quantization quantization;
    if (c_.weights == "ternary") quantization = {kernels::Ternary::kScaleGradient, c_.activation == "int8"};
    const RcsmConfig engine{.channels = c_.d_model,
                            .width = c_.rcsm_width,
                            .operations = c_.rcsm_operations,
                            .slots = c_.rcsm_slots,
                            .depth = c_.rcsm_depth,
                            .quantization = quantization};
    engine_.emplace(
        bank(), "rcsm", engine, [&](int inputs) { return Normal(inputs); }, [&](int inputs) { return Output(inputs); });
  }

  Tensor Apply(Tape& tape, const Block& b, const Tensor& h, const int32_t* tokens) const {
    const Tensor in = Linear(tape, RmsNorm(tape, h, b.ln1), b.mix_in);
    Tensor seen;  // [N,C]
    if (b.mixer == 'D') {
      seen = DeltaMemory(tape, in, b.forget_bias, {c_.n_heads, c_.d_model / c_.n_heads, true});
    } else if (b.mixer == 'R') {
      const int C = c_.d_model;
      const Tensor v = WithValues(tape, b, Tape::Columns(in, C, C), tokens);
      seen = GatedScan(tape, Tape::Columns(in, 0, C), v, Tape::Columns(in, 2 * C, C), b.forget_bias, 0);
    } else {
      seen = Attend(tape, b, in, tokens);
    }
    const Tensor middle = AddDropout(tape, h, Linear(tape, seen, b.mix_out), c_.dropout);
    const Tensor up = Linear(tape, RmsNorm(tape, middle, b.ln2), b.up);  // [N,F] or [N,2F]
    const Tensor hidden = c_.mlp == "swiglu" ? SwiGlu(tape, up) : ReluSquared(tape, up);
    return AddDropout(tape, middle, Linear(tape, hidden, b.down), c_.dropout);
  }

  // v [N,C] -> w_0 v + w_1 V[t], where the block has a table.
  static Tensor WithValues(Tape& tape, const Block& b, const Tensor& v, const int32_t* tokens) {
    if (b.values.cols == 0) return v;
    return WeightedSum(tape, v, Embedding(tape, tokens, b.values), b.value_mix);
  }

  // in [N, 3C (+ H)], columns q|k|v|gate -> [N,C].
  Tensor Attend(Tape& tape, const Block& b, const Tensor& in, const int32_t* tokens) const {
    const int C = c_.d_model, H = c_.n_heads;
    Tensor qk = Tape::Columns(in, 0, 2 * C);
    if (c_.qk_norm) qk = HeadNorm(tape, qk, b.qk_norm);
    Tensor k = Tape::Columns(qk, C, C);
    if (c_.key_shift) k = TokenShift(tape, k, b.key_shift);
    const Tensor v = WithValues(tape, b, Tape::Columns(in, 2 * C, C), tokens);
    const int window = b.mixer == 'W' ? c_.local_window : c_.window;
    const kernels::Rope rope = c_.rope == "half" ? kernels::Rope::kPartial : kernels::Rope::kHalf;
    const Tensor seen = WindowAttention(tape, Tape::Columns(qk, 0, C), k, v, {H, C / H, window, rope, 0});
    return c_.head_gate ? HeadGate(tape, Tape::Columns(in, 3 * C, H), seen) : seen;
  }

  Config c_;
  Param embed_, head_, smear_, ln_in_, ln_out_;
  std::vector<Block> blocks_;
  std::optional<Rcsm> engine_;
};

FLASHLM_REGISTER_MODEL("flagship", Flagship);

}  // namespace
}  // namespace flashlm
