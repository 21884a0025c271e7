#include "audit/audited_model.h"

#include <algorithm>
#include <cmath>

#include "audit/leaks.h"
#include "base/error.h"
#include "models/registry.h"
#include "nn/linear.h"
#include "nn/swiglu.h"

namespace flashlm {
namespace {

constexpr int kPlanWidth = 32;

class AuditedModel final : public Model {
 public:
  AuditedModel(const AuditedSizes& sizes, const Defects& defects) : c_(sizes), defects_(defects) {
    const int C = c_.d_model;
    embed_ = bank().Add({"embed.weight", {c_.vocab, C}, Role::kEmbedding, Init::Normal(0.02f)});
    norm_in_ = AddGain(bank(), "norm_in", C);
    plan_ = bank().Add({"planner.init", {kPlanWidth}, Role::kVector, Init::Normal(0.01f)});
    for (int i = 0; i < c_.n_layers; ++i) blocks_.push_back(MakeBlock(i));
    norm_out_ = AddGain(bank(), "norm_out", C);
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    Tensor h = RmsNormF32(tape, Embedding(tape, tokens, embed_), norm_in_);  // [N,C]
    Tensor plan = Broadcast(tape, plan_);                                    // [N,P], the planner's stream
    for (const Block& b : blocks_) {
      h = Attend(tape, b, h);
      h = Recur(tape, b, h);
      h = Reason(tape, b, h, plan);
      h = SwiGlu(tape, h, b.mlp);
    }
    Prediction prediction;
    prediction.hidden = RmsNorm(tape, h, norm_out_);
    prediction.head = embed_;
    return prediction;
  }

 private:
  struct Block {
    Param norm_attention, qkv_gate, attention_out;  // q | k | v | gate
    Param norm_memory, memory_in, memory_out, combine;
    GainBias norm_scan, norm_group;
    Param shift, forget_value_open, forget_bias, scan_out;
    float floor = 0;
    Param down, executor_to_planner, norm_planner, planner_update, planner_to_gate, up, up_gate;
    SwiGluLayer mlp;
  };

  Init Maps() const { return Init::Normal(1 / std::sqrt(static_cast<float>(c_.d_model))); }
  // What writes into the residual stream, four times a block, starts small.
  Init Outputs() const { return Init::Normal(0.5f / std::sqrt(static_cast<float>(c_.d_model))); }

  Block MakeBlock(int index) {
    const std::string name = fmt::format("blocks.{}.", index);
    const int C = c_.d_model, memory = c_.n_heads * c_.d_mem;
    Block b;
    b.norm_attention = AddGain(bank(), name + "attention.norm", C);
    b.qkv_gate = AddLinear(bank(), {{name + "attention.qkv", 3 * C, Maps(), 3}, {name + "gate", C, Maps()}}, C);
    b.attention_out = AddLinear(bank(), {{name + "attention.out", C, Maps()}}, C);
    b.norm_memory = AddGain(bank(), name + "memory.norm", C);
    b.memory_in = AddLinear(
        bank(), {{name + "memory.kvq", 3 * memory, Maps(), 3}, {name + "memory.beta", c_.n_heads, Maps()}}, C);
    b.memory_out = AddLinear(bank(), {{name + "memory.out", C, Maps()}}, memory);
    b.combine = AddLinear(bank(), {{name + "combine", C, Outputs()}}, C);
    AddScan(name + "scan.", index, b);
    AddPlanner(name + "planner.", b);
    b.mlp = AddSwiGlu(bank(), AddGain(bank(), name + "mlp.norm", C),
                      {{name + "mlp.gate", 2 * C, Maps()}, {name + "mlp.up", 2 * C, Maps()}},
                      {name + "mlp.down", C, Outputs()});
    return b;
  }

  void AddScan(const std::string& name, int index, Block& b) {
    const int C = c_.d_model;
    b.floor = 0.9f * static_cast<float>(index) / static_cast<float>(std::max(1, c_.n_layers - 1));
    b.norm_scan = AddGainBias(bank(), name + "norm", C);
    b.shift = bank().Add({name + "shift", {C}, Role::kVector, Init::Zero()});
    b.forget_value_open =
        AddLinear(bank(), {{name + "forget", C, Maps()}, {name + "value", C, Maps()}, {name + "open", C, Maps()}}, C);
    b.forget_bias = bank().Add({name + "forget.bias", {C}, Role::kVector, Init::Zero()});
    b.norm_group = AddGainBias(bank(), name + "group_norm", C);
    b.scan_out = AddLinear(bank(), {{name + "out", C, Outputs()}}, C);
  }

  void AddPlanner(const std::string& name, Block& b) {
    const int C = c_.d_model, R = C / 2;
    b.down = AddLinear(bank(), {{name + "down", R, Maps()}}, C);
    b.executor_to_planner = AddLinear(bank(), {{name + "listen", kPlanWidth, Maps()}}, R);
    b.norm_planner = AddGain(bank(), name + "norm", kPlanWidth);
    b.planner_update = AddLinear(bank(), {{name + "update", kPlanWidth, Maps()}}, kPlanWidth);
    b.planner_to_gate = AddLinear(bank(), {{name + "gate", R, Init::Normal(0.3f)}}, kPlanWidth);
    b.up = AddLinear(bank(), {{name + "up", C, Maps()}}, R);
    b.up_gate = bank().Add({name + "up_gate", {1}, Role::kVector, Init::Zero()});
  }

  Tensor Attend(Tape& tape, const Block& b, const Tensor& h) const {
    const int C = c_.d_model;
    const Tensor qkv_gate = Linear(tape, RmsNorm(tape, h, b.norm_attention), b.qkv_gate);  // [N,4*C]
    const Tensor seen =
        WindowAttention(tape, Tape::Columns(qkv_gate, 0, 3 * C), {c_.n_heads, C / c_.n_heads, c_.window});
    const Tensor local = Linear(tape, seen, b.attention_out);                             // [N,C]
    const Tensor memory_in = Linear(tape, RmsNorm(tape, h, b.norm_memory), b.memory_in);  // [N,3*H*M + H]
    const Tensor memory = defects_.future_memory
                              ? FutureMemory(tape, memory_in, c_.n_heads, c_.d_mem)
                              : DeltaMemory(tape, memory_in, {}, {c_.n_heads, c_.d_mem, false});  // [N,H*M]
    const Tensor global = Linear(tape, memory, b.memory_out);                                     // [N,C]
    const Tensor mixed = GateMix(tape, Tape::Columns(qkv_gate, 3 * C, C), local, global);
    return AddDropout(tape, h, Linear(tape, mixed, b.combine), 0.0);
  }

  Tensor Recur(Tape& tape, const Block& b, const Tensor& h) const {
    const Tensor z = TokenShift(tape, LayerNorm(tape, h, b.norm_scan), b.shift);                     // [N,C]
    const Tensor s = GatedScan(tape, Linear(tape, z, b.forget_value_open), b.forget_bias, b.floor);  // [N,C]
    const Tensor normed = defects_.norm_over_time
                              ? NormOverTime(tape, s, b.norm_group.gain, b.norm_group.bias, c_.n_heads)
                              : LayerNorm(tape, s, b.norm_group, c_.n_heads);  // [N,C]
    return AddDropout(tape, h, Linear(tape, normed, b.scan_out), 0.0);
  }

  // Moves the planner's stream.
  Tensor Reason(Tape& tape, const Block& b, const Tensor& h, Tensor& plan) const {
    const Tensor r = Linear(tape, ToComputeType(tape, h), b.down);                                    // [N,R]
    const Tensor wide = ToF32(tape, r);                                                               // [N,R]
    const Tensor mean = defects_.whole_planner ? SequenceMean(tape, wide) : RunningMean(tape, wide);  // [N,R]
    const Tensor heard = Linear(tape, mean, b.executor_to_planner);                                   // [N,P]
    const Tensor told = RmsNorm(tape, AddDropout(tape, plan, heard, 0.0), b.norm_planner);            // [N,P]
    plan = AddDropout(tape, plan, Linear(tape, told, b.planner_update), 0.0);                         // [N,P]
    const Tensor gate = Linear(tape, ToComputeType(tape, plan), b.planner_to_gate);                   // [N,R]
    const Tensor gated = SigmoidGate(tape, gate, r);                                                  // [N,R]
    return AddScalarGated(tape, h, Linear(tape, gated, b.up), b.up_gate);
  }

  AuditedSizes c_;
  Defects defects_;
  Param embed_, norm_in_, plan_, norm_out_;
  std::vector<Block> blocks_;
};

// Of the network alone: the targets are no part of it.
std::string ArchitectureName(const Defects& defects) {
  Defects network = defects;
  network.double_shift = false;
  const std::vector<std::string> names = network.Names();
  return names.empty() ? "audited" : fmt::format("audited+{}", fmt::join(names, "+"));
}

std::unique_ptr<Model> Build(const Defects& defects, Json& config) {
  AuditedSizes sizes;
  FieldsFromJson(config, "audited model", sizes);
  if (sizes.d_model % (2 * sizes.n_heads) != 0) {
    throw UsageError(
        fmt::format("audited model of width {}: must be a multiple of {} heads, twice", sizes.d_model, sizes.n_heads));
  }
  config = FieldsToJson(sizes);
  return std::make_unique<AuditedModel>(sizes, defects);
}

}  // namespace

std::vector<std::string> Defects::Names() const {
  std::vector<std::string> names;
  const std::pair<bool, const char*> all[] = {{future_memory, "future_memory"},
                                              {norm_over_time, "norm_over_time"},
                                              {whole_planner, "whole_planner"},
                                              {double_shift, "double_shift"}};
  for (const auto& [on, name] : all) {
    if (on) names.emplace_back(name);
  }
  return names;
}

std::unique_ptr<Model> MakeAuditedModel(const AuditedSizes& sizes, const Defects& defects, bool for_training) {
  const std::string name = ArchitectureName(defects);
  const auto& known = RegisteredModels();
  if (std::none_of(known.begin(), known.end(), [&](const ModelEntry& entry) { return entry.name == name; })) {
    RegisterModel({name, [defects](Json& config) { return Build(defects, config); },
                   [] { return FieldsToJson(AuditedSizes()); }, [] { return FieldsHelp<AuditedSizes>(); }, false});
  }
  Json config = FieldsToJson(sizes);
  config["architecture"] = name;
  return MakeModel(config, for_training);
}

}  // namespace flashlm
