#include "kernels/loss/loss.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/parallel.h"
#include "hwy/aligned_allocator.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss/loss.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/vector/max-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kRowsPerBlock = 8;  // tens of microseconds at V = 4096

// tanh to about 2 ulp (Cephes' tanhf): a polynomial where 1 - 2 / (e^2x + 1) would cancel. Logits far from their cap,
// nearly all, need the polynomial alone.
HWY_INLINE VF Tanh(DF d, VF x) {
  const VF square = hn::Mul(x, x);
  VF p = hn::Set(d, -5.70498872745e-3f);
  p = hn::MulAdd(p, square, hn::Set(d, 2.06390887954e-2f));
  p = hn::MulAdd(p, square, hn::Set(d, -5.37397155531e-2f));
  p = hn::MulAdd(p, square, hn::Set(d, 1.33314422036e-1f));
  p = hn::MulAdd(p, square, hn::Set(d, -3.33332819422e-1f));
  const VF small = hn::MulAdd(hn::Mul(p, square), x, x);
  const auto is_small = hn::Lt(hn::Abs(x), hn::Set(d, 0.625f));
  if (HWY_LIKELY(hn::AllTrue(d, is_small))) return small;
  const VF one = hn::Set(d, 1.0f);
  const VF e = Exp(d, hn::Add(x, x));
  const VF large = hn::NegMulAdd(hn::Set(d, 2.0f), hn::Div(one, hn::Add(e, one)), one);
  return hn::IfThenElse(is_small, small, large);
}

// z <- softcap tanh(z / softcap), if any. Returns the maximum.
HWY_INLINE float CapAndMax(float softcap, float* z, size_t cols) {
  if (softcap > 0) {
    const DF d;
    const VF cap = hn::Set(d, softcap), inverse = hn::Set(d, 1.0f / softcap);
    const auto capped = [=](VF v) { return hn::Mul(cap, Tanh(d, hn::Mul(v, inverse))); };
    MapRow(static_cast<int64_t>(cols), capped, z, z);
  }
  return MaxOf(z, cols);
}

// Of the numbers x_i = z_i - max.
struct Sums {
  float exp = 0;    // sum of e^x
  float exp_x = 0;  // sum of x e^x
};

// Stores e^x to `exps` [cols, rounded up to a vector] unless that is null.
HWY_INLINE Sums SumExp(const float* z, size_t cols, float max, float* exps) {
  const DF d;
  const VF shift = hn::Set(d, max), log2e = hn::Set(d, std::numbers::log2e_v<float>);
  VF sum[kUnroll], weighted[kUnroll];
  for (size_t u = 0; u < kUnroll; ++u) sum[u] = weighted[u] = hn::Zero(d);
  ForRow(z, cols, [&](size_t i, size_t u, VF v) {
    const VF y = hn::Mul(hn::Sub(v, shift), log2e);
    const VF e = Exp2(d, y);
    sum[u] = hn::Add(sum[u], e);
    weighted[u] = hn::MulAdd(e, y, weighted[u]);
    if (exps != nullptr) hn::Store(e, d, exps + i);
  });
  const auto total = [&](const VF* part) {
    return SumLanes(d, hn::Add(hn::Add(part[0], part[1]), hn::Add(part[2], part[3])));
  };
  return {total(sum), total(weighted) * std::numbers::ln2_v<float>};
}

struct RowResult {
  float max, log_sum;  // log of the sum of e^x
  float entropy;
  float share = 1;        // factor on the softmax's own gradient; less than 1 beside a second opinion
  int32_t unlikely = -1;  // the token that should not come next
  float slope = 0;        // weight * p du/dp of it
};

// u of the row's unlikely token; completes `row`.
HWY_INLINE float UnlikelihoodOf(const Unlikelihood& unlikely, int64_t r, const float* z, RowResult& row) {
  constexpr float kLargest = 0.99f, kEpsilon = 1e-8f;
  row.unlikely = unlikely.tokens[r];
  if (row.unlikely < 0) return 0;
  const float p = std::exp(z[row.unlikely] - row.max - row.log_sum);
  row.slope = p < kLargest ? unlikely.weight * p / (1.0f - p + kEpsilon) : 0.0f;
  return -std::log(1.0f - std::min(p, kLargest) + kEpsilon);
}

float LogOfSum(float a, float b) { return std::max(a, b) + std::log1p(std::exp(-std::abs(a - b))); }

// The row's -log p of the mixture, given that of the softmax; completes `row`.
float MixedNats(const Opinion& opinion, float gradient_scale, int64_t r, float nats, RowResult& row) {
  const float gate = opinion.gates[r];
  const float own = -LogOfSum(0, gate) - nats, other = -LogOfSum(0, -gate) + opinion.log_probs[r];
  const float log_p = LogOfSum(own, other);
  const float share = std::exp(own - log_p);  // of the softmax in the target's probability
  row.share = 1 - opinion.joint * (1 - share);
  if (opinion.dgates != nullptr) {
    opinion.dgates[r] = gradient_scale * (share - std::exp(-LogOfSum(0, gate)));  // g - (1 - share)
  }
  return -log_p;
}

// dL/dz = scale (r (p - onehot) + w p (log p + H) + s (onehot_unlikely - p)), s the slope, r the softmax's share, times
// dz/dlogit = 1 - (z / softcap)^2. The ones come last.
template <class T>
HWY_INLINE void GradRow(const LossShape& shape, const float* z, const float* exps, size_t cols, int32_t target,
                        const RowResult& row, T* dz) {
  const DF d;
  const float w = shape.entropy_weight;
  const VF p_scale = hn::Set(d, shape.gradient_scale * std::exp(-row.log_sum));
  // r + w (log p + H) - s = w (z - max) + offset
  const VF weight = hn::Set(d, w), offset = hn::Set(d, row.share - row.slope + w * (row.entropy - row.log_sum));
  const VF max = hn::Set(d, row.max);
  const float inverse_cap = shape.softcap > 0 ? 1.0f / shape.softcap : 0.0f;
  const VF inverse = hn::Set(d, inverse_cap), one = hn::Set(d, 1.0f);
  const bool capped = shape.softcap > 0;
  const auto gradient = [=](VF v, VF e) {
    VF g = hn::Mul(hn::Mul(e, p_scale), hn::MulAdd(weight, hn::Sub(v, max), offset));
    if (capped) {
      const VF ratio = hn::Mul(v, inverse);
      g = hn::Mul(g, hn::NegMulAdd(ratio, ratio, one));
    }
    return g;
  };
  MapRow(static_cast<int64_t>(cols), gradient, dz, z, exps);
  const auto with_one = [&](int32_t token, float one) {
    const float zt = z[token], slope = 1.0f - zt * inverse_cap * zt * inverse_cap;
    const float log_p = zt - row.max - row.log_sum, p = std::exp(log_p);
    dz[token] = FromFloat<T>(shape.gradient_scale * slope *
                             (p * row.share - p * row.slope + one + w * p * (log_p + row.entropy)));
  };
  if (row.unlikely >= 0) with_one(row.unlikely, row.slope);
  with_one(target, row.unlikely == target ? row.slope - row.share : -row.share);
}

// [cols], kept by the thread between calls.
float* ThreadExps(size_t cols) {
  thread_local hwy::AlignedFreeUniquePtr<float[]> memory;
  thread_local size_t capacity = 0;
  const size_t wanted = cols + HWY_MAX_BYTES / 4;
  if (wanted > capacity) {
    memory = hwy::AllocateAligned<float>(wanted);
    capacity = wanted;
  }
  return memory.get();
}

void NoTarget(int64_t r, float* ce, float* entropy, int32_t* argmax, const Matrix& dlogits,
              const Unlikelihood& unlikely, const Opinion& opinion) {
  if (ce != nullptr) ce[r] = 0;
  if (entropy != nullptr) entropy[r] = 0;
  if (argmax != nullptr) argmax[r] = 0;
  if (unlikely.tokens != nullptr) unlikely.nats[r] = 0;
  if (opinion.dgates != nullptr) opinion.dgates[r] = 0;
  if (dlogits.data == nullptr) return;
  std::memset(dlogits.Row<char>(r * static_cast<int64_t>(SizeOf(dlogits.dtype))), 0,
              static_cast<size_t>(dlogits.cols) * SizeOf(dlogits.dtype));
}

void CrossEntropy(const LossShape& shape, const Matrix& logits, const int32_t* targets, float* ce, float* entropy,
                  int32_t* argmax, const Matrix& dlogits, const Unlikelihood& unlikely, const Opinion& opinion) {
  const size_t cols = static_cast<size_t>(logits.cols);
  ParallelBlocks(logits.rows, kRowsPerBlock, [&](int64_t begin, int64_t end) {
    float* exps = dlogits.data != nullptr ? ThreadExps(cols) : nullptr;
    for (int64_t r = begin; r < end; ++r) {
      if (targets[r] < 0) {
        NoTarget(r, ce, entropy, argmax, dlogits, unlikely, opinion);
        continue;
      }
      float* z = logits.Row<float>(r);
      const float max = CapAndMax(shape.softcap, z, cols);
      const Sums sums = SumExp(z, cols, max, exps);
      RowResult row{max, std::log(sums.exp), std::log(sums.exp) - sums.exp_x / sums.exp};
      if (unlikely.tokens != nullptr) unlikely.nats[r] = UnlikelihoodOf(unlikely, r, z, row);
      float nats = row.log_sum - (z[targets[r]] - max);
      if (opinion.gates != nullptr) nats = MixedNats(opinion, shape.gradient_scale, r, nats, row);
      if (ce != nullptr) ce[r] = nats;
      if (entropy != nullptr) entropy[r] = row.entropy;
      if (argmax != nullptr) argmax[r] = static_cast<int32_t>(IndexOf(max, z, cols));
      if (dlogits.data == nullptr) continue;
      Dispatch(dlogits.dtype, [&]<class T>() { GradRow(shape, z, exps, cols, targets[r], row, dlogits.Row<T>(r)); });
    }
  });
}

void LogProbabilities(float softcap, const Matrix& logits) {
  const DF d;
  const size_t cols = static_cast<size_t>(logits.cols);
  ParallelBlocks(logits.rows, kRowsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* z = logits.Row<float>(r);
      const float max = CapAndMax(softcap, z, cols);
      const float log_sum = std::log(SumExp(z, cols, max, nullptr).exp);
      // First the maximum, exactly: added up, a large one would swallow the digits of log_sum.
      const auto log_p = [=](VF v) { return hn::Sub(hn::Sub(v, hn::Set(d, max)), hn::Set(d, log_sum)); };
      MapRow(logits.cols, log_p, z, z);
    }
  });
}

float RowSumOfPowers(const float* z, size_t n, float largest) { return SumExp(z, n, largest, nullptr).exp; }

// log x to about 2 ulp for normal x > 0 (Cephes' logf: x = 2^e (1 + r), r in [sqrt(1/2) - 1, sqrt(2) - 1)).
HWY_INLINE VF Log(DF d, VF x) {
  const DI di;
  const auto bits = hn::BitCast(di, x);
  const auto half_exponent = hn::Set(di, 126 << 23);
  VF exponent = hn::ConvertTo(d, hn::Sub(hn::ShiftRight<23>(bits), hn::Set(di, 126)));
  VF mantissa = hn::BitCast(d, hn::Or(hn::And(bits, hn::Set(di, 0x7fffff)), half_exponent));  // [1/2, 1)
  const auto below = hn::Lt(mantissa, hn::Set(d, 0.707106781f));
  exponent = hn::Sub(exponent, hn::IfThenElseZero(below, hn::Set(d, 1.0f)));
  const VF r = hn::Sub(hn::Add(mantissa, hn::IfThenElseZero(below, mantissa)), hn::Set(d, 1.0f));
  const VF square = hn::Mul(r, r);
  VF p = hn::Set(d, 7.0376836292e-2f);
  p = hn::MulAdd(p, r, hn::Set(d, -1.1514610310e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.1676998740e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, -1.2420140846e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.4249322787e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, -1.6668057665e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.0000714765e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, -2.4999993993e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 3.3333331174e-1f));
  VF y = hn::Mul(hn::Mul(p, r), square);
  y = hn::MulAdd(exponent, hn::Set(d, -2.12194440e-4f), y);
  y = hn::NegMulAdd(square, hn::Set(d, 0.5f), y);
  return hn::Add(hn::MulAdd(exponent, hn::Set(d, 0.693359375f), y), r);
}

void MixLogs(const Matrix& log_probs, const Matrix& others, const float* gates) {
  const DF d;
  ParallelBlocks(log_probs.rows, 1, [&](int64_t r, int64_t) {
    const float other = 1 / (1 + std::exp(-gates[r])), own = 1 / (1 + std::exp(gates[r]));
    const auto mixed = [=](VF z, VF q) {
      return Log(d, hn::MulAdd(hn::Set(d, other), q, hn::Mul(hn::Set(d, own), Exp(d, z))));
    };
    float* z = log_probs.Row<float>(r);
    MapRow(log_probs.cols, mixed, z, z, others.Row<float>(r));
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(CrossEntropy);
HWY_EXPORT(LogProbabilities);
HWY_EXPORT(MixLogs);
HWY_EXPORT(RowSumOfPowers);

// Calls f(index in [B,T], tau) for every position that has a target.
template <class F>
void ForTargets(int batch, int length, int horizon, const float* ce, const F& f) {
  for (int64_t b = 0; b < batch; ++b) {
    const float* row = ce + b * length;
    double window = 0;
    for (int t = 0; t < length; ++t) {
      window += row[t];
      const int first = t - horizon + 1;
      if (first < 0) continue;
      f(b * length + first, window / horizon);
      window -= row[first];
    }
  }
}

}  // namespace

void SoftmaxCrossEntropy(const LossShape& shape, const Matrix& logits, const int32_t* targets, float* ce,
                         float* entropy, int32_t* argmax, const Matrix& dlogits, const Unlikelihood& unlikely,
                         const Opinion& opinion) {
  FLASHLM_DISPATCH(CrossEntropy)(shape, logits, targets, ce, entropy, argmax, dlogits, unlikely, opinion);
}

void MixLogProbabilities(const Matrix& log_probs, const Matrix& others, const float* gates) {
  FLASHLM_DISPATCH(MixLogs)(log_probs, others, gates);
}

float SumOfPowers(const float* z, int64_t n, float largest) {
  return FLASHLM_DISPATCH(RowSumOfPowers)(z, static_cast<size_t>(n), largest);
}

void LogSoftmax(float softcap, const Matrix& logits) { FLASHLM_DISPATCH(LogProbabilities)(softcap, logits); }

double ValueLoss(int batch, int length, int horizon, const float* ce, const float* values, float gradient_scale,
                 float* dvalues, double* correlation) {
  if (dvalues != nullptr) std::fill(dvalues, dvalues + int64_t{batch} * length, 0.0f);
  if (correlation != nullptr) *correlation = 0;
  if (length < horizon || batch == 0) return 0;
  const double count = static_cast<double>(batch) * (length - horizon + 1);
  double squares = 0, value_sum = 0, target_sum = 0;
  ForTargets(batch, length, horizon, ce, [&](int64_t i, double target) {
    const double error = values[i] - target;
    squares += error * error;
    value_sum += values[i];
    target_sum += target;
    if (dvalues != nullptr) dvalues[i] = static_cast<float>(gradient_scale * 2 * error / count);
  });
  if (correlation == nullptr) return squares / count;

  const double value_mean = value_sum / count, target_mean = target_sum / count;
  double vv = 0, tt = 0, vt = 0;
  ForTargets(batch, length, horizon, ce, [&](int64_t i, double target) {
    const double v = values[i] - value_mean, t = target - target_mean;
    vv += v * v;
    tt += t * t;
    vt += v * t;
  });
  constexpr double kConstant = 1e-8;
  if (std::sqrt(vv / count) > kConstant && std::sqrt(tt / count) > kConstant) *correlation = vt / std::sqrt(vv * tt);
  return squares / count;
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
