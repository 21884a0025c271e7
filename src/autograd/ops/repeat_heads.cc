#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

struct RepeatHeadsSaved {
  int head_dim, times;
};

kernels::Matrix HeadOf(const kernels::Matrix& m, int64_t head, int64_t head_dim) {
  return m.Columns(head * head_dim, head_dim);
}

// visit(a head of the narrow matrix, one of its copies in the wide one, which of them it is).
template <class Visit>
void ForEachCopy(const kernels::Matrix& narrow, const kernels::Matrix& wide, const RepeatHeadsSaved& saved,
                 const Visit& visit) {
  for (int64_t head = 0; head < narrow.cols / saved.head_dim; ++head) {
    for (int64_t copy = 0; copy < saved.times; ++copy) {
      visit(HeadOf(narrow, head, saved.head_dim), HeadOf(wide, head * saved.times + copy, saved.head_dim), copy);
    }
  }
}

void RepeatHeadsBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0]);
  ForEachCopy(dx.matrix(), tape.GradientOf(node.output), node.As<RepeatHeadsSaved>(),
              [](const auto& head, const auto& dy, int64_t copy) { kernels::Copy(dy, head, copy > 0); });
}

std::vector<OpCase> RepeatHeadsCases() {
  constexpr int kRows = 6, kDim = 5;
  std::vector<OpCase> cases;
  for (const auto& [heads, times] : {std::pair{2, 3}, std::pair{1, 2}, std::pair{3, 1}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{} heads, each {} times", heads, times), 2, kRows / 2, {{kRows, heads * kDim}},
        [times = times](Tape& tape, const std::vector<Operand>& in) {
          return RepeatHeads(tape, in[0].tensor, kDim, times);
        },
        [times = times](const auto& in, auto& out) {
          for (int n = 0; n < out.rows; ++n) {
            for (int c = 0; c < out.cols; ++c) {
              out.v[n * out.cols + c] = in[0].v[n * in[0].cols + c / kDim / times * kDim + c % kDim];
            }
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kRepeatHeadsOp;
const OpDef kRepeatHeadsOp("repeat_heads", RepeatHeadsBackward, RepeatHeadsCases);

Tensor RepeatHeads(Tape& tape, const Tensor& x, int head_dim, int times) {
  OpTimer timer(tape, kRepeatHeadsOp);
  FLASHLM_CHECK(head_dim > 0 && times > 0 && x.cols % head_dim == 0, "heads of {} in {} columns, {} times", head_dim,
                x.cols, times);
  const Tensor y = tape.New(x.rows, x.cols * times, x.dtype);  // [N,K*times*D]
  const RepeatHeadsSaved saved{head_dim, times};
  ForEachCopy(x.matrix(), y.matrix(), saved,
              [](const auto& head, const auto& to, int64_t) { kernels::Copy(head, to, false); });
  tape.Record({&kRepeatHeadsOp, {x}, y, {}, tape.Keep(saved)});
  return y;
}

}  // namespace flashlm
