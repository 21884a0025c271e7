#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/ref.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

void ConvertBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::Copy(tape.GradientOf(node.output), dx.matrix(), dx.accumulate());
}

// The tape of the cases computes in f32, where the tensor passes as it is.
std::vector<OpCase> ConvertCases() {
  return {OpCase::Make(
              "to_f32_4x9", 1, 4, {{4, 9}, {4, 9}},
              [](Tape& tape, const std::vector<Operand>& in) {
                return AddDropout(tape, ToF32(tape, in[0].tensor), in[1].tensor, 0);
              },
              [](const auto& in, auto& out) {
                for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[0].v[i] + in[1].v[i];
              }),
          OpCase::Make(
              "to_compute_type_4x9", 1, 4, {{4, 9}, {4, 18}},
              [](Tape& tape, const std::vector<Operand>& in) {
                return AddDropout(tape, ToComputeType(tape, in[0].tensor), SwiGlu(tape, in[1].tensor), 0);
              },
              [](const auto& in, auto& out) {
                kernels::ref::SwiGlu(in[1].data(), out.rows, out.cols, out.data());
                for (size_t i = 0; i < out.v.size(); ++i) out.v[i] += in[0].v[i];
              })};
}

}  // namespace

extern const OpDef kConvertOp;
const OpDef kConvertOp("convert", ConvertBackward, ConvertCases);

namespace {

Tensor Convert(Tape& tape, const Tensor& x, DType dtype) {
  if (x.dtype == dtype) return x;
  OpTimer timer(tape, kConvertOp);
  const Tensor y = tape.New(x.rows, x.cols, dtype);
  kernels::Copy(x.matrix(), y.matrix(), false);
  tape.Record({&kConvertOp, {x}, y, {}, nullptr});
  return y;
}

}  // namespace

Tensor ToF32(Tape& tape, const Tensor& x) { return Convert(tape, x, DType::kF32); }
Tensor ToComputeType(Tape& tape, const Tensor& x) { return Convert(tape, x, tape.dtype()); }

}  // namespace flashlm
