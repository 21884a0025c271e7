#include <algorithm>
#include <cmath>

#include "audit/leaks.h"
#include "autograd/op_case.h"
#include "base/parallel.h"

namespace flashlm {
namespace {

constexpr float kShortest = 1e-12f;  // a shorter vector has no direction, and no gradient

struct FutureMemorySaved {
  int batch, length, heads, dim;

  int Columns() const { return 3 * heads * dim + heads; }
  // Of one head of one sequence: k, v, q, beta and the lengths of k and q.
  int64_t LoadedSize() const { return int64_t{length} * (3 * dim + 3); }
};

// One head of one sequence in f32, k and q of length 1.
struct Head {
  float *k, *v, *q;                   // [T,M]
  float *beta, *k_length, *q_length;  // [T]

  Head(const FutureMemorySaved& s, float* memory)
      : k(memory),
        v(k + int64_t{s.length} * s.dim),
        q(v + int64_t{s.length} * s.dim),
        beta(q + int64_t{s.length} * s.dim),
        k_length(beta + s.length),
        q_length(k_length + s.length) {}
};

template <class T>
float LoadUnit(const T* from, int dim, float* to) {
  float squares = 0;
  for (int i = 0; i < dim; ++i) {
    to[i] = ToFloat(from[i]);
    squares += to[i] * to[i];
  }
  const float length = std::max(std::sqrt(squares), kShortest);
  for (int i = 0; i < dim; ++i) to[i] /= length;
  return length;
}

template <class T>
void Load(const FutureMemorySaved& s, const kernels::Matrix& proj, int row, int head, const Head& to) {
  const int width = s.heads * s.dim;
  for (int t = 0; t < s.length; ++t) {
    const T* from = proj.Row<T>(int64_t{row} * s.length + t);
    const int64_t at = int64_t{t} * s.dim;
    to.k_length[t] = LoadUnit(from + head * s.dim, s.dim, to.k + at);
    for (int i = 0; i < s.dim; ++i) to.v[at + i] = ToFloat(from[width + head * s.dim + i]);
    to.q_length[t] = LoadUnit(from + 2 * width + head * s.dim, s.dim, to.q + at);
    to.beta[t] = 1 / (1 + std::exp(-ToFloat(from[3 * width + head])));
  }
}

// S += scale * a b^T.
void AddOuter(float scale, const float* a, const float* b, int dim, float* s) {
  for (int i = 0; i < dim; ++i) {
    const float factor = scale * a[i];
#pragma omp simd
    for (int j = 0; j < dim; ++j) s[i * dim + j] += factor * b[j];
  }
}
// y = S^T x
void Transposed(const float* s, const float* x, int dim, float* y) {
  std::fill_n(y, dim, 0.0f);
  for (int i = 0; i < dim; ++i) {
#pragma omp simd
    for (int j = 0; j < dim; ++j) y[j] += s[i * dim + j] * x[i];
  }
}
// y = S x
void Times(const float* s, const float* x, int dim, float* y) {
  for (int i = 0; i < dim; ++i) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < dim; ++j) sum += s[i * dim + j] * x[j];
    y[i] = sum;
  }
}

// dx of x^ = x / |x|, from dx^.
template <class T>
void StoreUnitGradient(const float* unit, float length, const float* gradient, int dim, T* to) {
  float along = 0;
  for (int i = 0; i < dim; ++i) along += unit[i] * gradient[i];
  for (int i = 0; i < dim; ++i) {
    to[i] = FromFloat<T>(length > kShortest ? (gradient[i] - along * unit[i]) / length : 0.0f);
  }
}

template <class T>
void HeadForward(const FutureMemorySaved& s, const kernels::Matrix& proj, int row, int head, float* memory,
                 const kernels::Matrix& out) {
  const Head in(s, memory);
  Load<T>(s, proj, row, head, in);
  float* sum = memory + s.LoadedSize();        // [M,M], of k^_s v_s^T for s >= t
  float* read = sum + int64_t{s.dim} * s.dim;  // [M]
  std::fill_n(sum, int64_t{s.dim} * s.dim, 0.0f);
  const float scale = 1 / std::sqrt(static_cast<float>(s.dim));
  for (int t = s.length - 1; t >= 0; --t) {
    const int64_t at = int64_t{t} * s.dim;
    AddOuter(1, in.k + at, in.v + at, s.dim, sum);
    Transposed(sum, in.q + at, s.dim, read);
    T* to = out.Row<T>(int64_t{row} * s.length + t) + head * s.dim;
    for (int j = 0; j < s.dim; ++j) to[j] = FromFloat<T>(scale * read[j] + in.beta[t] * in.v[at + j]);
  }
}

template <class T>
void HeadBackward(const FutureMemorySaved& s, const kernels::Matrix& proj, int row, int head, float* memory,
                  const kernels::Matrix& dout, const kernels::Matrix& dproj) {
  const Head in(s, memory);
  Load<T>(s, proj, row, head, in);
  const int dim = s.dim, width = s.heads * dim;
  float* sum = memory + s.LoadedSize();     // [M,M]
  float* delta = sum + int64_t{dim} * dim;  // [M]
  float* gradient = delta + dim;            // [M]
  const float scale = 1 / std::sqrt(static_cast<float>(dim));
  const auto load_delta = [&](int t) {
    const T* from = dout.Row<T>(int64_t{row} * s.length + t) + head * dim;
    for (int j = 0; j < dim; ++j) delta[j] = ToFloat(from[j]);
    return dproj.Row<T>(int64_t{row} * s.length + t);
  };
  // Queries read what stands in the sum of their position.
  std::fill_n(sum, int64_t{dim} * dim, 0.0f);
  for (int t = s.length - 1; t >= 0; --t) {
    const int64_t at = int64_t{t} * dim;
    T* to = load_delta(t);
    AddOuter(1, in.k + at, in.v + at, dim, sum);
    Times(sum, delta, dim, gradient);
    for (int i = 0; i < dim; ++i) gradient[i] *= scale;
    StoreUnitGradient(in.q + at, in.q_length[t], gradient, dim, to + 2 * width + head * dim);
  }
  // Keys and values are read by all queries up to their position: the same sum, of q^_t delta_t^T, the other way.
  std::fill_n(sum, int64_t{dim} * dim, 0.0f);
  for (int t = 0; t < s.length; ++t) {
    const int64_t at = int64_t{t} * dim;
    T* to = load_delta(t);
    AddOuter(scale, in.q + at, delta, dim, sum);
    Times(sum, in.v + at, dim, gradient);
    StoreUnitGradient(in.k + at, in.k_length[t], gradient, dim, to + head * dim);
    Transposed(sum, in.k + at, dim, gradient);
    float dbeta = 0;
    for (int j = 0; j < dim; ++j) {
      to[width + head * dim + j] = FromFloat<T>(gradient[j] + in.beta[t] * delta[j]);
      dbeta += delta[j] * in.v[at + j];
    }
    to[3 * width + head] = FromFloat<T>(dbeta * in.beta[t] * (1 - in.beta[t]));
  }
}

// Calls body(row, head, memory) for all of them, each with memory of its own.
template <class Body>
void ForEachHead(Tape& tape, const FutureMemorySaved& s, const Body& body) {
  const int64_t size = s.LoadedSize() + int64_t{s.dim} * s.dim + 2 * s.dim;
  float* memory = tape.Scratch(size * s.batch * s.heads);
  ParallelFor(int64_t{s.batch} * s.heads, [&](int64_t i) {
    body(static_cast<int>(i / s.heads), static_cast<int>(i % s.heads), memory + size * i);
  });
}

void FutureMemoryBackward(Tape& tape, const Node& node) {
  const FutureMemorySaved& saved = node.As<FutureMemorySaved>();
  GradientWriter dproj(tape, node.inputs[0]);
  const kernels::Matrix proj = node.inputs[0].matrix(), dout = tape.GradientOf(node.output), to = dproj.matrix();
  kernels::Dispatch(proj.dtype, [&]<class T>() {
    ForEachHead(tape, saved,
                [&](int row, int head, float* memory) { HeadBackward<T>(saved, proj, row, head, memory, dout, to); });
  });
}

template <class S>
void Reference(const FutureMemorySaved& s, const S* proj, S* out) {
  using std::exp;
  using std::sqrt;
  const int dim = s.dim, width = s.heads * dim, columns = s.Columns();
  const auto unit = [&](const S* x) {
    S squares = 0;
    for (int i = 0; i < dim; ++i) squares += x[i] * x[i];
    std::vector<S> all(x, x + dim);
    for (S& one : all) one /= sqrt(squares);
    return all;
  };
  for (int b = 0; b < s.batch; ++b) {
    for (int h = 0; h < s.heads; ++h) {
      for (int t = 0; t < s.length; ++t) {
        const S* here = proj + (b * s.length + t) * columns;
        const std::vector<S> q = unit(here + 2 * width + h * dim);
        S* o = out + (b * s.length + t) * width + h * dim;
        const S beta = S(1) / (S(1) + exp(-here[3 * width + h]));
        for (int j = 0; j < dim; ++j) o[j] = beta * here[width + h * dim + j];
        for (int later = t; later < s.length; ++later) {
          const S* there = proj + (b * s.length + later) * columns;
          const std::vector<S> k = unit(there + h * dim);
          S match = 0;
          for (int i = 0; i < dim; ++i) match += q[i] * k[i];
          for (int j = 0; j < dim; ++j) o[j] += match * there[width + h * dim + j] / sqrt(S(dim));
        }
      }
    }
  }
}

std::vector<OpCase> FutureMemoryCases() {
  std::vector<OpCase> cases;
  for (const FutureMemorySaved& s : {FutureMemorySaved{2, 11, 2, 4}, FutureMemorySaved{1, 1, 3, 5}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}, {} heads of {}", s.batch, s.length, s.heads, s.dim), s.batch, s.length,
        {{s.batch * s.length, s.Columns()}},
        [s](Tape& tape, const std::vector<Operand>& in) { return FutureMemory(tape, in[0].tensor, s.heads, s.dim); },
        [s](const auto& in, auto& out) { Reference(s, in[0].data(), out.data()); }));
  }
  return cases;
}

}  // namespace

extern const OpDef kFutureMemoryOp;
const OpDef kFutureMemoryOp("future_memory", FutureMemoryBackward, FutureMemoryCases);

Tensor FutureMemory(Tape& tape, const Tensor& proj, int heads, int mem_dim) {
  OpTimer timer(tape, kFutureMemoryOp);
  const FutureMemorySaved saved{tape.batch(), tape.length(), heads, mem_dim};
  FLASHLM_CHECK(proj.cols == saved.Columns(), "memory of {} heads x {} over {} columns", heads, mem_dim, proj.cols);
  const Tensor y = tape.New(proj.rows, heads * mem_dim, proj.dtype);  // [N,H*M]
  kernels::Dispatch(proj.dtype, [&]<class T>() {
    ForEachHead(tape, saved, [&](int row, int head, float* memory) {
      HeadForward<T>(saved, proj.matrix(), row, head, memory, y.matrix());
    });
  });
  tape.Record({&kFutureMemoryOp, {proj}, y, {}, tape.Keep(saved)});
  return y;
}

}  // namespace flashlm
