#include "kernels/reasoning/reasoning.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/reasoning/plan.h"
#include "kernels/simd.h"
#include "kernels/ternary/ternary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reasoning/reasoning.cc"
#include "hwy/foreach_target.h"
#include "kernels/reasoning/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The forward pass of one block of tokens.
class ForwardBlock {
 public:
  ForwardBlock(const ReasoningShape& shape, const ReasoningPack& pack, const ReasoningPlan& plan, int64_t b)
      : shape_(shape),
        pack_(pack),
        plan_(plan),
        b_(b),
        first_(b * plan.block),
        tokens_(std::min(plan.block, shape.rows - first_)),
        r_(plan.r),
        k_(plan.k),
        s_(plan.s),
        states_(plan.states + b * plan.states_per_block * r_),
        quantized_(plan.quantized + b * plan.states_per_block * r_),
        sums_(plan.sums + b * plan.sums_per_block) {
    std::fill_n(sums_, plan.sums_per_block, 0.0f);
  }

  template <class T>
  void Run(const Matrix& r, const Matrix& y) {
    float* exits = plan_.exits + first_ * r_;
    // The exits hold the input until depths are known, and rows sorted.
    for (int64_t i = 0; i < tokens_; ++i) {
      const T* from = r.Row<T>(first_ + i);
      for (int64_t c = 0; c < r_; ++c) exits[i * r_ + c] = c < shape_.width ? ToFloat(from[c]) : 0.0f;
    }
    ChooseDepths(exits);
    SortRows();
    const int32_t* order = plan_.order + first_;
    for (int64_t i = 0; i < tokens_; ++i) std::memcpy(states_ + i * r_, exits + order[i] * r_, r_ * sizeof(float));
    const int32_t* counts = Counts();
    for (int pass = 0; pass < plan_.passes && counts[pass] > 0; ++pass) {
      const PassRows rows = plan_.Pass(b_, pass);
      Pass(pass, rows);
      const int64_t stay = counts[pass + 1];
      std::memcpy(exits + stay * r_, states_ + (rows.out + stay) * r_,
                  static_cast<size_t>((rows.count - stay) * r_) * sizeof(float));
    }
    Write();
    Store<T>(y);
  }

 private:
  int32_t* Counts() const { return plan_.counts + b_ * (kMaxReasoningDepth + 1); }

  void Quantize(int64_t first, int64_t count) {
    if (!plan_.int8) return;
    QuantizeRows({states_ + first * r_, DType::kF32, count, shape_.width, r_},
                 {quantized_ + first * r_, DType::kF32, count, shape_.width, r_},
                 plan_.quantized_scales + b_ * plan_.states_per_block + first);
  }

  void ChooseDepths(const float* inputs) {
    if (shape_.depth > 0) return;
    HWY_ALIGN float rounded[4096];
    for (int64_t i = 0; i < tokens_; ++i) {
      const float* x = inputs + i * r_;
      float scale = pack_.classifier_scale;
      if (plan_.int8) {
        float row_scale;
        QuantizeRows({const_cast<float*>(x), DType::kF32, 1, shape_.width, r_},
                     {rounded, DType::kF32, 1, shape_.width, r_}, &row_scale);
        x = rounded;
        scale *= row_scale;
      }
      float* weights = plan_.blend + (first_ + i) * kDepthChoices;
      int chosen = 0;
      for (int d = 0; d < kDepthChoices; ++d) {
        weights[d] = scale * Dot(x, pack_.classifier + d * r_, shape_.width);
        if (shape_.training && shape_.noise > 0) {
          weights[d] += shape_.noise * GumbelNoise(shape_.key, shape_.step, first_ + i, d);
        }
        if (weights[d] > weights[chosen]) chosen = d;
      }
      plan_.choice[first_ + i] = chosen;
      const float largest = weights[chosen];
      float sum = 0;
      for (int d = 0; d <= chosen; ++d) sum += weights[d] = std::exp(weights[d] - largest);
      for (int d = 0; d < kDepthChoices; ++d) weights[d] = d <= chosen ? weights[d] / sum : 0.0f;
    }
  }

  // Rows deepest first, in the order of their tokens otherwise.
  void SortRows() {
    int32_t* order = plan_.order + first_;
    int32_t* counts = Counts();
    std::fill_n(counts, kMaxReasoningDepth + 1, 0);
    int32_t row = 0;
    for (int d = kDepthChoices - 1; d >= 0; --d) {
      for (int64_t i = 0; i < tokens_; ++i) {
        if (shape_.depth == 0 && plan_.choice[first_ + i] == d) order[row++] = static_cast<int32_t>(i);
      }
      if (shape_.depth == 0) std::fill_n(counts, kReasoningDepths[static_cast<size_t>(d)], row);
    }
    if (shape_.depth > 0) {
      for (int64_t i = 0; i < tokens_; ++i) order[i] = static_cast<int32_t>(i);
      std::fill_n(counts, shape_.depth, static_cast<int32_t>(tokens_));
    }
  }

  void Pass(int pass, const PassRows& rows) {
    Quantize(rows.in, rows.count);
    const int64_t visit = b_ * plan_.visits_per_block + rows.visit;
    const float* x = states_ + rows.in * r_;
    const float* q = quantized_ + rows.in * r_;
    const float* q_scales = plan_.int8 ? plan_.quantized_scales + b_ * plan_.states_per_block + rows.in : nullptr;
    Route(pass, rows.count, visit, q, q_scales);
    const RowList all{rows.count};
    float* mixed = plan_.mixed + visit * r_;
    std::fill_n(mixed, rows.count * r_, 0.0f);
    const int32_t* offsets = plan_.Offsets(b_, pass);
    for (int j = 0; j < shape_.operations; ++j) {
      const int64_t begin = 2 * visit + offsets[j];
      const RowList chosen{offsets[j + 1] - offsets[j], plan_.list_rows + begin, plan_.list_weights + begin,
                           pack_.operation_scales[j]};
      RowsProduct(chosen, q, r_, pack_.operation_t + int64_t{j} * shape_.width * r_, r_, shape_.width, mixed, r_, true);
    }
    float* address = plan_.address + visit * s_;
    RowsProduct(all, x, r_, pack_.read_t, s_, shape_.width, address, s_, false);
    for (int64_t i = 0; i < rows.count; ++i) SoftmaxRow(address + i * s_, shape_.slots);
    float* normal = plan_.normal + visit * r_;
    RowsProduct(all, mixed, r_, pack_.mix_o_t, r_, shape_.width, normal, r_, false);
    RowsProduct(all, address, s_, pack_.mix_m_t, r_, shape_.slots, normal, r_, true);
    for (int64_t i = 0; i < rows.count; ++i) {
      plan_.inverse[visit + i] = Normalize(x + i * r_, normal + i * r_, states_ + (rows.out + i) * r_);
    }
  }

  // Router probabilities, the two choices of each row and their weights, and the rows by operation.
  void Route(int pass, int64_t count, int64_t visit, const float* q, const float* q_scales) {
    float* router = plan_.router + visit * k_;
    RowsProduct({count, nullptr, nullptr, pack_.router_scale}, q, r_, pack_.router_t, k_, shape_.width, router, k_,
                false);
    int32_t* picks = plan_.picks + 2 * visit;
    float* weights = plan_.weights + 2 * visit;
    int32_t* offsets = plan_.Offsets(b_, pass);
    std::fill_n(offsets, k_ + 1, 0);
    for (int64_t i = 0; i < count; ++i) {
      float* p = router + i * k_;
      if (q_scales != nullptr) {
        for (int j = 0; j < shape_.operations; ++j) p[j] *= q_scales[i];
      }
      int first = p[1] > p[0] ? 1 : 0, second = 1 - first;
      for (int j = 2; j < shape_.operations; ++j) {
        if (p[j] > p[first]) {
          second = first;
          first = j;
        } else if (p[j] > p[second]) {
          second = j;
        }
      }
      const float odds = std::exp(p[second] - p[first]);
      weights[2 * i] = 1.0f / (1.0f + odds);
      weights[2 * i + 1] = odds / (1.0f + odds);
      picks[2 * i] = first;
      picks[2 * i + 1] = second;
      ++offsets[first + 1];
      ++offsets[second + 1];
      if (!shape_.training) continue;
      SoftmaxRow(p, shape_.operations);
      for (int j = 0; j < shape_.operations; ++j) sums_[j] += p[j];
      sums_[k_ + first] += 1;
      sums_[k_ + second] += 1;
    }
    for (int64_t j = 0; j < k_; ++j) offsets[j + 1] += offsets[j];
    FillLists(count, visit, picks, weights, offsets, q_scales);
  }

  void FillLists(int64_t count, int64_t visit, const int32_t* picks, const float* weights, const int32_t* offsets,
                 const float* q_scales) {
    int32_t next[4096];
    std::copy_n(offsets, shape_.operations, next);
    for (int64_t i = 0; i < count; ++i) {
      for (int c = 0; c < 2; ++c) {
        const int64_t entry = 2 * visit + next[picks[2 * i + c]]++;
        plan_.list_rows[entry] = static_cast<int32_t>(i);
        plan_.list_choice[entry] = c;
        plan_.list_weights[entry] = weights[2 * i + c] * (q_scales == nullptr ? 1.0f : q_scales[i]);
      }
    }
  }

  // normal <- (x + normal) without mean and deviation; y <- normal * gain + bias. Returns 1 / deviation.
  float Normalize(const float* x, float* normal, float* y) const {
    const int64_t n = shape_.width;
    AddScaledRow(1.0f, x, n, normal);
    float sum = 0;
    for (int64_t c = 0; c < n; ++c) sum += normal[c];
    const float mean = sum / static_cast<float>(n);
    for (int64_t c = 0; c < n; ++c) normal[c] -= mean;
    const float inverse = 1.0f / std::sqrt(Dot(normal, normal, n) / static_cast<float>(n) + 1e-5f);
    for (int64_t c = 0; c < n; ++c) {
      normal[c] *= inverse;
      y[c] = normal[c] * pack_.gain[c] + pack_.bias[c];
    }
    return inverse;
  }

  // z of every row's last state.
  void Write() {
    const RowList all{tokens_};
    const float* exits = plan_.exits + first_ * r_;
    float* values = plan_.values + first_ * r_;
    float* written = plan_.written + first_ * r_;
    float* address = plan_.write_address + first_ * s_;
    RowsProduct(all, exits, r_, pack_.value_t, r_, shape_.width, values, r_, false);
    RowsProduct(all, exits, r_, pack_.write_t, s_, shape_.width, address, s_, false);
    for (int64_t i = 0; i < tokens_; ++i) SoftmaxRow(address + i * s_, shape_.slots);
    RowsProduct({tokens_, nullptr, nullptr, 0.1f}, address, s_, pack_.slot, r_, shape_.slots, written, r_, false);
    float* mean_address = sums_ + 2 * k_;
    float* mean_write = mean_address + s_;
    for (int64_t i = 0; i < tokens_; ++i) {
      const float gate = 1.0f / (1.0f + std::exp(-Dot(exits + i * r_, pack_.gate, shape_.width)));
      plan_.gates[first_ + i] = gate;
      AddScaledRow(gate, values + i * r_, shape_.width, written + i * r_);
      if (!shape_.training) continue;
      AddScaledRow(1.0f, address + i * s_, shape_.slots, mean_address);
      AddScaledRow(1.0f, written + i * r_, shape_.width, mean_write);
    }
  }

  template <class T>
  void Store(const Matrix& y) const {
    const bool blend = shape_.Blends();
    const int64_t n = shape_.width;
    HWY_ALIGN float row[4096];
    for (int64_t i = 0; i < tokens_; ++i) {
      const int64_t token = first_ + plan_.order[first_ + i];
      if (blend) {
        std::fill_n(row, n, 0.0f);
        for (int d = 0; d <= plan_.choice[token]; ++d) {
          const int64_t state = plan_.Pass(b_, kReasoningDepths[static_cast<size_t>(d)] - 1).out + i;
          AddScaledRow(plan_.blend[token * kDepthChoices + d], states_ + state * r_, n, row);
        }
      } else {
        std::copy_n(plan_.exits + (first_ + i) * r_, n, row);
      }
      AddScaledRow(pack_.kappa, plan_.written + (first_ + i) * r_, n, row);
      T* to = y.Row<T>(token);
      for (int64_t c = 0; c < n; ++c) to[c] = FromFloat<T>(row[c]);
    }
  }

  const ReasoningShape& shape_;
  const ReasoningPack& pack_;
  const ReasoningPlan& plan_;
  int64_t b_, first_, tokens_, r_, k_, s_;
  float *states_, *quantized_, *sums_;
};

void ReasoningForward(const ReasoningShape& shape, const ReasoningPack& pack, const ReasoningPlan& plan,
                      const Matrix& r, const Matrix& y) {
  Dispatch(r.dtype, [&]<class T>() {
    ParallelFor(plan.blocks, [&](int64_t b) { ForwardBlock(shape, pack, plan, b).Run<T>(r, y); });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(ReasoningForward);

// to [cols, stride] <- from [rows, cols] transposed; the padding stays zero.
void Transpose(const float* from, int64_t rows, int64_t cols, int64_t from_stride, float* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) to[j * stride + i] = from[i * from_stride + j];
  }
}

void CopyRows(const float* from, int64_t rows, int64_t cols, int64_t from_stride, float* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) std::copy_n(from + i * from_stride, cols, to + i * stride);
}

void AllocatePack(const ReasoningShape& shape, ReasoningPack& pack) {
  pack.width = shape.width, pack.operations = shape.operations, pack.slots = shape.slots;
  const int64_t n = shape.width, r = PadTo16(n), k = PadTo16(shape.operations), s = PadTo16(shape.slots);
  pack.r = r, pack.k = k, pack.s = s;
  const auto carve = [&](float* memory) {
    Carver carver(memory);
    for (auto [piece, size] : {std::pair{&pack.router, shape.operations * r},
                               {&pack.router_t, n * k},
                               {&pack.operation, shape.operations * n * r},
                               {&pack.operation_t, shape.operations * n * r},
                               {&pack.classifier, kDepthChoices * r},
                               {&pack.read, shape.slots * r},
                               {&pack.read_t, n * s},
                               {&pack.mix_o, n * r},
                               {&pack.mix_o_t, n * r},
                               {&pack.mix_m, n * s},
                               {&pack.mix_m_t, shape.slots * r},
                               {&pack.gain, r},
                               {&pack.bias, r},
                               {&pack.gate, r},
                               {&pack.value, n * r},
                               {&pack.value_t, n * r},
                               {&pack.write, shape.slots * r},
                               {&pack.write_t, n * s},
                               {&pack.slot, shape.slots * r},
                               {&pack.slot_t, n * s},
                               {&pack.operation_scales, k}}) {
      *piece = carver.Take<float>(size);
    }
    return static_cast<size_t>(carver.used());
  };
  const size_t bytes = carve(nullptr);
  pack.memory.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (pack.memory == nullptr) throw Error("out of memory");
  std::memset(pack.memory.get(), 0, bytes);
  carve(pack.memory.get());
}

// c[m,n] = a[m,k] b[k,n] for the few small products of a pack, which a decoding team may ask for: the library would
// open a parallel region and spend more on preparing them than they take.
void SmallProduct(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t m, int64_t k, int64_t n,
                  float* c, int64_t c_stride) {
  for (int64_t i = 0; i < m; ++i) {
    float* row = c + i * c_stride;
    std::fill_n(row, n, 0.0f);
    for (int64_t j = 0; j < k; ++j) {
      const float factor = a[i * a_stride + j];
#pragma omp simd
      for (int64_t o = 0; o < n; ++o) row[o] += factor * b[j * b_stride + o];
    }
  }
}

// slots key / sqrt(R) [S,R], and its transpose.
void FoldKey(const ReasoningPack& pack, const float* slots, const float* key, float* folded, float* folded_t) {
  const int64_t n = pack.width;
  SmallProduct(slots, n, key, n, pack.slots, n, n, folded, pack.r);
  const float scale = 1.0f / std::sqrt(static_cast<float>(n));
  for (int64_t i = 0; i < pack.slots * pack.r; ++i) folded[i] *= scale;
  Transpose(folded, pack.slots, n, pack.r, folded_t, pack.s);
}

}  // namespace

float GumbelNoise(PhiloxKey key, uint64_t step, int64_t token, int choice) {
  const auto block = Philox(key, {static_cast<uint32_t>(token), static_cast<uint32_t>(token >> 32),
                                  static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)});
  const double uniform = (static_cast<double>(block[static_cast<size_t>(choice)]) + 0.5) * 0x1p-32;
  return static_cast<float>(-std::log(-std::log(uniform)));
}

void PackReasoning(const ReasoningShape& shape, const ReasoningMaps<const float>& maps, float router_scale,
                   const float* operation_scales, float classifier_scale, ReasoningPack& pack) {
  if (pack.width != shape.width || pack.operations != shape.operations || pack.slots != shape.slots) {
    AllocatePack(shape, pack);
  }
  const int64_t n = shape.width;
  CopyRows(maps.router, shape.operations, n, n, pack.router, pack.r);
  Transpose(maps.router, shape.operations, n, n, pack.router_t, pack.k);
  ParallelFor(shape.operations, [&](int64_t j) {
    CopyRows(maps.operations + j * n * n, n, n, n, pack.operation + j * n * pack.r, pack.r);
    Transpose(maps.operations + j * n * n, n, n, n, pack.operation_t + j * n * pack.r, pack.r);
  });
  CopyRows(maps.classifier, kDepthChoices, n, n, pack.classifier, pack.r);
  FoldKey(pack, maps.slots, maps.read_key, pack.read, pack.read_t);
  FoldKey(pack, maps.slots, maps.write_key, pack.write, pack.write_t);
  CopyRows(maps.mix, n, n, 2 * n, pack.mix_o, pack.r);
  Transpose(maps.mix, n, n, 2 * n, pack.mix_o_t, pack.r);
  CopyRows(maps.write_value, n, n, n, pack.value, pack.r);
  Transpose(maps.write_value, n, n, n, pack.value_t, pack.r);
  CopyRows(maps.slots, shape.slots, n, n, pack.slot, pack.r);
  Transpose(maps.slots, shape.slots, n, n, pack.slot_t, pack.s);
  // W_mix m = (W_mix slots^T) address.
  SmallProduct(maps.mix + n, 2 * n, pack.slot_t, pack.s, n, n, shape.slots, pack.mix_m, pack.s);
  Transpose(pack.mix_m, n, shape.slots, pack.s, pack.mix_m_t, pack.r);
  std::copy_n(maps.gain, n, pack.gain);
  std::copy_n(maps.bias, n, pack.bias);
  std::copy_n(maps.write_gate, n, pack.gate);
  std::copy_n(operation_scales, shape.operations, pack.operation_scales);
  pack.router_scale = router_scale;
  pack.classifier_scale = classifier_scale;
  pack.kappa = *maps.write_scale;
}

int64_t ReasoningMemory(const ReasoningShape& shape) { return ReasoningPlan(shape, nullptr).bytes; }

void Reasoning(const ReasoningShape& shape, const ReasoningPack& pack, const Matrix& r, void* memory, const Matrix& y,
               ReasoningSums& sums) {
  const ReasoningPlan plan(shape, memory);
  FLASHLM_DISPATCH(ReasoningForward)(shape, pack, plan, r, y);
  sums.passes = 0;
  for (int64_t b = 0; b < plan.blocks; ++b) {
    const int32_t* counts = plan.counts + b * (kMaxReasoningDepth + 1);
    for (int p = 0; p < kMaxReasoningDepth; ++p) sums.passes += counts[p];
  }
  for (int64_t n = 0; sums.depths != nullptr && n < shape.rows; ++n) {
    sums.depths[n] = shape.depth > 0 ? shape.depth : kReasoningDepths[static_cast<size_t>(plan.choice[n])];
  }
  if (!shape.training) return;
  const auto mean = [&](int64_t at, int64_t n, double of, float* to) {
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t b = 0; b < plan.blocks; ++b) sum += plan.sums[b * plan.sums_per_block + at + i];
      to[i] = static_cast<float>(sum / of);
    }
  };
  const auto passes = static_cast<double>(sums.passes), rows = static_cast<double>(shape.rows);
  mean(0, shape.operations, passes, sums.usage);
  mean(plan.k, shape.operations, 2 * passes, sums.shares);
  mean(2 * plan.k, shape.slots, rows, sums.mean_address);
  mean(2 * plan.k + plan.s, shape.width, rows, sums.mean_write);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
