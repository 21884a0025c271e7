#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/delta/delta.h"
#include "kernels/delta/ref.h"

namespace flashlm {
namespace {

struct DeltaMemorySaved {
  kernels::DeltaShape shape;
  const float* states;  // at chunk borders
};

void DeltaMemoryBackward(Tape& tape, const Node& node) {
  const DeltaMemorySaved& saved = node.As<DeltaMemorySaved>();
  const Tensor& proj = node.inputs[0];
  const bool has_bias = saved.shape.delta_rule;
  GradientWriter dproj(tape, proj);
  kernels::DeltaMemoryGrad(saved.shape, proj.matrix(), has_bias ? tape.bank().Value(node.parameter) : nullptr,
                           saved.states, tape.GradientOf(node.output), dproj.matrix(),
                           has_bias ? tape.ParamGradient(node.parameter) : nullptr);
}

std::vector<OpCase> DeltaMemoryCases() {
  constexpr int kBatch = 2, kLength = 11, kHeads = 2, kMem = 4;
  std::vector<OpCase> cases;
  for (const bool delta_rule : {true, false}) {
    const DeltaConfig config{kHeads, kMem, delta_rule};
    const int cols = 3 * kHeads * kMem + (delta_rule ? 2 : 1) * kHeads;
    std::vector<OpInput> inputs{{kBatch * kLength, cols}};
    if (delta_rule) inputs.push_back({1, kHeads, true});
    cases.push_back(OpCase::Make(
        delta_rule ? "delta rule" : "linear", kBatch, kLength, inputs,
        [config](Tape& tape, const std::vector<Operand>& in) {
          return DeltaMemory(tape, in[0].tensor, config.delta_rule ? in[1].param : Param{}, config);
        },
        [delta_rule](const auto& in, auto& out) {
          using S = std::remove_reference_t<decltype(out.v[0])>;
          kernels::ref::DeltaMemory<S>({kBatch, kLength, kHeads, kMem, delta_rule}, in[0].data(),
                                       delta_rule ? in[1].data() : nullptr, nullptr, out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kDeltaMemoryOp;
const OpDef kDeltaMemoryOp("delta_memory", DeltaMemoryBackward, DeltaMemoryCases);

Tensor DeltaMemory(Tape& tape, const Tensor& proj, const Param& alpha_bias, const DeltaConfig& config) {
  OpTimer timer(tape, kDeltaMemoryOp);
  const int width = config.heads * config.mem_dim;
  FLASHLM_CHECK(proj.cols == 3 * width + (config.delta_rule ? 2 : 1) * config.heads,
                "memory of {} heads x {} over {} columns", config.heads, config.mem_dim, proj.cols);
  const kernels::DeltaShape shape{tape.batch(), tape.length(), config.heads, config.mem_dim, config.delta_rule};
  const Tensor y = tape.New(proj.rows, width, proj.dtype);  // [N,H*M]
  float* saved = tape.training() ? tape.Keep<float>(kernels::DeltaSavedSize(shape)) : nullptr;
  const int64_t state_size = kernels::DeltaStateSize(shape);
  kernels::DeltaMemory(shape, proj.matrix(), config.delta_rule ? tape.bank().Value(alpha_bias) : nullptr,
                       tape.Slot(state_size), state_size, y.matrix(), saved);
  tape.Record({&kDeltaMemoryOp, {proj}, y, alpha_bias, tape.Keep(DeltaMemorySaved{shape, saved})});
  return y;
}

}  // namespace flashlm
