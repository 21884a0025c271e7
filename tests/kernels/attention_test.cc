#include "kernels/attention/attention.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/attention/ref.h"

namespace flashlm::kernels {
namespace {

template <class T>
Matrix View(const std::vector<T>& v, int64_t rows) {
  const int64_t cols = static_cast<int64_t>(v.size()) / rows;
  return {const_cast<T*>(v.data()), sizeof(T) == 2 ? DType::kBF16 : DType::kF32, rows, cols, cols};
}

std::vector<float> Normals(size_t n, uint64_t stream, float scale = 1) {
  Rng rng(7, Purpose::kTest, stream);
  std::vector<float> v(n);
  for (float& x : v) x = scale * rng.Normal();
  return v;
}

AttentionShape Shape(int B, int T, int H, int D, int W) {
  return {.batch = B, .length = T, .heads = H, .head_dim = D, .window = W};
}
int64_t Rows(const AttentionShape& s) { return int64_t{s.batch} * s.length; }
int64_t Width(const AttentionShape& s) { return int64_t{s.heads} * s.head_dim; }

template <class T>
Qkv Thirds(const AttentionShape& s, const std::vector<T>& qkv) {
  return Qkv::Of(View(qkv, Rows(s)), Width(s));
}

struct Output {
  std::vector<float> out, log_sums;
};
Output Evaluate(const AttentionShape& s, const std::vector<float>& qkv) {
  Output y{std::vector<float>(Rows(s) * Width(s)), std::vector<float>(Rows(s) * s.heads)};
  Attention(s, Thirds(s, qkv), nullptr, View(y.out, Rows(s)), y.log_sums.data());
  return y;
}
std::vector<float> Gradient(const AttentionShape& s, const std::vector<float>& qkv, const std::vector<float>& dout) {
  const Output y = Evaluate(s, qkv);
  std::vector<float> dqkv(qkv.size(), NAN);
  AttentionGrad(s, Thirds(s, qkv), View(y.out, Rows(s)), y.log_sums.data(), View(dout, Rows(s)), Thirds(s, dqkv));
  return dqkv;
}
std::vector<double> Reference(const AttentionShape& s, const std::vector<double>& qkv, const double* keep = nullptr) {
  std::vector<double> out(Rows(s) * Width(s));
  ref::Attention(s.batch, s.length, s.heads, s.head_dim, s.window, s.rope, qkv.data(), out.data(), keep);
  return out;
}

void ExpectNear(const std::vector<float>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << i;
}
std::vector<double> Doubles(const std::vector<float>& v) { return {v.begin(), v.end()}; }

const std::vector<AttentionShape>& Shapes() {
  static const std::vector<AttentionShape> shapes = [] {
    std::vector<AttentionShape> list;
    for (int D : {2, 8, 32, 64, 80, 128}) list.push_back(Shape(2, 37, 2, D, 16));
    for (int W : {1, 2, 3, 5, 8, 15, 17, 29, 31, 32, 33, 34, 47, 64, 75, 76, 100, 1 << 30}) {
      list.push_back(Shape(1, 75, 2, 16, W));
    }
    for (int T : {1, 2, 7, 8, 9, 16, 31, 32, 33, 65}) list.push_back(Shape(2, T, 1, 32, 32));
    list.push_back(Shape(1, 300, 1, 16, 32));  // two pieces of a long sequence
    list.push_back(Shape(1, 300, 1, 8, 200));  // several runs of keys in the backward pass
    list.push_back(Shape(1, 300, 1, 8, 300));
    for (AttentionShape s : {Shape(2, 20, 3, 16, 9), Shape(1, 40, 1, 64, 40), Shape(1, 20, 2, 22, 9)}) {
      for (Rope rope : {Rope::kNone, Rope::kInterleaved}) {
        s.rope = rope;
        list.push_back(s);
      }
    }
    return list;
  }();
  return shapes;
}
std::string Name(const AttentionShape& s) {
  return fmt::format("B {} T {} H {} D {} W {} rope {}", s.batch, s.length, s.heads, s.head_dim, s.window,
                     static_cast<int>(s.rope));
}

TEST(Attention, EqualsReference) {
  for (const AttentionShape& s : Shapes()) {
    SCOPED_TRACE(Name(s));
    const auto qkv = Normals(Rows(s) * 3 * Width(s), 1);
    ExpectNear(Evaluate(s, qkv).out, Reference(s, Doubles(qkv)), 5e-6);
  }
}

TEST(Attention, LogSumsAreThoseOfTheSoftmax) {
  AttentionShape s = Shape(1, 9, 1, 4, 3);
  s.rope = Rope::kNone;
  const auto qkv = Normals(9 * 12, 2);
  const Output y = Evaluate(s, qkv);
  for (int t = 0; t < 9; ++t) {
    double sum = 0;
    for (int k = std::max(0, t - 2); k <= t; ++k) {
      sum += std::exp(std::inner_product(&qkv[t * 12], &qkv[t * 12 + 4], &qkv[k * 12 + 4], 0.0) / 2);
    }
    EXPECT_NEAR(y.log_sums[t], std::log(sum), 1e-5);
  }
}

// The derivative of <dout, out> along a random direction, by a complex step through the reference, against
// the gradient's product with it; and single elements, each of q, k and v.
TEST(Attention, GradientEqualsComplexStep) {
  for (const AttentionShape& s : Shapes()) {
    SCOPED_TRACE(Name(s));
    const size_t n = Rows(s) * 3 * Width(s);
    const auto qkv = Normals(n, 3), dout = Normals(Rows(s) * Width(s), 4);
    const auto dqkv = Gradient(s, qkv, dout);
    const int singles = Rows(s) > 100 ? 6 : 20;
    Rng rng(1, Purpose::kTest);
    for (int trial = 0; trial < singles; ++trial) {
      const auto direction = Normals(n, 5 + trial);
      std::vector<std::complex<double>> x(qkv.begin(), qkv.end()), y(dout.size());
      const size_t one = rng.Below(n);
      const bool all = trial < 2;
      for (size_t i = 0; i < n; ++i) {
        if (all || i == one) x[i].imag(1e-30 * (all ? direction[i] : 1.0));
      }
      ref::Attention(s.batch, s.length, s.heads, s.head_dim, s.window, s.rope, x.data(), y.data());
      double expected = 0, found = 0, size = 0;
      for (size_t i = 0; i < y.size(); ++i) expected += dout[i] * y[i].imag() * 1e30;
      for (size_t i = 0; i < n; ++i) {
        const double term = dqkv[i] * (all ? direction[i] : i == one ? 1.0 : 0.0);
        found += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(found, expected, 2e-6 * size + 3e-5) << trial << " element " << one;
    }
  }
}

// Feeds a sequence to `Attention` in pieces, with a state.
template <class T>
std::vector<T> RunInPieces(AttentionShape s, const std::vector<T>& qkv, const std::vector<int>& pieces,
                           std::vector<int64_t> position) {
  const int64_t width = Width(s), length = s.length;
  const int64_t size = AttentionStateSize(s, View(qkv, Rows(s)).dtype);
  std::vector<T> out(Rows(s) * width);
  std::vector<float> rings(s.batch * size, NAN);
  const AttentionState state{rings.data(), size, position.data()};
  int64_t done = 0;
  for (int piece : pieces) {
    s.length = piece;
    std::vector<T> part(Rows(s) * 3 * width), part_out(Rows(s) * width);
    for (int b = 0; b < s.batch; ++b) {
      std::copy_n(&qkv[(b * length + done) * 3 * width], piece * 3 * width, &part[b * piece * 3 * width]);
    }
    Attention(s, Thirds(s, part), &state, View(part_out, Rows(s)), nullptr);
    for (int b = 0; b < s.batch; ++b) {
      std::copy_n(&part_out[b * piece * width], piece * width, &out[(b * length + done) * width]);
      position[b] += piece;
    }
    done += piece;
  }
  EXPECT_EQ(done, length);
  return out;
}

TEST(Attention, AnySplitEqualsTheWhole) {
  for (int D : {8, 20, 64}) {
    for (int W : {1, 3, 16, 32, 33, 100, 400}) {
      AttentionShape s = Shape(2, 330, 2, D, W);
      if (W == 16) s.rope = Rope::kInterleaved;
      const auto qkv = Normals(Rows(s) * 3 * Width(s), 6);
      const auto whole = Doubles(Evaluate(s, qkv).out);
      std::vector<int> ones(330, 1);
      for (const auto& pieces : std::vector<std::vector<int>>{
               {330}, ones, {1, 329}, {329, 1}, {7, 1, 1, 33, 2, 286}, {40, 290}, {257, 1, 72}}) {
        SCOPED_TRACE(fmt::format("D {} W {} pieces {} ({})", D, W, pieces.size(), pieces[0]));
        ExpectNear(RunInPieces(s, qkv, pieces, {0, 0}), whole, 1e-5);
      }
    }
  }
}

// In bf16 a stream remembers keys in bf16: what it reads is what the whole reads up to that rounding and the result's.
TEST(Attention, AnySplitInBf16IsTheWholeUpToRounding) {
  for (int D : {8, 20, 64}) {
    for (int W : {3, 33, 100}) {
      AttentionShape s = Shape(2, 130, 2, D, W);
      if (W == 33) s.rope = Rope::kInterleaved;
      std::vector<BFloat16> qkv;
      for (const float x : Normals(Rows(s) * 3 * Width(s), 22)) qkv.push_back(ToBFloat16(x));
      std::vector<BFloat16> whole(Rows(s) * Width(s));
      Attention(s, Thirds(s, qkv), nullptr, View(whole, Rows(s)), nullptr);
      for (const auto& pieces :
           std::vector<std::vector<int>>{std::vector<int>(130, 1), {1, 129}, {7, 1, 1, 33, 2, 86}}) {
        SCOPED_TRACE(fmt::format("D {} W {} pieces {} ({})", D, W, pieces.size(), pieces[0]));
        const std::vector<BFloat16> split = RunInPieces(s, qkv, pieces, {0, 0});
        for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(ToFloat(split[i]), ToFloat(whole[i]), 0.03) << i;
      }
    }
  }
}

TEST(Attention, StatesStandAtTheirOwnPositions) {
  AttentionShape s = Shape(2, 40, 1, 16, 12);
  const auto qkv = Normals(Rows(s) * 3 * Width(s), 7);
  std::vector<float> rings(2 * AttentionStateSize(s, DType::kF32), 0);
  s.length = 20;
  const auto first = Normals(Rows(s) * 3 * Width(s), 8);
  // Row 0 has 20 tokens behind it, row 1 none.
  std::vector<float> ignored(Rows(s) * Width(s));
  std::vector<int64_t> position = {0, 0};
  const AttentionState state{rings.data(), AttentionStateSize(s, DType::kF32), position.data()};
  Attention(s, Thirds(s, first), &state, View(ignored, Rows(s)), nullptr);
  position = {20, 0};
  s.length = 40;
  std::vector<float> out(Rows(s) * Width(s));
  Attention(s, Thirds(s, qkv), &state, View(out, Rows(s)), nullptr);
  AttentionShape one = s;
  one.batch = 1;
  one.length = 60;
  std::vector<float> joined(first.begin(), first.begin() + 20 * 48);
  joined.insert(joined.end(), qkv.begin(), qkv.begin() + 40 * 48);
  const auto row0 = Evaluate(one, joined).out;
  const std::vector<float> out0(out.begin(), out.begin() + 40 * 16), out1(out.begin() + 40 * 16, out.end());
  ExpectNear(out0, {row0.begin() + 20 * 16, row0.end()}, 1e-5);
  one.length = 40;
  const auto row1 = Evaluate(one, {qkv.begin() + 40 * 48, qkv.end()}).out;
  ExpectNear(out1, Doubles(row1), 1e-5);
}

TEST(Attention, CausalityAndNeighboursAreExact) {
  for (const AttentionShape& s : {Shape(2, 70, 2, 32, 32), Shape(1, 90, 1, 64, 90), Shape(2, 45, 1, 8, 7)}) {
    SCOPED_TRACE(Name(s));
    const auto qkv = Normals(Rows(s) * 3 * Width(s), 9);
    const Output before = Evaluate(s, qkv);
    for (int p = 0; p < s.length; p += 3) {
      auto changed = qkv;
      for (int64_t i = 0; i < 3 * Width(s); ++i) changed[p * 3 * Width(s) + i] = -100 * qkv[i] + 3;
      const Output after = Evaluate(s, changed);
      for (int64_t row = 0; row < Rows(s); ++row) {
        const bool may_differ = row >= p && row < s.length && row < int64_t{p} + s.window;
        const bool same =
            std::equal(&before.out[row * Width(s)], &before.out[row * Width(s)] + Width(s), &after.out[row * Width(s)]);
        ASSERT_TRUE(same || may_differ) << p << " " << row;
        ASSERT_FALSE(same && row == p) << p;
      }
    }
  }
}

std::vector<double> KeepFactors(const AttentionShape& s) {
  // With q = 0 and v the unit vector s mod D of key s, out is the row of probabilities after dropout.
  std::vector<double> keep(int64_t{s.batch} * s.heads * s.length * s.length);
  for (int first = 0; first < s.length; first += s.head_dim) {
    std::vector<float> qkv(Rows(s) * 3 * Width(s));
    for (int64_t row = 0; row < Rows(s); ++row) {
      const int64_t i = row % s.length - first;
      for (int h = 0; h < s.heads && i >= 0 && i < s.head_dim; ++h) {
        qkv[row * 3 * Width(s) + 2 * Width(s) + h * s.head_dim + i] = 1;
      }
    }
    const Output y = Evaluate(s, qkv);
    for (int64_t row = 0; row < Rows(s); ++row) {
      const int64_t b = row / s.length, t = row % s.length, seen = std::min<int64_t>(t + 1, s.window);
      for (int64_t h = 0; h < s.heads; ++h) {
        for (int64_t i = 0; i < s.head_dim && first + i <= t; ++i) {
          keep[((b * s.heads + h) * s.length + t) * s.length + first + i] =
              y.out[row * Width(s) + h * s.head_dim + i] * static_cast<double>(seen);
        }
      }
    }
  }
  return keep;
}

TEST(Attention, DropoutKeepsItsRateAndItsMask) {
  for (int W : {5, 32, 33, 64, 70, 90}) {
    AttentionShape s = Shape(2, 90, 2, 32, W);
    s.dropout = 0.25f;
    s.dropout_key = MakePhiloxKey(3, Purpose::kDropout);
    s.dropout_step = 12;
    SCOPED_TRACE(Name(s));
    const auto keep = KeepFactors(s);
    int64_t kept = 0, seen = 0;
    for (int64_t unit = 0; unit < 4; ++unit) {
      for (int64_t t = 0; t < 90; ++t) {
        for (int64_t k = std::max<int64_t>(0, t - W + 1); k <= t; ++k) {
          const double factor = keep[(unit * 90 + t) * 90 + k];
          ASSERT_TRUE(std::abs(factor) < 1e-6 || std::abs(factor - 4.0 / 3) < 1e-5) << factor;
          ++seen;
          kept += factor > 0.5;
        }
      }
    }
    const double deviation = std::sqrt(0.25 * 0.75 / static_cast<double>(seen));
    EXPECT_NEAR(static_cast<double>(kept) / static_cast<double>(seen), 0.75, 4 * deviation);

    // The same mask with other numbers: forward against the reference, backward against its differences.
    const auto qkv = Normals(Rows(s) * 3 * Width(s), 10), dout = Normals(Rows(s) * Width(s), 11);
    ExpectNear(Evaluate(s, qkv).out, Reference(s, Doubles(qkv), keep.data()), 1e-5);
    const auto dqkv = Gradient(s, qkv, dout);
    for (int trial = 0; trial < 3; ++trial) {
      const auto direction = Normals(qkv.size(), 20 + trial);
      const auto loss = [&](double step) {
        auto x = Doubles(qkv);
        for (size_t i = 0; i < x.size(); ++i) x[i] += step * direction[i];
        const auto y = Reference(s, x, keep.data());
        return std::inner_product(y.begin(), y.end(), dout.begin(), 0.0);
      };
      const double expected = (loss(1e-5) - loss(-1e-5)) / 2e-5;
      const double found = std::inner_product(dqkv.begin(), dqkv.end(), direction.begin(), 0.0);
      EXPECT_NEAR(found, expected, 1e-3);
    }
    AttentionShape other = s;
    other.dropout_step = 13;
    EXPECT_NE(KeepFactors(other), keep);
  }
}

TEST(Attention, ThreadsDoNotMatter) {
  AttentionShape s = Shape(3, 290, 2, 64, 32);
  s.dropout = 0.1f;
  s.dropout_key = MakePhiloxKey(3, Purpose::kDropout);
  const auto qkv = Normals(Rows(s) * 3 * Width(s), 12), dout = Normals(Rows(s) * Width(s), 13);
  const int threads = ThreadCount();
  SetThreadCount(1);
  const Output one = Evaluate(s, qkv);
  const auto gradient = Gradient(s, qkv, dout);
  for (int n : {2, 3}) {
    SetThreadCount(n);
    const Output many = Evaluate(s, qkv);
    EXPECT_EQ(many.out, one.out);
    EXPECT_EQ(many.log_sums, one.log_sums);
    EXPECT_EQ(Gradient(s, qkv, dout), gradient);
  }
  SetThreadCount(threads);
}

// Four heads over two heads of values, and over the same values written out twice.
TEST(Attention, HeadsMayShareValues) {
  AttentionShape s = Shape(2, 45, 4, 8, 20);
  const auto q = Normals(Rows(s) * 32, 18), k = Normals(Rows(s) * 32, 19), v = Normals(Rows(s) * 16, 20);
  const auto dout = Normals(Rows(s) * 32, 21);
  std::vector<float> twice(Rows(s) * 32);
  for (size_t i = 0; i < twice.size(); ++i) twice[i] = v[i / 32 * 16 + i % 16];
  std::vector<float> gradients[2], outs[2];
  for (const bool shared : {false, true}) {
    s.value_heads = shared ? 2 : 0;
    const Qkv in{View(q, Rows(s)), View(k, Rows(s)), View(shared ? v : twice, Rows(s))};
    auto& out = outs[shared];
    auto& din = gradients[shared];
    out.resize(Rows(s) * 32);
    din.resize(Rows(s) * 96);
    std::vector<float> log_sums(Rows(s) * s.heads);
    Attention(s, in, nullptr, View(out, Rows(s)), log_sums.data());
    AttentionGrad(s, in, View(out, Rows(s)), log_sums.data(), View(dout, Rows(s)), Thirds(s, din));
    // And with a state, read whole and token by token.
    std::vector<float> rings(s.batch * AttentionStateSize(s, DType::kF32)), streamed(32);
    std::vector<int64_t> position = {0};
    const AttentionState state{rings.data(), AttentionStateSize(s, DType::kF32), position.data()};
    AttentionShape one = s;
    one.batch = one.length = 1;
    for (int t = 0; t < s.length; ++t, ++position[0]) {
      const auto row = [&](const Matrix& m) { return Matrix{m.Row<float>(t), m.dtype, 1, m.cols, m.stride}; };
      Attention(one, {row(in.q), row(in.k), row(in.v)}, &state, View(streamed, 1), nullptr);
      ExpectNear(streamed, {out.begin() + t * 32, out.begin() + (t + 1) * 32}, 1e-5);
    }
  }
  EXPECT_EQ(outs[1], outs[0]);
  EXPECT_EQ(gradients[1], gradients[0]);
}

class AttentionBf16 : public testing::TestWithParam<Rope> {};

TEST_P(AttentionBf16, IsTheRoundedF32) {
  AttentionShape s = Shape(2, 50, 2, 40, 32);
  s.rope = GetParam();
  std::vector<BFloat16> qkv, dout, out(Rows(s) * Width(s)), dqkv(Rows(s) * 3 * Width(s));
  std::vector<float> qkv32, dout32, log_sums(Rows(s) * s.heads);
  for (float x : Normals(dqkv.size(), 14)) qkv32.push_back(ToFloat(qkv.emplace_back(ToBFloat16(x))));
  for (float x : Normals(out.size(), 15)) dout32.push_back(ToFloat(dout.emplace_back(ToBFloat16(x))));
  Attention(s, Thirds(s, qkv), nullptr, View(out, Rows(s)), log_sums.data());
  AttentionGrad(s, Thirds(s, qkv), View(out, Rows(s)), log_sums.data(), View(dout, Rows(s)), Thirds(s, dqkv));
  const Output expected = Evaluate(s, qkv32);
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_NEAR(ToFloat(out[i]), expected.out[i], 4e-3 * (1 + std::abs(expected.out[i])));
  const auto gradient = Gradient(s, qkv32, dout32);
  for (size_t i = 0; i < dqkv.size(); ++i)
    ASSERT_NEAR(ToFloat(dqkv[i]), gradient[i], 2e-2 * (1 + std::abs(gradient[i])));
}

INSTANTIATE_TEST_SUITE_P(Ropes, AttentionBf16, testing::Values(Rope::kNone, Rope::kHalf, Rope::kInterleaved));

TEST(Attention, LargeLogitsStayFinite) {
  const AttentionShape s = Shape(1, 64, 1, 64, 32);
  const auto qkv = Normals(Rows(s) * 3 * Width(s), 16, 100), dout = Normals(Rows(s) * Width(s), 17);
  const Output y = Evaluate(s, qkv);
  for (float x : y.out) ASSERT_TRUE(std::isfinite(x));
  for (float x : Gradient(s, qkv, dout)) ASSERT_TRUE(std::isfinite(x));
  ExpectNear(y.out, Reference(s, Doubles(qkv)), 1e-2);
}

}  // namespace
}  // namespace flashlm::kernels
