#include "nn/rcsm.h"

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "nn/heads.h"

namespace flashlm {

Rcsm::Rcsm(ParamBank& bank, const std::string& name, const RcsmConfig& config, const MapInit& init,
           const MapInit& init_up)
    : bank_(bank), c_(config) {
  CheckDepth(c_.depth);
  const int C = c_.channels, R = c_.width;
  down_ = AddLinear(bank, {{name + ".down_proj", R, init(C)}}, C, c_.quantization);
  if (c_.memory_heads > 0) AddMemory(name + ".sequence_memory", init, init_up);
  AddEngine(name + ".", init);
  const auto operations = static_cast<size_t>(c_.operations);
  sums_.resize(static_cast<size_t>(c_.slots) + static_cast<size_t>(R) + operations);
  shares_.resize(operations);
  up_ = AddLinear(bank, {{name + ".up_proj", C, init_up(R)}}, R, c_.quantization);
}

void Rcsm::AddMemory(const std::string& name, const MapInit& init, const MapInit& init_up) {
  const int R = c_.width;
  memory_.norm = AddGain(bank_, name + ".norm", R);
  memory_.query = AddLinear(bank_, {{name + ".query", R, init(R)}}, R);
  memory_.key_value = AddLinear(bank_, {{name + ".key_value", 2 * R, init(R), 2}}, R);
  memory_.qk_norm = AddQueryKeyNorm(bank_, name, R / c_.memory_heads);
  // sigmoid(0): a key begins as half of what the token before it was, for what follows a word is found by that word.
  memory_.key_shift = AddVectors(bank_, {name + ".key_shift"}, R, 0.0f);
  memory_.out = AddLinear(bank_, {{name + ".out", R, init_up(R)}}, R);
}

// state [N,R], compute type -> the same: r <- r + W_out attention(W_query norm(r), keys, values), `memory_reads` times.
Tensor Rcsm::ReadMemory(Tape& tape, const Tensor& state) const {
  const int R = c_.width, D = R / c_.memory_heads;
  Tensor r = ToF32(tape, state);
  Tensor normed = RmsNorm(tape, r, memory_.norm);
  const Tensor key_value = Linear(tape, normed, memory_.key_value);  // [N,2R]
  const Param query_norm{memory_.qk_norm.offset, 1, D}, key_norm{memory_.qk_norm.offset + D, 1, D};
  const Tensor keys =
      TokenShift(tape, HeadNorm(tape, Tape::Columns(key_value, 0, R), key_norm), memory_.key_shift);  // [N,R]
  for (int read = 0; read < c_.memory_reads; ++read) {
    if (read > 0) normed = RmsNorm(tape, r, memory_.norm);
    const Tensor query = HeadNorm(tape, Linear(tape, normed, memory_.query), query_norm);
    const Tensor seen = WindowAttention(tape, query, keys, Tape::Columns(key_value, R, R),
                                        {c_.memory_heads, D, c_.memory_window, kernels::Rope::kPartial, 0});
    r = AddDropout(tape, r, Linear(tape, seen, memory_.out), 0.0);
  }
  return ToComputeType(tape, r);
}

// One of the engine's own.
Param Rcsm::AddMap(const std::string& name, int rows, int inputs, const Init& init, Quantization quantization) {
  engine_weights_ += static_cast<double>(rows) * inputs;
  return AddLinear(bank_, {{name, rows, init}}, inputs, quantization);
}

void Rcsm::AddEngine(const std::string& name, const MapInit& init) {
  const int R = c_.width;
  const Quantization& quantization = c_.quantization;
  for (int j = 0; j < c_.operations; ++j) {
    const Param one = bank_.Add(
        {fmt::format("{}op_library.ops.{}", name, j), {R, R}, Role::kMatrix, init(R), 1, quantization}, j > 0);
    if (j == 0) engine_.operations = one;
  }
  engine_.operations.rows = c_.operations * R;
  engine_weights_ += static_cast<double>(engine_.operations.rows) * R;
  engine_.router = AddMap(name + "router.router", c_.operations, R, init(R), quantization);
  engine_.classifier = AddMap(name + "depth_ctrl.classifier", kernels::kDepthChoices, R, init(R), quantization);
  engine_.read_key = AddMap(name + "memory.read_key", R, R, init(R));
  engine_.write_key = AddMap(name + "memory.write_key", R, R, init(R));
  engine_.write_value = AddMap(name + "memory.write_value", R, R, init(R));
  engine_.write_gate = AddMap(name + "memory.write_gate", 1, R, init(R));
  engine_.slots = bank_.Add({name + "memory.slots", {c_.slots, R}, Role::kBuffer, Init::Normal(0.01f)});
  engine_.mix = AddMap(name + "mem_mix", R, 2 * R, init(2 * R));
  const GainBias norm = AddGainBias(bank_, name + "reason_norm", R);
  engine_.gain = norm.gain;
  engine_.bias = norm.bias;
  engine_.write_scale = bank_.Add({name + "write_scale", {1}, Role::kVector, Init::Constant(0.01f)});
}

void Rcsm::CheckDepth(int depth) {
  if (depth == 0) return;
  for (const int known : kernels::kReasoningDepths) {
    if (depth == known) return;
  }
  throw UsageError(fmt::format("depth {}: must be 1, 3, 8, or 0 for adaptive", depth),
                   "the depths that the classifier chooses from");
}

void Rcsm::SetDepth(int depth) {
  CheckDepth(depth);
  c_.depth = depth;
}

Tensor Rcsm::Apply(Tape& tape, const Tensor& h, Tensor& auxiliary, Reasoned& reasoned) {
  Tensor r = Linear(tape, ToComputeType(tape, h), down_);  // [N,R]
  if (c_.memory_heads > 0) r = ReadMemory(tape, r);
  const ReasoningConfig config{c_.operations, c_.slots, c_.depth, c_.depth_noise, c_.depth_blend};
  const ReasoningResult engine = Reasoning(tape, r, engine_, config, pack_);  // state [N,R]
  reasoned = {engine.depths, r, engine_.classifier};
  if (tape.training()) Remember(tape.random_step(), engine);
  if (tape.training() && c_.balance_weight > 0) {
    auxiliary = BalanceLoss(tape, engine.usage, engine.shares, c_.balance_weight);
  }
  return AddDropout(tape, h, Linear(tape, engine.state, up_), 0.0);
}

// A pass that is repeated, as for a gradient by differences, is still one.
Rcsm::Write& Rcsm::WriteOf(uint64_t pass) {
  size_t i = 0;
  while (i < written_ && writes_[i].pass != pass) ++i;
  if (i == writes_.size()) writes_.push_back({pass, std::vector<float>(sums_.size())});
  if (i == written_) ++written_;
  writes_[i].pass = pass;
  return writes_[i];
}

// A record: the pass as three digits of 24 bits, which a float holds, then its means.
std::vector<float> Rcsm::PassRecords() const {
  std::vector<float> records;
  for (size_t i = 0; i < written_; ++i) {
    for (int shift : {0, 24, 48}) records.push_back(static_cast<float>((writes_[i].pass >> shift) & 0xffffff));
    records.insert(records.end(), writes_[i].means.begin(), writes_[i].means.end());
  }
  return records;
}

void Rcsm::AddPassRecords(std::span<const float> records) {
  const size_t length = 3 + sums_.size();
  FLASHLM_CHECK(records.size() % length == 0, "{} floats are no records of passes", records.size());
  for (size_t at = 0; at < records.size(); at += length) {
    uint64_t pass = 0;
    for (size_t i = 0; i < 3; ++i) pass |= static_cast<uint64_t>(records[at + i]) << (24 * i);
    std::copy_n(records.begin() + static_cast<std::ptrdiff_t>(at + 3), sums_.size(), WriteOf(pass).means.begin());
  }
}

void Rcsm::Remember(uint64_t pass, const ReasoningResult& engine) {
  const std::lock_guard lock(writes_mutex_);
  Write& write = WriteOf(pass);
  std::copy_n(engine.mean_address, c_.slots, write.means.begin());
  std::copy_n(engine.mean_write, c_.width, write.means.begin() + c_.slots);
  std::copy_n(engine.shares, c_.operations, write.means.begin() + c_.slots + c_.width);
}

void Rcsm::BeginStep() { written_ = 0; }

// The deferred write: slot_s <- 0.99 slot_s + 0.01 (mean address weight)_s (mean z).
void Rcsm::EndStep(bool applied) {
  if (written_ == 0) return;
  const auto end = writes_.begin() + static_cast<std::ptrdiff_t>(written_);
  std::sort(writes_.begin(), end, [](const Write& a, const Write& b) { return a.pass < b.pass; });
  std::fill(sums_.begin(), sums_.end(), 0.0);
  std::for_each(writes_.begin(), end, [&](const Write& write) {
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += write.means[i];
  });
  const auto S = static_cast<size_t>(c_.slots), R = static_cast<size_t>(c_.width);
  const auto passes = static_cast<double>(written_);
  for (size_t k = 0; k < shares_.size(); ++k) shares_[k] = static_cast<float>(sums_[S + R + k] / passes);
  if (!applied) return;
  float* slots = bank_.Value(engine_.slots);  // [S,R]
  for (size_t s = 0; s < S; ++s) {
    for (size_t i = 0; i < R; ++i) {
      float& slot = slots[s * R + i];
      slot = static_cast<float>(0.99 * slot + 0.01 * sums_[s] / passes * sums_[S + i] / passes);
    }
  }
  bank_.Touch();
}

double Rcsm::FlopsBeyondWeights() const {
  const double R = c_.width, K = c_.operations, S = c_.slots, passes = c_.depth > 0 ? c_.depth : (1 + 3 + 8) / 3.0;
  const double further_reads = c_.memory_heads > 0 ? c_.memory_reads - 1 : 0;
  // Per pass: two operations, W_mix o, router, reading the slots; once: the write. Per read after the first:
  // query and output.
  return 6.0 *
         (passes * (3 * R * R + R * (K + 2 * S)) + R * R + 2 * R * S + further_reads * 2 * R * R - engine_weights_);
}

}  // namespace flashlm
