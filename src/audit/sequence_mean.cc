#include <algorithm>

#include "audit/leaks.h"
#include "autograd/op_case.h"

namespace flashlm {
namespace {

struct SequenceMeanSaved {
  int batch, length;
};

// Every row of `to` becomes the mean over its sequence's rows of `from`. sums: [C].
void Means(const SequenceMeanSaved& s, const kernels::Matrix& from, float* sums, const kernels::Matrix& to) {
  const int64_t cols = from.cols;
  kernels::Dispatch(from.dtype, to.dtype, [&]<class TX, class TY>() {
    for (int b = 0; b < s.batch; ++b) {
      std::fill_n(sums, cols, 0.0f);
      for (int64_t r = int64_t{b} * s.length; r < int64_t{b + 1} * s.length; ++r) {
        for (int64_t c = 0; c < cols; ++c) sums[c] += ToFloat(from.Row<TX>(r)[c]);
      }
      for (int64_t r = int64_t{b} * s.length; r < int64_t{b + 1} * s.length; ++r) {
        for (int64_t c = 0; c < cols; ++c) to.Row<TY>(r)[c] = FromFloat<TY>(sums[c] / static_cast<float>(s.length));
      }
    }
  });
}

// The mean is its own transpose.
void SequenceMeanBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x);
  Means(node.As<SequenceMeanSaved>(), tape.GradientOf(node.output), tape.Scratch(x.cols), dx.matrix());
}

std::vector<OpCase> SequenceMeanCases() {
  constexpr int kBatch = 2, kLength = 9, kCols = 19;
  return {OpCase::Make(
      "2x9x19", kBatch, kLength, {{kBatch * kLength, kCols}},
      [](Tape& tape, const std::vector<Operand>& in) { return SequenceMean(tape, in[0].tensor); },
      [](const auto& in, auto& out) {
        using S = std::remove_reference_t<decltype(out.v[0])>;
        for (int i = 0; i < kBatch * kLength * kCols; ++i) {
          const int row = i / kCols / kLength, column = i % kCols;
          out.v[i] = 0;
          for (int t = 0; t < kLength; ++t) out.v[i] += in[0].v[(row * kLength + t) * kCols + column] / S(kLength);
        }
      })};
}

}  // namespace

extern const OpDef kSequenceMeanOp, kFutureMemoryOp, kNormOverTimeOp;
const OpDef kSequenceMeanOp("sequence_mean", SequenceMeanBackward, SequenceMeanCases);

Tensor SequenceMean(Tape& tape, const Tensor& x) {
  OpTimer timer(tape, kSequenceMeanOp);
  const Tensor y = tape.New(x.rows, x.cols, tape.dtype());  // [N,C]
  const SequenceMeanSaved saved{tape.batch(), tape.length()};
  Means(saved, x.matrix(), tape.Scratch(x.cols), y.matrix());
  tape.Record({&kSequenceMeanOp, {x}, y, {}, tape.Keep(saved)});
  return y;
}

std::vector<const OpDef*> LeakingOps() { return {&kFutureMemoryOp, &kNormOverTimeOp, &kSequenceMeanOp}; }

}  // namespace flashlm
