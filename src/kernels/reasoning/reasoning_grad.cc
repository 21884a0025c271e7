// The gradient of the reasoning engine: first every block of tokens back through its passes, keeping what arrived at
// each product's result; then the weights, each by one owner that walks over all passes in order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/gemm/gemm.h"
#include "kernels/reasoning/plan.h"
#include "kernels/reasoning/reasoning.h"
#include "kernels/simd.h"
#include "kernels/ternary/ternary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reasoning/reasoning_grad.cc"
#include "hwy/foreach_target.h"
#include "kernels/reasoning/rows-inl.h"

#ifndef FLASHLM_KERNELS_REASONING_GRAD_PLAN_
#define FLASHLM_KERNELS_REASONING_GRAD_PLAN_
namespace flashlm::kernels {
namespace {

constexpr int64_t kOutputsPerUnit = 16;  // of a weight's gradient

// Gradients with respect to what the forward pass kept, laid out as there; then those of the folded weights.
struct GradPlan {
  GradPlan(const ReasoningShape& shape, const ReasoningPlan& plan, void* memory) {
    const int64_t tokens = plan.blocks * plan.block, visits = plan.blocks * plan.visits_per_block;
    const int64_t n = shape.width, r = plan.r;
    Carver carver(memory);
    state = carver.Take<float>(tokens * r);
    upstream = carver.Take<float>(tokens * r);
    exits = carver.Take<float>(tokens * r);
    product = carver.Take<float>(tokens * r);
    chosen = carver.Take<float>(tokens * 2);
    sum = carver.Take<float>(visits * r);
    mixed = carver.Take<float>(visits * r);
    address = carver.Take<float>(visits * plan.s);
    router = carver.Take<float>(visits * plan.k);
    values = carver.Take<float>(tokens * r);
    write_address = carver.Take<float>(tokens * plan.s);
    gates = carver.Take<float>(tokens);
    choices = carver.Take<float>(tokens * kDepthChoices);
    vectors = carver.Take<float>(plan.blocks * (2 * r + 16));
    weights = carver.Take<float>(0);
    const int64_t before = carver.used();
    d_operations = carver.Take<float>(shape.operations * n * r);
    d_mix_o = carver.Take<float>(n * r);
    d_mix_m = carver.Take<float>(n * plan.s);
    d_read = carver.Take<float>(shape.slots * r);
    d_router = carver.Take<float>(shape.operations * r);
    d_value = carver.Take<float>(n * r);
    d_write = carver.Take<float>(shape.slots * r);
    d_gate = carver.Take<float>(r);
    d_classifier = carver.Take<float>(kDepthChoices * r);
    weight_bytes = carver.used() - before;
    bytes = carver.used();
  }

  float *state, *upstream, *exits, *product, *chosen;  // [tokens, r]; chosen [tokens, 2]
  float *sum, *mixed, *address, *router;               // by visit; sum: what the norm read
  float *values, *write_address, *gates, *choices;     // by row (choices: by token)
  float* vectors;                                      // [blocks, r + r + 16]: gain, bias, kappa
  float* weights;                                      // where the following begin
  float *d_operations, *d_mix_o, *d_mix_m, *d_read, *d_router, *d_value, *d_write, *d_gate, *d_classifier;
  int64_t weight_bytes, bytes;
};

struct GradCall {
  const ReasoningShape& shape;
  const ReasoningPack& pack;
  const ReasoningPlan& plan;
  const GradPlan& grad;
  const float* dusage;
  int64_t passes;  // of all tokens
};

}  // namespace
}  // namespace flashlm::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

class BackwardBlock {
 public:
  BackwardBlock(const GradCall& call, int64_t b)
      : shape_(call.shape),
        pack_(call.pack),
        plan_(call.plan),
        grad_(call.grad),
        call_(call),
        b_(b),
        first_(b * plan_.block),
        tokens_(std::min(plan_.block, shape_.rows - first_)),
        n_(shape_.width),
        r_(plan_.r),
        k_(plan_.k),
        s_(plan_.s),
        blend_(shape_.Blends()),
        state_(grad_.state + first_ * r_),
        upstream_(grad_.upstream + first_ * r_),
        vectors_(grad_.vectors + b * (2 * r_ + 16)),
        states_(plan_.states + b * plan_.states_per_block * r_) {
    std::fill_n(vectors_, 2 * r_ + 16, 0.0f);
  }

  template <class T>
  void Run(const Matrix& dy, const Matrix& dr, bool accumulate) {
    const int32_t* order = plan_.order + first_;
    for (int64_t i = 0; i < tokens_; ++i) {
      const T* from = dy.Row<T>(first_ + order[i]);
      for (int64_t c = 0; c < r_; ++c) upstream_[i * r_ + c] = c < n_ ? ToFloat(from[c]) : 0.0f;
    }
    Write();
    if (blend_) ChoiceGradients();
    const int32_t* counts = plan_.counts + b_ * (kMaxReasoningDepth + 1);
    for (int pass = static_cast<int>(plan_.passes) - 1; pass >= 0; --pass) {
      if (counts[pass] > 0) Arrive(pass, counts[pass], counts[pass + 1]);
    }
    for (int64_t i = 0; i < tokens_; ++i) {
      const int64_t token = first_ + order[i];
      float* row = state_ + i * r_;
      for (int d = 0; blend_ && d < kDepthChoices; ++d) {
        float& choice = grad_.choices[token * kDepthChoices + d];
        AddScaledRow(pack_.classifier_scale * choice, pack_.classifier + d * r_, n_, row);
        if (plan_.int8) choice *= plan_.quantized_scales[b_ * plan_.states_per_block + i];
      }
      T* to = dr.Row<T>(token);
      for (int64_t c = 0; c < n_; ++c) to[c] = FromFloat<T>(row[c] + (accumulate ? ToFloat(to[c]) : 0.0f));
    }
  }

 private:
  // Back through y = r + kappa z to the last states.
  void Write() {
    const RowList all{tokens_};
    const float kappa = pack_.kappa;
    float* d_exits = grad_.exits + first_ * r_;
    float* d_values = grad_.values + first_ * r_;
    float* d_address = grad_.write_address + first_ * s_;
    RowsProduct({tokens_, nullptr, nullptr, 0.1f * kappa}, upstream_, r_, pack_.slot_t, s_, n_, d_address, s_, false);
    std::fill_n(d_values, tokens_ * r_, 0.0f);
    for (int64_t i = 0; i < tokens_; ++i) {
      const float* up = upstream_ + i * r_;
      const float gate = plan_.gates[first_ + i];
      vectors_[2 * r_] += Dot(up, plan_.written + (first_ + i) * r_, n_);
      AddScaledRow(kappa * gate, up, n_, d_values + i * r_);
      grad_.gates[first_ + i] = kappa * Dot(up, plan_.values + (first_ + i) * r_, n_) * gate * (1 - gate);
      SoftmaxGradRow(plan_.write_address + (first_ + i) * s_, shape_.slots, d_address + i * s_);
    }
    RowsProduct(all, d_values, r_, pack_.value, r_, n_, d_exits, r_, false);
    RowsProduct(all, d_address, s_, pack_.write, r_, shape_.slots, d_exits, r_, true);
    for (int64_t i = 0; i < tokens_; ++i) {
      AddScaledRow(grad_.gates[first_ + i], pack_.gate, n_, d_exits + i * r_);
      if (!blend_) AddScaledRow(1.0f, upstream_ + i * r_, n_, d_exits + i * r_);
    }
  }

  // What the blend asks of the depth logits.
  void ChoiceGradients() {
    int64_t outs[kDepthChoices];
    for (int d = 0; d < kDepthChoices; ++d) outs[d] = plan_.Pass(b_, kReasoningDepths[static_cast<size_t>(d)] - 1).out;
    for (int64_t i = 0; i < tokens_; ++i) {
      const int64_t token = first_ + plan_.order[first_ + i];
      const float* weights = plan_.blend + token * kDepthChoices;
      float* choices = grad_.choices + token * kDepthChoices;
      std::fill_n(choices, kDepthChoices, 0.0f);
      for (int d = 0; d <= plan_.choice[token]; ++d)
        choices[d] = Dot(upstream_ + i * r_, states_ + (outs[d] + i) * r_, n_);
      SoftmaxGradRow(weights, kDepthChoices, choices);
    }
  }

  // The gradient of the state after `pass`, and back through it.
  void Arrive(int pass, int64_t count, int64_t stay) {
    std::memcpy(state_ + stay * r_, grad_.exits + (first_ + stay) * r_,
                static_cast<size_t>((count - stay) * r_) * sizeof(float));
    for (int d = 0; blend_ && d < kDepthChoices; ++d) {
      if (kReasoningDepths[static_cast<size_t>(d)] != pass + 1) continue;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t token = first_ + plan_.order[first_ + i];
        AddScaledRow(plan_.blend[token * kDepthChoices + d], upstream_ + i * r_, n_, state_ + i * r_);
      }
    }
    Pass(pass, plan_.Pass(b_, pass));
  }

  void Pass(int pass, const PassRows& rows) {
    const int64_t visit = b_ * plan_.visits_per_block + rows.visit;
    const RowList all{rows.count};
    float* d_sum = grad_.sum + visit * r_;
    float* d_mixed = grad_.mixed + visit * r_;
    float* d_address = grad_.address + visit * s_;
    for (int64_t i = 0; i < rows.count; ++i) {
      NormGradient(plan_.normal + (visit + i) * r_, plan_.inverse[visit + i], state_ + i * r_, d_sum + i * r_);
    }
    RowsProduct(all, d_sum, r_, pack_.mix_o, r_, n_, d_mixed, r_, false);
    RowsProduct(all, d_sum, r_, pack_.mix_m, s_, n_, d_address, s_, false);
    for (int64_t i = 0; i < rows.count; ++i) {
      SoftmaxGradRow(plan_.address + (visit + i) * s_, shape_.slots, d_address + i * s_);
    }
    RowsProduct(all, d_address, s_, pack_.read, r_, shape_.slots, state_, r_, true);
    const float* q = plan_.quantized + (b_ * plan_.states_per_block + rows.in) * r_;
    const float* q_scales = plan_.int8 ? plan_.quantized_scales + b_ * plan_.states_per_block + rows.in : nullptr;
    Operations(pass, visit, q, q_scales, d_mixed);
    RouterGradient(rows.count, visit, q_scales);
  }

  // state <- gradient of what the norm read, also kept in d_sum: the residual path.
  void NormGradient(const float* normal, float inverse, float* state, float* d_sum) {
    float mean = 0, along = 0;
    for (int64_t c = 0; c < n_; ++c) {
      vectors_[c] += state[c] * normal[c];
      vectors_[r_ + c] += state[c];
      state[c] *= pack_.gain[c];
      mean += state[c];
    }
    mean /= static_cast<float>(n_);
    along = Dot(state, normal, n_) / static_cast<float>(n_);
    for (int64_t c = 0; c < n_; ++c) d_sum[c] = state[c] = inverse * (state[c] - mean - normal[c] * along);
  }

  // Through the chosen operations: to the state, and to the choices' weights.
  void Operations(int pass, int64_t visit, const float* q, const float* q_scales, const float* d_mixed) {
    const int32_t* offsets = plan_.Offsets(b_, pass);
    float* product = grad_.product + first_ * r_;
    float* chosen = grad_.chosen + first_ * 2;
    for (int j = 0; j < shape_.operations; ++j) {
      const int64_t begin = 2 * visit + offsets[j];
      const int32_t* list = plan_.list_rows + begin;
      const RowList rows{offsets[j + 1] - offsets[j], list, nullptr, pack_.operation_scales[j]};
      RowsProduct(rows, d_mixed, r_, pack_.operation + j * n_ * r_, r_, n_, product, r_, false, true);
      for (int64_t e = 0; e < rows.count; ++e) {
        const int32_t row = list[e], choice = plan_.list_choice[begin + e];
        chosen[2 * row + choice] =
            Dot(product + e * r_, q + row * r_, n_) * (q_scales == nullptr ? 1.0f : q_scales[row]);
        AddScaledRow(plan_.weights[2 * (visit + row) + choice], product + e * r_, n_, state_ + row * r_);
      }
    }
  }

  void RouterGradient(int64_t count, int64_t visit, const float* q_scales) {
    float* d_router = grad_.router + visit * k_;
    const float share = 1.0f / static_cast<float>(call_.passes);
    for (int64_t i = 0; i < count; ++i) {
      const float* p = plan_.router + (visit + i) * k_;
      float* d = d_router + i * k_;
      if (call_.dusage != nullptr) {
        for (int j = 0; j < shape_.operations; ++j) d[j] = share * call_.dusage[j];
        SoftmaxGradRow(p, shape_.operations, d);
      } else {
        std::fill_n(d, shape_.operations, 0.0f);
      }
      const float* w = plan_.weights + 2 * (visit + i);
      const float* chosen = grad_.chosen + 2 * (first_ + i);
      const float tilt = w[0] * w[1] * (chosen[0] - chosen[1]);
      d[plan_.picks[2 * (visit + i)]] += tilt;
      d[plan_.picks[2 * (visit + i) + 1]] -= tilt;
    }
    RowsProduct({count, nullptr, nullptr, pack_.router_scale}, d_router, k_, pack_.router, r_, shape_.operations,
                state_, r_, true);
    for (int64_t i = 0; q_scales != nullptr && i < count; ++i) {
      for (int j = 0; j < shape_.operations; ++j) d_router[i * k_ + j] *= q_scales[i];
    }
  }

  const ReasoningShape& shape_;
  const ReasoningPack& pack_;
  const ReasoningPlan& plan_;
  const GradPlan& grad_;
  const GradCall& call_;
  int64_t b_, first_, tokens_, n_, r_, k_, s_;
  bool blend_;
  float *state_, *upstream_, *vectors_;
  const float* states_;
};

// One matrix's gradient: of `outputs` rows; calls f(list, dy, dy_stride, x, x_stride) for every run of rows.
template <class F>
void ForEachPass(const GradCall& call, const F& f) {
  for (int64_t b = 0; b < call.plan.blocks; ++b) {
    for (int pass = 0; pass < call.plan.passes; ++pass) {
      const PassRows rows = call.plan.Pass(b, pass);
      if (rows.count == 0) break;
      f(b, pass, rows, b * call.plan.visits_per_block + rows.visit, b * call.plan.states_per_block + rows.in);
    }
  }
}

void OperationGradient(const GradCall& call, int64_t j, int64_t begin, int64_t end) {
  const int64_t n = call.shape.width, r = call.plan.r;
  float* dw = call.grad.d_operations + (j * n + begin) * r;
  ForEachPass(call, [&](int64_t b, int pass, const PassRows&, int64_t visit, int64_t state) {
    const int32_t* offsets = call.plan.Offsets(b, pass);
    const int64_t first = 2 * visit + offsets[j];
    const RowList rows{offsets[j + 1] - offsets[j], call.plan.list_rows + first, call.plan.list_weights + first};
    OuterProduct(rows, call.grad.mixed + visit * r, r, call.plan.quantized + state * r, r, begin, end, dw);
  });
}

// Units of the weights' gradients, in the order of GradPlan.
struct Job {
  int64_t outputs;
  const float* dy;
  int64_t dy_stride;
  const float* x;
  int64_t x_stride;
  float* dw;
  enum class Rows { kVisits, kStatesByVisit, kTokens } rows;
};

void JobGradient(const GradCall& call, const Job& job, int64_t begin, int64_t end) {
  float* dw = job.dw + begin * job.x_stride;
  if (job.rows == Job::Rows::kTokens) {
    const RowList all{call.shape.rows};
    return OuterProduct(all, job.dy, job.dy_stride, job.x, job.x_stride, begin, end, dw);
  }
  ForEachPass(call, [&](int64_t, int, const PassRows& rows, int64_t visit, int64_t state) {
    const int64_t at = job.rows == Job::Rows::kVisits ? visit : state;
    OuterProduct({rows.count}, job.dy + visit * job.dy_stride, job.dy_stride, job.x + at * job.x_stride, job.x_stride,
                 begin, end, dw);
  });
}

// The classifier's upstream gradients are by token, what it read by row.
void ClassifierGradient(const GradCall& call) {
  const ReasoningPlan& plan = call.plan;
  for (int64_t n = 0; n < call.shape.rows; ++n) {
    const int64_t b = n / plan.block, token = b * plan.block + plan.order[n];
    const float* x = plan.quantized + (b * plan.states_per_block + n % plan.block) * plan.r;
    for (int d = 0; d < kDepthChoices; ++d) {
      AddScaledRow(call.grad.choices[token * kDepthChoices + d], x, call.shape.width,
                   call.grad.d_classifier + d * plan.r);
    }
  }
}

void WeightGradients(const GradCall& call) {
  using Rows = Job::Rows;
  const ReasoningPlan& plan = call.plan;
  const GradPlan& g = call.grad;
  const int64_t n = call.shape.width, r = plan.r, k = plan.k, s = plan.s;
  const Job jobs[] = {
      {n, g.sum, r, plan.mixed, r, g.d_mix_o, Rows::kVisits},
      {n, g.sum, r, plan.address, s, g.d_mix_m, Rows::kVisits},
      {call.shape.slots, g.address, s, plan.states, r, g.d_read, Rows::kStatesByVisit},
      {call.shape.operations, g.router, k, plan.quantized, r, g.d_router, Rows::kStatesByVisit},
      {n, g.values, r, plan.exits, r, g.d_value, Rows::kTokens},
      {call.shape.slots, g.write_address, s, plan.exits, r, g.d_write, Rows::kTokens},
      {1, g.gates, 1, plan.exits, r, g.d_gate, Rows::kTokens},
  };
  const auto units = [](int64_t outputs) { return (outputs + kOutputsPerUnit - 1) / kOutputsPerUnit; };
  int64_t total = call.shape.operations * units(n);
  for (const Job& job : jobs) total += units(job.outputs);
  ParallelFor(total, [&](int64_t unit) {
    if (unit < call.shape.operations * units(n)) {
      const int64_t begin = unit % units(n) * kOutputsPerUnit;
      return OperationGradient(call, unit / units(n), begin, std::min(begin + kOutputsPerUnit, n));
    }
    unit -= call.shape.operations * units(n);
    const Job* job = jobs;
    for (; unit >= units(job->outputs); ++job) unit -= units(job->outputs);
    const int64_t begin = unit * kOutputsPerUnit;
    JobGradient(call, *job, begin, std::min(begin + kOutputsPerUnit, job->outputs));
  });
  if (call.shape.Blends()) ClassifierGradient(call);
}

void ReasoningBackward(const GradCall& call, const Matrix& dy, const Matrix& dr, bool accumulate) {
  Dispatch(dy.dtype, [&]<class T>() {
    ParallelFor(call.plan.blocks, [&](int64_t b) { BackwardBlock(call, b).Run<T>(dy, dr, accumulate); });
  });
  std::memset(call.grad.weights, 0, static_cast<size_t>(call.grad.weight_bytes));
  WeightGradients(call);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(ReasoningBackward);

void AddMatrix(const float* from, int64_t stride, int64_t rows, int64_t cols, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) to[i * to_stride + j] += from[i * stride + j];
  }
}

// dkey += slots^T dfolded / sqrt(R): the folded key is slots key / sqrt(R).
void UnfoldKey(const ReasoningPack& pack, float* dfolded, float* dkey) {
  const int64_t n = pack.width;
  const float scale = 1.0f / std::sqrt(static_cast<float>(n));
  for (int64_t i = 0; i < pack.slots * pack.r; ++i) dfolded[i] *= scale;
  MatMul({pack.slot, DType::kF32, pack.slots, n, pack.r}, true, {dfolded, DType::kF32, pack.slots, n, pack.r}, false,
         {dkey, DType::kF32, n, n, n}, true);
}

}  // namespace

int64_t ReasoningGradScratch(const ReasoningShape& shape) {
  return GradPlan(shape, ReasoningPlan(shape, nullptr), nullptr).bytes;
}

void ReasoningGrad(const ReasoningShape& shape, const ReasoningPack& pack, const void* memory, int64_t passes,
                   const Matrix& dy, const float* dusage, const Matrix& dr, bool accumulate, void* scratch,
                   const ReasoningMaps<float>& gradients) {
  const ReasoningPlan plan(shape, const_cast<void*>(memory));
  const GradPlan grad(shape, plan, scratch);
  FLASHLM_DISPATCH(ReasoningBackward)(GradCall{shape, pack, plan, grad, dusage, passes}, dy, dr, accumulate);

  const int64_t n = shape.width, r = plan.r;
  AddMatrix(grad.d_operations, r, shape.operations * n, n, gradients.operations, n);
  AddMatrix(grad.d_router, r, shape.operations, n, gradients.router, n);
  AddMatrix(grad.d_classifier, r, kDepthChoices, n, gradients.classifier, n);
  AddMatrix(grad.d_value, r, n, n, gradients.write_value, n);
  AddMatrix(grad.d_gate, r, 1, n, gradients.write_gate, n);
  AddMatrix(grad.d_mix_o, r, n, n, gradients.mix, 2 * n);
  MatMul({grad.d_mix_m, DType::kF32, n, shape.slots, plan.s}, false, {pack.slot, DType::kF32, shape.slots, n, r}, false,
         {gradients.mix + n, DType::kF32, n, n, 2 * n}, true);
  UnfoldKey(pack, grad.d_read, gradients.read_key);
  UnfoldKey(pack, grad.d_write, gradients.write_key);
  for (int64_t b = 0; b < plan.blocks; ++b) {
    const float* vectors = grad.vectors + b * (2 * r + 16);
    AddMatrix(vectors, r, 1, n, gradients.gain, n);
    AddMatrix(vectors + r, r, 1, n, gradients.bias, n);
    *gradients.write_scale += vectors[2 * r];
  }
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
