#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/mixture/mixture.h"
#include "kernels/mixture/ref.h"

namespace flashlm {
namespace {

struct SlotReadSaved {
  const float* weights;  // [N,S]
};

void SlotReadBackward(Tape& tape, const Node& node) {
  const Tensor& query = node.inputs[1];
  const Param& slots = node.parameter;
  GradientWriter dquery(tape, query), dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::SlotReadGrad(query.matrix(), tape.bank().Value(slots), slots.rows, node.As<SlotReadSaved>().weights,
                        tape.GradientOf(node.output), dx.matrix(), dx.accumulate(), dquery.matrix(),
                        tape.ParamGradient(slots),
                        tape.Scratch(kernels::SlotReadGradScratch(query.rows, query.cols, slots.rows)));
}

std::vector<OpCase> SlotReadCases() {
  std::vector<OpCase> cases;
  for (const auto& [rows, cols, slots] : {std::tuple{5, 19, 3}, std::tuple{70, 4, 8}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}, {} slots", rows, cols, slots), 1, rows, {{rows, cols}, {rows, cols}, {slots, cols, true}},
        [](Tape& tape, const std::vector<Operand>& in) {
          return SlotRead(tape, in[0].tensor, in[1].tensor, in[2].param);
        },
        [](const auto& in, auto& out) {
          kernels::ref::SlotRead(in[0].data(), in[1].data(), in[2].data(), in[0].rows, in[0].cols, in[2].rows,
                                 out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kSlotReadOp;
const OpDef kSlotReadOp("slot_read", SlotReadBackward, SlotReadCases);

Tensor SlotRead(Tape& tape, const Tensor& x, const Tensor& query, const Param& slots) {
  OpTimer timer(tape, kSlotReadOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && x.cols == slots.cols && query.cols == slots.cols,
                "slots of {} columns, a query of {}, beside {}", slots.cols, query.cols, x.cols);
  const Tensor y = tape.New(x.rows, 2 * x.cols, query.dtype);  // [N,2C]
  float* weights = tape.Keep<float>(int64_t{x.rows} * slots.rows);
  kernels::SlotRead(x.matrix(), query.matrix(), tape.bank().Value(slots), slots.rows, y.matrix(), weights);
  tape.Record({&kSlotReadOp, {x, query}, y, slots, tape.Keep(SlotReadSaved{weights})});
  return y;
}

}  // namespace flashlm
