#include <algorithm>
#include <cmath>
#include <complex>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/attention/differential.h"
#include "kernels/norm/ref.h"

namespace flashlm {
namespace {

// lambda = 0.8 exp(mean(lambda_q) - mean(lambda_k)), held in [0.1, 2].
constexpr double kStart = 0.8, kLeast = 0.1, kMost = 2.0;

struct DifferentialHeadsSaved {
  Param lambda_q, lambda_k;
  int head_dim;
  float lambda;
  bool held;             // at a bound, where it has no slope
  const float* inv_rms;  // [N,H]
};

double Mean(const float* values, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += values[i];
  return sum / static_cast<double>(n);
}

int64_t Size(const Param& p) { return int64_t{p.rows} * p.cols; }

void DifferentialHeadsBackward(Tape& tape, const Node& node) {
  const DifferentialHeadsSaved& saved = node.As<DifferentialHeadsSaved>();
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x);
  float* scratch = tape.Scratch(kernels::DifferentialGradScratch(x.rows));
  const float dlambda = kernels::DifferentialGrad(x.matrix(), saved.lambda, saved.head_dim, node.output.matrix(),
                                                  saved.inv_rms, tape.GradientOf(node.output), dx.matrix(), scratch);
  if (saved.held) return;
  const int64_t n = Size(saved.lambda_q);
  const float each = dlambda * saved.lambda / static_cast<float>(n);
  float *dq = tape.ParamGradient(saved.lambda_q), *dk = tape.ParamGradient(saved.lambda_k);
  for (int64_t i = 0; i < n; ++i) {
    dq[i] += each;
    dk[i] -= each;
  }
}

// lambda_q is drawn around `offset`, so that lambda may be held at a bound.
OpCase Case(const char* name, double offset) {
  return OpCase::Make(
      name, 1, 35, {{35, 2 * 3 * 10}, {3, 10, true, 0.3, offset}, {3, 10, true, 0.3}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return DifferentialHeads(tape, in[0].tensor, in[1].param, in[2].param, 3);
      },
      [](const auto& in, auto& out) {
        auto lambda = in[1].v[0] * 0.0;
        for (int i = 0; i < 30; ++i) lambda += (in[1].v[i] - in[2].v[i]) / 30.0;
        using std::exp;
        lambda = kStart * exp(lambda);
        if (std::real(lambda) > kMost) lambda = kMost;
        if (std::real(lambda) < kLeast) lambda = kLeast;
        auto z = out.v, ones = out.v;
        ones.assign(10, 1.0);
        for (int i = 0; i < 35 * 30; ++i) {
          const int first = i / 30 * 60 + i % 30;
          z[i] = in[0].v[first] - lambda * in[0].v[first + 30];
        }
        kernels::ref::RmsNorm(z.data(), ones.data(), 1e-6, 35 * 3, 10, out.data());
      });
}

std::vector<OpCase> DifferentialHeadsCases() {
  return {Case("3 heads x 10", 0.0), Case("lambda held at 2", 1.5), Case("lambda held at 0.1", -2.5)};
}

}  // namespace

extern const OpDef kDifferentialHeadsOp;
const OpDef kDifferentialHeadsOp("differential_heads", DifferentialHeadsBackward, DifferentialHeadsCases);

Tensor DifferentialHeads(Tape& tape, const Tensor& x, const Param& lambda_q, const Param& lambda_k, int heads) {
  OpTimer timer(tape, kDifferentialHeadsOp);
  FLASHLM_CHECK(x.cols % (2 * heads) == 0 && Size(lambda_q) == Size(lambda_k),
                "two softmaxes of {} heads over {} columns", heads, x.cols);
  const double free = kStart * std::exp(Mean(tape.bank().Value(lambda_q), Size(lambda_q)) -
                                        Mean(tape.bank().Value(lambda_k), Size(lambda_k)));
  const double lambda = std::clamp(free, kLeast, kMost);
  const Tensor y = tape.New(x.rows, x.cols / 2, x.dtype);  // [N,H*D]
  float* inv_rms = tape.training() ? tape.Keep<float>(int64_t{x.rows} * heads) : nullptr;
  const DifferentialHeadsSaved saved{lambda_q,       lambda_k, y.cols / heads, static_cast<float>(lambda),
                                     lambda != free, inv_rms};
  kernels::Differential(x.matrix(), saved.lambda, saved.head_dim, y.matrix(), inv_rms);
  tape.Uses(saved.lambda_q);
  tape.Uses(saved.lambda_k);
  tape.Record({&kDifferentialHeadsOp, {x}, y, {}, tape.Keep(saved)});
  return y;
}

}  // namespace flashlm
