#include <cmath>

#include "audit/leaks.h"
#include "autograd/op_case.h"

namespace flashlm {
namespace {

constexpr double kEps = 1e-5;

struct Moments {
  float mean, inverse;  // 1 / deviation
};

struct NormOverTimeSaved {
  const Moments* moments;  // [batch, groups]
  Param bias;
  int batch, length, groups;
};

// Calls visit(b, g, first row, first column) for every group of every sequence.
template <class Visit>
void ForEachGroup(const NormOverTimeSaved& s, int cols, const Visit& visit) {
  for (int b = 0; b < s.batch; ++b) {
    for (int g = 0; g < s.groups; ++g) visit(b, g, int64_t{b} * s.length, g * (cols / s.groups));
  }
}

template <class T>
Moments MomentsOf(const kernels::Matrix& x, int64_t row, int length, int begin, int width) {
  double sum = 0, squares = 0;
  for (int t = 0; t < length; ++t) {
    const T* from = x.Row<T>(row + t) + begin;
    for (int c = 0; c < width; ++c) sum += ToFloat(from[c]);
  }
  const double count = static_cast<double>(length) * width, mean = sum / count;
  for (int t = 0; t < length; ++t) {
    const T* from = x.Row<T>(row + t) + begin;
    for (int c = 0; c < width; ++c) squares += (ToFloat(from[c]) - mean) * (ToFloat(from[c]) - mean);
  }
  return {static_cast<float>(mean), static_cast<float>(1 / std::sqrt(squares / count + kEps))};
}

void NormOverTimeBackward(Tape& tape, const Node& node) {
  const NormOverTimeSaved& s = node.As<NormOverTimeSaved>();
  const Tensor& x = node.inputs[0];
  GradientWriter writer(tape, x);
  const kernels::Matrix in = x.matrix(), dy = tape.GradientOf(node.output), dx = writer.matrix();
  const float* gain = tape.bank().Value(node.parameter);
  float *dgain = tape.ParamGradient(node.parameter), *dbias = tape.ParamGradient(s.bias);
  const int width = x.cols / s.groups;
  kernels::Dispatch(in.dtype, dy.dtype, [&]<class TX, class TY>() {
    ForEachGroup(s, x.cols, [&](int b, int g, int64_t row, int begin) {
      const Moments m = s.moments[b * s.groups + g];
      double sum = 0, along = 0;  // of gain * dy, and of that times the normed x
      for (int t = 0; t < s.length; ++t) {
        const TX* from = in.Row<TX>(row + t) + begin;
        const TY* up = dy.Row<TY>(row + t) + begin;
        for (int c = 0; c < width; ++c) {
          const float normed = (ToFloat(from[c]) - m.mean) * m.inverse, d = ToFloat(up[c]);
          sum += gain[begin + c] * d;
          along += gain[begin + c] * d * normed;
          dgain[begin + c] += d * normed;
          dbias[begin + c] += d;
        }
      }
      const double count = static_cast<double>(s.length) * width;
      const auto mean_sum = static_cast<float>(sum / count), mean_along = static_cast<float>(along / count);
      for (int t = 0; t < s.length; ++t) {
        const TX* from = in.Row<TX>(row + t) + begin;
        const TY* up = dy.Row<TY>(row + t) + begin;
        TX* to = dx.Row<TX>(row + t) + begin;
        for (int c = 0; c < width; ++c) {
          const float normed = (ToFloat(from[c]) - m.mean) * m.inverse;
          to[c] = FromFloat<TX>(m.inverse * (gain[begin + c] * ToFloat(up[c]) - mean_sum - normed * mean_along));
        }
      }
    });
  });
}

template <class S>
void Reference(int batch, int length, int groups, int cols, const S* x, const S* gain, const S* bias, S* y) {
  using std::sqrt;
  const int width = cols / groups;
  const S count = S(length * width);
  for (int b = 0; b < batch; ++b) {
    for (int g = 0; g < groups; ++g) {
      const auto at = [&](int i) { return (b * length + i / width) * cols + g * width + i % width; };
      S mean = 0, variance = 0;
      for (int i = 0; i < length * width; ++i) mean += x[at(i)] / count;
      for (int i = 0; i < length * width; ++i) variance += (x[at(i)] - mean) * (x[at(i)] - mean) / count;
      for (int i = 0; i < length * width; ++i) {
        const int column = g * width + i % width;
        y[at(i)] = (x[at(i)] - mean) / sqrt(variance + S(kEps)) * gain[column] + bias[column];
      }
    }
  }
}

std::vector<OpCase> NormOverTimeCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, cols, groups] : {std::tuple{2, 7, 12, 3}, std::tuple{1, 5, 8, 1}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}, {} groups", batch, length, cols, groups), batch, length,
        {{batch * length, cols, false, 1, 0.5}, {1, cols, true}, {1, cols, true}},
        [groups = groups](Tape& tape, const std::vector<Operand>& in) {
          return NormOverTime(tape, in[0].tensor, in[1].param, in[2].param, groups);
        },
        [batch = batch, length = length, cols = cols, groups = groups](const auto& in, auto& out) {
          Reference(batch, length, groups, cols, in[0].data(), in[1].data(), in[2].data(), out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kNormOverTimeOp;
const OpDef kNormOverTimeOp("norm_over_time", NormOverTimeBackward, NormOverTimeCases);

Tensor NormOverTime(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups) {
  OpTimer timer(tape, kNormOverTimeOp);
  FLASHLM_CHECK(gain.cols == x.cols && bias.cols == x.cols && x.cols % groups == 0,
                "norm over time of {} columns in {} groups, gain of {}", x.cols, groups, gain.cols);
  const Tensor y = tape.New(x.rows, x.cols, tape.dtype());  // [N,C]
  auto* moments = tape.Keep<Moments>(int64_t{tape.batch()} * groups);
  const NormOverTimeSaved saved{moments, bias, tape.batch(), tape.length(), groups};
  const float *gains = tape.bank().Value(gain), *biases = tape.bank().Value(bias);
  const int width = x.cols / groups;
  const kernels::Matrix in = x.matrix(), out = y.matrix();
  kernels::Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ForEachGroup(saved, x.cols, [&](int b, int g, int64_t row, int begin) {
      const Moments m = moments[b * groups + g] = MomentsOf<TX>(in, row, saved.length, begin, width);
      for (int t = 0; t < saved.length; ++t) {
        const TX* from = in.Row<TX>(row + t) + begin;
        TY* to = out.Row<TY>(row + t) + begin;
        for (int c = 0; c < width; ++c) {
          to[c] = FromFloat<TY>((ToFloat(from[c]) - m.mean) * m.inverse * gains[begin + c] + biases[begin + c]);
        }
      }
    });
  });
  tape.Uses(bias);
  tape.Record({&kNormOverTimeOp, {x}, y, gain, tape.Keep(saved)});
  return y;
}

}  // namespace flashlm
