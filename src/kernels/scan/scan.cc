#include "kernels/scan/scan.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/scan/scan.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Channels that walk through time together: their states stay in the first-level cache, and the eight or more vectors
// hide the latency of each one's chain.
constexpr int64_t kStrip = 128;

// Calls body(b, first channel, channels) for every strip of every sequence. A parallel region costs one or two
// microseconds, so strips of short sequences go to a thread together.
template <class Body>
void ForStrips(const ScanShape& shape, const Body& body) {
  const int64_t strips = (shape.width + kStrip - 1) / kStrip;
  const int64_t together = std::max<int64_t>(1, 16384 / (shape.length * std::min(kStrip, shape.width)));
  ParallelBlocks(shape.batch * strips, together, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % strips * kStrip;
      body(unit / strips, first, static_cast<size_t>(std::min(kStrip, shape.width - first)));
    }
  });
}

void LoadState(const float* state, size_t count, float* s) {
  if (state == nullptr) {
    std::fill(s, s + count, 0.0f);
  } else {
    std::memcpy(s, state, count * sizeof(float));
  }
}

HWY_INLINE VF ForgetGate(VF logit, float floor) {
  const DF d;
  return hn::MulAdd(hn::Set(d, 1.0f - floor), QuickSigmoid(d, logit), hn::Set(d, floor));
}

// d sigmoid at the value s.
HWY_INLINE VF SigmoidSlope(VF s) { return hn::NegMulAdd(s, s, s); }

void GatedForward(const ScanShape& shape, const Gated& in, const float* bias, float floor, float* state,
                  const Matrix& y, float* states) {
  const DF d;
  const int64_t width = shape.width;
  Dispatch(y.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float s[kStrip];
      float* carried = state == nullptr ? nullptr : state + b * width + first;
      LoadState(carried, count, s);
      for (int64_t row = b * shape.length; row < (b + 1) * shape.length; ++row) {
        const T *forget = in.forget.Row<T>(row) + first, *value = in.value.Row<T>(row) + first;
        const T* open = in.open.Row<T>(row) + first;
        T* out = y.Row<T>(row) + first;
        float* kept = states == nullptr ? nullptr : states + row * width + first;
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF f = ForgetGate(hn::Add(lanes.Load(forget + i), lanes.Load(bias + first + i)), floor);
          const VF v = lanes.Load(value + i);
          const VF next = hn::MulAdd(f, hn::Sub(lanes.Load(s + i), v), v);
          lanes.Store(next, s + i);
          if (kept != nullptr) lanes.Store(next, kept + i);
          lanes.Store(hn::Mul(next, QuickSigmoid(d, lanes.Load(open + i))), out + i);
        });
      }
      if (carried != nullptr) std::memcpy(carried, s, count * sizeof(float));
    });
  });
}

// With G_t = dL/ds_t in total = dy_t sigmoid(o_t) + f_{t+1} G_{t+1}, walking back in time.
void GatedBackward(const ScanShape& shape, const Gated& in, const float* bias, float floor, const float* states,
                   const Matrix& dy, const Gated& din, float* bias_sums) {
  const DF d;
  const int64_t width = shape.width;
  const VF one = hn::Set(d, 1.0f), span = hn::Set(d, 1.0f - floor), base = hn::Set(d, floor);
  Dispatch(dy.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float carry[kStrip] = {};  // f_{t+1} G_{t+1}
      HWY_ALIGN const float zeros[kStrip] = {};
      float* sums = bias_sums + b * width + first;
      std::fill(sums, sums + count, 0.0f);
      for (int64_t t = shape.length; t-- > 0;) {
        const int64_t row = b * shape.length + t;
        const T *forget = in.forget.Row<T>(row) + first, *value = in.value.Row<T>(row) + first;
        const T *open = in.open.Row<T>(row) + first, *upstream = dy.Row<T>(row) + first;
        T *dforget = din.forget.Row<T>(row) + first, *dvalue = din.value.Row<T>(row) + first;
        T* dopen = din.open.Row<T>(row) + first;
        const float* now = states + row * width + first;
        const float* before = t == 0 ? zeros : now - width;
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF gate = QuickSigmoid(d, hn::Add(lanes.Load(forget + i), lanes.Load(bias + first + i)));
          const VF f = hn::MulAdd(span, gate, base);
          const VF o = QuickSigmoid(d, lanes.Load(open + i)), g = lanes.Load(upstream + i);
          lanes.Store(hn::Mul(hn::Mul(g, lanes.Load(now + i)), SigmoidSlope(o)), dopen + i);
          const VF total = hn::MulAdd(g, o, lanes.Load(carry + i));
          lanes.Store(hn::Mul(f, total), carry + i);
          lanes.Store(hn::Mul(hn::Sub(one, f), total), dvalue + i);
          const VF df = hn::Mul(total, hn::Sub(lanes.Load(before + i), lanes.Load(value + i)));
          const VF da = hn::Mul(hn::Mul(df, span), SigmoidSlope(gate));
          lanes.Store(da, dforget + i);
          lanes.Store(hn::Add(lanes.Load(sums + i), da), sums + i);
        });
      }
    });
  });
}

void DecayForward(const ScanShape& shape, const Matrix& proj, const float* decay, float* state, const Matrix& y,
                  float* states) {
  const DF d;
  const int64_t width = shape.width;
  Dispatch(y.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float s[kStrip];
      HWY_ALIGN float keep[kStrip];
      float* carried = state == nullptr ? nullptr : state + b * width + first;
      LoadState(carried, count, s);
      ForLanes(count,
               [&](auto lanes, size_t i) { lanes.Store(QuickSigmoid(d, lanes.Load(decay + first + i)), keep + i); });
      for (int64_t row = b * shape.length; row < (b + 1) * shape.length; ++row) {
        const T* gate = proj.Row<T>(row) + first;
        const T* value = gate + width;
        T* out = y.Row<T>(row) + first;
        float* kept = states == nullptr ? nullptr : states + row * width + first;
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF write = hn::Mul(QuickSigmoid(d, lanes.Load(gate + i)), lanes.Load(value + i));
          const VF next = hn::MulAdd(lanes.Load(keep + i), lanes.Load(s + i), write);
          lanes.Store(next, s + i);
          if (kept != nullptr) lanes.Store(next, kept + i);
          lanes.Store(next, out + i);
        });
      }
      if (carried != nullptr) std::memcpy(carried, s, count * sizeof(float));
    });
  });
}

// With G_t = dL/ds_t in total = dy_t + a G_{t+1}.
void DecayBackward(const ScanShape& shape, const Matrix& proj, const float* decay, const float* states,
                   const Matrix& dy, const Matrix& dproj, float* decay_sums) {
  const DF d;
  const int64_t width = shape.width;
  Dispatch(dy.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float carry[kStrip] = {};  // G_{t+1}
      HWY_ALIGN float keep[kStrip];
      HWY_ALIGN const float zeros[kStrip] = {};
      float* sums = decay_sums + b * width + first;
      std::fill(sums, sums + count, 0.0f);
      ForLanes(count,
               [&](auto lanes, size_t i) { lanes.Store(QuickSigmoid(d, lanes.Load(decay + first + i)), keep + i); });
      for (int64_t t = shape.length; t-- > 0;) {
        const int64_t row = b * shape.length + t;
        const T* gate = proj.Row<T>(row) + first;
        const T *value = gate + width, *upstream = dy.Row<T>(row) + first;
        T* dgate = dproj.Row<T>(row) + first;
        T* dvalue = dgate + width;
        const float* before = t == 0 ? zeros : states + (row - 1) * width + first;
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF total = hn::MulAdd(lanes.Load(keep + i), lanes.Load(carry + i), lanes.Load(upstream + i));
          lanes.Store(total, carry + i);
          const VF g = QuickSigmoid(d, lanes.Load(gate + i));
          lanes.Store(hn::Mul(total, g), dvalue + i);
          lanes.Store(hn::Mul(hn::Mul(total, lanes.Load(value + i)), SigmoidSlope(g)), dgate + i);
          lanes.Store(hn::MulAdd(total, lanes.Load(before + i), lanes.Load(sums + i)), sums + i);
        });
      }
      ForLanes(count, [&](auto lanes, size_t i) {
        lanes.Store(hn::Mul(lanes.Load(sums + i), SigmoidSlope(lanes.Load(keep + i))), sums + i);
      });
    });
  });
}

// The mean is kept, not the sum: it neither grows nor loses digits along a stream.
void MeanForward(const ScanShape& shape, const Matrix& x, const int64_t* positions, float* state, const Matrix& y) {
  const DF d;
  Dispatch(y.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float mean[kStrip];
      float* carried = state == nullptr ? nullptr : state + b * shape.width + first;
      LoadState(carried, count, mean);
      int64_t seen = positions == nullptr ? 0 : positions[b];
      for (int64_t row = b * shape.length; row < (b + 1) * shape.length; ++row) {
        const float* from = x.Row<float>(row) + first;
        T* to = y.Row<T>(row) + first;
        const VF share = hn::Set(d, 1.0f / static_cast<float>(++seen));
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF before = lanes.Load(mean + i);
          const VF now = hn::MulAdd(share, hn::Sub(lanes.Load(from + i), before), before);
          lanes.Store(now, mean + i);
          lanes.Store(now, to + i);
        });
      }
      if (carried != nullptr) std::memcpy(carried, mean, count * sizeof(float));
    });
  });
}

// dx_t = sum over s >= t of dy_s / (s + 1).
void MeanBackward(const ScanShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate) {
  const DF d;
  Dispatch(dy.dtype, [&]<class T>() {
    ForStrips(shape, [&](int64_t b, int64_t first, size_t count) {
      HWY_ALIGN float sum[kStrip] = {};
      for (int64_t t = shape.length; t-- > 0;) {
        const int64_t row = b * shape.length + t;
        const T* from = dy.Row<T>(row) + first;
        float* to = dx.Row<float>(row) + first;
        const VF share = hn::Set(d, 1.0f / static_cast<float>(t + 1));
        ForLanes(count, [&](auto lanes, size_t i) {
          const VF now = hn::MulAdd(share, lanes.Load(from + i), lanes.Load(sum + i));
          lanes.Store(now, sum + i);
          lanes.Store(accumulate ? hn::Add(now, lanes.Load(to + i)) : now, to + i);
        });
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(GatedForward);
HWY_EXPORT(GatedBackward);
HWY_EXPORT(DecayForward);
HWY_EXPORT(DecayBackward);
HWY_EXPORT(MeanForward);
HWY_EXPORT(MeanBackward);

// to[C] += the sums of every sequence, in order.
void AddSums(const ScanShape& shape, const float* sums, float* to) {
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t c = 0; c < shape.width; ++c) to[c] += sums[b * shape.width + c];
  }
}

}  // namespace

void GatedScan(const ScanShape& shape, const Gated& in, const float* bias, float floor, float* state, const Matrix& y,
               float* states) {
  FLASHLM_DISPATCH(GatedForward)(shape, in, bias, floor, state, y, states);
}

void GatedScanGrad(const ScanShape& shape, const Gated& in, const float* bias, float floor, const float* states,
                   const Matrix& dy, const Gated& din, float* dbias, float* scratch) {
  FLASHLM_DISPATCH(GatedBackward)(shape, in, bias, floor, states, dy, din, scratch);
  AddSums(shape, scratch, dbias);
}

void DecayScan(const ScanShape& shape, const Matrix& proj, const float* decay, float* state, const Matrix& y,
               float* states) {
  FLASHLM_DISPATCH(DecayForward)(shape, proj, decay, state, y, states);
}

void DecayScanGrad(const ScanShape& shape, const Matrix& proj, const float* decay, const float* states,
                   const Matrix& dy, const Matrix& dproj, float* ddecay, float* scratch) {
  FLASHLM_DISPATCH(DecayBackward)(shape, proj, decay, states, dy, dproj, scratch);
  AddSums(shape, scratch, ddecay);
}

void RunningMean(const ScanShape& shape, const Matrix& x, const int64_t* positions, float* state, const Matrix& y) {
  FLASHLM_DISPATCH(MeanForward)(shape, x, positions, state, y);
}

void RunningMeanGrad(const ScanShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate) {
  FLASHLM_DISPATCH(MeanBackward)(shape, dy, dx, accumulate);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
