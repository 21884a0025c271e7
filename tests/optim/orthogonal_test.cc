#include "optim/orthogonal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/gemm/precision.h"
#include "optim/optimizer.h"

namespace flashlm {
namespace {

using Doubles = std::vector<double>;

// rows orthonormal rows of [rows, cols], rows <= cols: normals, made so by Gram and Schmidt.
Doubles OrthonormalRows(int rows, int cols, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  Doubles q(static_cast<size_t>(rows * cols));
  for (double& v : q) v = rng.Normal();
  for (int r = 0; r < rows; ++r) {
    double* row = q.data() + r * cols;
    for (int pass = 0; pass < 2; ++pass) {
      for (int s = 0; s < r; ++s) {
        const double* other = q.data() + s * cols;
        double dot = 0;
        for (int c = 0; c < cols; ++c) dot += row[c] * other[c];
        for (int c = 0; c < cols; ++c) row[c] -= dot * other[c];
      }
    }
    double norm = 0;
    for (int c = 0; c < cols; ++c) norm += row[c] * row[c];
    for (int c = 0; c < cols; ++c) row[c] /= std::sqrt(norm);
  }
  return q;
}

// A matrix of known decomposition U diag(values) V^T, and the orthogonal matrix U V^T nearest to it.
struct Decomposed {
  int rows, cols;
  std::vector<float> x;
  Doubles u, v;  // U^T [n, short side], V^T [n, long side]
  Doubles nearest;

  Decomposed(int rows, int cols, const Doubles& values) : rows(rows), cols(cols) {
    const int n = std::min(rows, cols);
    u = OrthonormalRows(n, rows, 1);
    v = OrthonormalRows(n, cols, 2);
    Doubles exact(static_cast<size_t>(rows * cols));
    nearest.resize(exact.size());
    for (int k = 0; k < n; ++k) {
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < cols; ++c) {
          const double outer = u[static_cast<size_t>(k * rows + r)] * v[static_cast<size_t>(k * cols + c)];
          exact[static_cast<size_t>(r * cols + c)] += values[static_cast<size_t>(k)] * outer;
          nearest[static_cast<size_t>(r * cols + c)] += outer;
        }
      }
    }
    x.assign(exact.begin(), exact.end());
  }
  // What became of singular value k in y: u_k^T y v_k.
  double Value(const std::vector<float>& y, int k) const {
    double sum = 0;
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        sum += u[static_cast<size_t>(k * rows + r)] * v[static_cast<size_t>(k * cols + c)] *
               y[static_cast<size_t>(r * cols + c)];
      }
    }
    return sum;
  }
};

// From 1 to e^-range, geometric.
Doubles Spectrum(int n, double range) {
  Doubles values;
  for (int i = 0; i < n; ++i) values.push_back(std::exp(-range * i / (n - 1)));
  return values;
}

template <class A, class B>
double Cosine(const A& a, const B& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return ab / std::sqrt(aa * bb);
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

std::vector<float> Result(const Decomposed& m, const Orthogonalization& how) {
  std::vector<float> x = m.x;
  Orthogonalize(x.data(), m.rows, m.cols, how);
  return x;
}

constexpr Orthogonalization kQuintic5 = {}, kAol4 = {.steps = 4, .form = MuonForm::kAol},
                            kAol5 = {.steps = 5, .form = MuonForm::kAol};

TEST(OrthogonalTest, ComesAsNearToTheExactMatrixAsPublished) {
  struct Case {
    double range, quintic, aol4, aol5;
  };
  for (const Case& c : {Case{4, 0.983, 0.996, 0.997}, Case{7, 0.94, 0.91, 0.975}}) {
    for (const auto& [rows, cols] : {std::pair{64, 256}, std::pair{256, 64}, std::pair{64, 64}}) {
      const Decomposed m(rows, cols, Spectrum(64, c.range));
      EXPECT_GT(Cosine(Result(m, kQuintic5), m.nearest), c.quintic) << rows << " x " << cols << ", e^-" << c.range;
      EXPECT_GT(Cosine(Result(m, kAol4), m.nearest), c.aol4) << rows << " x " << cols << ", e^-" << c.range;
      EXPECT_GT(Cosine(Result(m, kAol5), m.nearest), c.aol5) << rows << " x " << cols << ", e^-" << c.range;
    }
  }
}

// More rows than of a symmetric product are computed at once: several blocks, of which one is not whole.
TEST(OrthogonalTest, ManyRowsComeAsNear) {
  for (const auto& [rows, cols] : {std::pair{131, 300}, std::pair{300, 131}, std::pair{200, 200}}) {
    const Decomposed m(rows, cols, Spectrum(std::min(rows, cols), 4));
    EXPECT_GT(Cosine(Result(m, kQuintic5), m.nearest), 0.983) << rows << " x " << cols;
    EXPECT_GT(Cosine(Result(m, kAol4), m.nearest), 0.996) << rows << " x " << cols;
    EXPECT_GT(Cosine(Result(m, kAol5), m.nearest), 0.997) << rows << " x " << cols;
  }
}

// Rows (and, in a tall matrix, columns) of very different size: what AOL's scaling is for.
TEST(OrthogonalTest, AolEvensOutRowsOfDifferentSize) {
  const Decomposed m(48, 96, Spectrum(48, 0.1));
  for (const bool tall : {false, true}) {
    std::vector<float> x(m.x.size()), y(x.size());
    for (int r = 0; r < 48; ++r) {
      for (int c = 0; c < 96; ++c) {
        const size_t at = static_cast<size_t>(tall ? c * 48 + r : r * 96 + c);
        x[at] = m.x[static_cast<size_t>(r * 96 + c)] * std::pow(10.0f, static_cast<float>(r % 7 - 3));
        y[at] = static_cast<float>(m.nearest[static_cast<size_t>(r * 96 + c)]);
      }
    }
    std::vector<float> quintic = x;
    Orthogonalize(x.data(), tall ? 96 : 48, tall ? 48 : 96, kAol4);
    Orthogonalize(quintic.data(), tall ? 96 : 48, tall ? 48 : 96, kQuintic5);
    EXPECT_GT(Cosine(x, y), 0.98) << tall;
    EXPECT_LT(Cosine(quintic, y), 0.9) << tall;
  }
}

// A gradient of low rank has one large singular value, which AOL's scaling leaves at 1: there a polynomial may turn
// the sign, and the update would climb.
TEST(OrthogonalTest, NoDirectionIsTurnedAround) {
  for (const double rest : {0.0, 1e-3, 0.03}) {
    Doubles values(32, rest);
    values[0] = 1;
    for (const auto& [rows, cols] : {std::pair{32, 80}, std::pair{80, 32}}) {
      const Decomposed m(rows, cols, values);
      for (Orthogonalization how : {kQuintic5, kAol4, kAol5}) {
        for (const bool gram : {false, true}) {
          how.gram = gram;
          const std::vector<float> y = Result(m, how);
          EXPECT_GT(m.Value(y, 0), 0.6) << rest;
          EXPECT_GT(m.Value(y, 7), rest > 0.01 ? 0.6 : -1e-3) << rest;
        }
      }
    }
  }
}

TEST(OrthogonalTest, TheGramFormIsTheOrdinaryOne) {
  for (const auto& [rows, cols] : {std::pair{48, 192}, std::pair{192, 48}, std::pair{40, 80}, std::pair{99, 33}}) {
    const Decomposed m(rows, cols, Spectrum(std::min(rows, cols), 4));
    for (Orthogonalization how : {kQuintic5, kAol4, kAol5, Orthogonalization{.steps = 1, .form = MuonForm::kAol}}) {
      const std::vector<float> ordinary = Result(m, how);
      how.gram = true;
      const std::vector<float> gram = Result(m, how);
      EXPECT_LT(Distance(gram, ordinary), 1e-4) << rows << " x " << cols;
      EXPECT_EQ(gram == ordinary, how.steps == 1);
      if (!kernels::MultipliesBf16()) continue;
      how.operands = DType::kBF16;
      EXPECT_LT(Distance(Result(m, how), ordinary), 0.05) << rows << " x " << cols;
      how.gram = false;
      EXPECT_LT(Distance(Result(m, how), ordinary), 0.05) << rows << " x " << cols;
    }
  }
}

// Nearly square, it would cost more than it saves.
TEST(OrthogonalTest, TheGramFormIsLeftToLongMatrices) {
  const Decomposed m(32, 63, Spectrum(32, 3));
  Orthogonalization how = kAol4;
  const std::vector<float> ordinary = Result(m, how);
  how.gram = true;
  EXPECT_EQ(Result(m, how), ordinary);
}

TEST(OrthogonalTest, NeitherScaleNorZeroMatters) {
  const Decomposed m(24, 60, Spectrum(24, 2));
  for (Orthogonalization how : {kQuintic5, kAol4}) {
    for (const bool gram : {false, true}) {
      how.gram = gram;
      const std::vector<float> wanted = Result(m, how);
      const float small = how.form == MuonForm::kAol ? 1e-6f : 1e-2f;  // quintic adds 1e-7 to the norm
      for (const float scale : {small, 1e6f}) {
        std::vector<float> x = m.x;
        for (float& v : x) v *= scale;
        Orthogonalize(x.data(), m.rows, m.cols, how);
        EXPECT_LT(Distance(x, wanted), 2e-4) << scale;
      }
      std::vector<float> zero(24 * 60), partly = m.x;
      Orthogonalize(zero.data(), 24, 60, how);
      EXPECT_EQ(zero, std::vector<float>(24 * 60));
      std::fill_n(partly.begin() + 60, 60, 0.0f);  // a row
      Orthogonalize(partly.data(), 24, 60, how);
      EXPECT_EQ(std::vector<float>(partly.begin() + 60, partly.begin() + 120), std::vector<float>(60));
      for (float v : partly) ASSERT_TRUE(std::isfinite(v));
    }
  }
}

TEST(OrthogonalTest, AolHasFiveSteps) {
  ParamBank bank;
  bank.Add({.name = "matrix", .shape = {8, 8}, .init = Init::Zero()});
  bank.Allocate(true);
  OptimConfig config;
  config.optimizer = "muon";
  FieldsFromJson({{"muon_form", "aol"}, {"muon_steps", 6}}, "optim", config);
  EXPECT_THROW(Optimizer(config, bank), UsageError);
  config.optimizer = "adamw";  // of a rule that is not used nothing is asked
  EXPECT_NO_THROW(Optimizer(config, bank));
  FieldsFromJson({{"optimizer", "muon"}, {"muon_steps", 5}}, "optim", config);
  EXPECT_NO_THROW(Optimizer(config, bank));
}

}  // namespace
}  // namespace flashlm
