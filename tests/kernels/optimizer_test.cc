#include "kernels/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/optimizer/ref.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/normals.h"

namespace flashlm::kernels {
namespace {

std::vector<double> Widened(const std::vector<float>& x) { return {x.begin(), x.end()}; }

TEST(AdamW, FollowsTheReferenceForSeveralSteps) {
  for (int64_t n : {1, 7, 33, 257, 40000}) {
    std::vector<float> theta = Normals(n, 1), m(theta.size()), v(theta.size());
    std::vector<double> theta64 = Widened(theta), m64(theta.size()), v64(theta.size());
    for (int64_t step = 1; step <= 5; ++step) {
      const AdamWStep how{.lr = 1e-2, .weight_decay = 0.1, .step = step, .gradient_scale = 0.25};
      std::vector<float> gradient = Normals(n, static_cast<uint64_t>(step + 1));
      ref::AdamW(how, n, theta64.data(), Widened(gradient).data(), m64.data(), v64.data());
      AdamW(how, n, theta.data(), gradient.data(), m.data(), v.data());
      EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0f));
    }
    for (size_t i = 0; i < theta.size(); ++i) {
      ASSERT_NEAR(theta[i], theta64[i], 2e-6 * (1 + std::abs(theta64[i]))) << n << " " << i;
      ASSERT_NEAR(m[i], m64[i], 1e-6);
      ASSERT_NEAR(v[i], v64[i], 1e-6);
    }
  }
}

TEST(AdamW, LeavesAParameterWithoutGradientToDecayAlone) {
  float theta = 2, gradient = 0, m = 0, v = 0;
  AdamW({.lr = 0.5, .weight_decay = 0.5}, 1, &theta, &gradient, &m, &v);
  EXPECT_EQ(theta, 1.5f);
}

TEST(AdamW, DecaysCautiouslyAsTheReference) {
  constexpr int64_t kSize = 1003;
  std::vector<float> theta = Normals(kSize, 1), m(theta.size()), v(theta.size());
  std::vector<double> theta64 = Widened(theta), m64(theta.size()), v64(theta.size());
  for (int64_t step = 1; step <= 3; ++step) {
    const AdamWStep how{.lr = 1e-2, .weight_decay = 5, .cautious = true, .step = step};
    std::vector<float> gradient = Normals(kSize, static_cast<uint64_t>(step + 1));
    ref::AdamW(how, kSize, theta64.data(), Widened(gradient).data(), m64.data(), v64.data());
    AdamW(how, kSize, theta.data(), gradient.data(), m.data(), v.data());
  }
  for (size_t i = 0; i < theta.size(); ++i) ASSERT_NEAR(theta[i], theta64[i], 3e-6) << i;
}

TEST(AdamW, DoesNotDependOnThreads) {
  ExpectSameWithAnyThreads([] {
    std::vector<float> theta = Normals(100001, 1), gradient = Normals(100001, 2), m(theta.size()), v(theta.size());
    AdamW({.lr = 1e-3, .weight_decay = 0.1}, 100001, theta.data(), gradient.data(), m.data(), v.data());
    return theta;
  });
}

struct RowsRule {
  double beta1, beta2;
};
constexpr RowsRule kRowsRules[] = {{0, 1}, {0, 0.95}, {0.9, 0.95}, {0.9, 1}};

// A table in float with what is remembered of it.
struct Table {
  std::vector<float> values, m, v, at;
  Table(int64_t rows, int64_t cols)
      : values(Normals(rows * cols, 1)), m(values.size()), v(static_cast<size_t>(rows)), at(v.size()) {}
  AdamRowsState State(const RowsRule& rule) {
    const bool times = rule.beta1 > 0 || rule.beta2 < 1;
    return {rule.beta1 > 0 ? m.data() : nullptr, v.data(), times ? at.data() : nullptr};
  }
};

// Row r is read in every step that r + 1 divides, the last rows hardly ever, in a mixed order.
std::vector<int32_t> RowsRead(int32_t rows, int64_t step) {
  std::vector<int32_t> read;
  for (int32_t r = rows - 1; r >= 0; --r) {
    if (step % (r + 1) == 0) read.push_back(r);
  }
  return read;
}

// The definition passes over the whole table in every step, with a gradient of zero where nothing was read.
TEST(AdamRows, EqualsAnUpdateOfTheWholeTable) {
  constexpr int32_t kRows = 12;
  for (const int64_t cols : {1, 19, 64}) {
    for (const RowsRule& rule : kRowsRules) {
      Table table(kRows, cols);
      std::vector<double> values = Widened(table.values), m(values.size()), v(kRows);
      for (int64_t step = 1; step <= 30; ++step) {
        const AdamRowsStep how{
            .lr = 1e-2, .beta1 = rule.beta1, .beta2 = rule.beta2, .step = step, .gradient_scale = 0.25};
        const std::vector<int32_t> read = RowsRead(kRows, step);
        const std::vector<float> gradients = Normals(std::ssize(read) * cols, static_cast<uint64_t>(step + 1));
        AdamRows(how, read.data(), std::ssize(read), cols, gradients.data(), table.values.data(), table.State(rule));
        std::vector<double> dense(values.size());
        for (size_t i = 0; i < read.size(); ++i) {
          std::copy_n(gradients.begin() + static_cast<int64_t>(i) * cols, cols, dense.begin() + read[i] * cols);
        }
        for (int64_t r = 0; r < kRows; ++r) {
          ref::AdamRow(how, cols, values.data() + r * cols, dense.data() + r * cols, m.data() + r * cols, &v[r]);
        }
        for (const int32_t r : read) {
          ASSERT_NEAR(table.v[static_cast<size_t>(r)], v[static_cast<size_t>(r)], 2e-6 * (1 + v[r])) << step;
          for (int64_t i = r * cols; rule.beta1 > 0 && i < (r + 1) * cols; ++i) {
            ASSERT_NEAR(table.m[static_cast<size_t>(i)], m[static_cast<size_t>(i)], 1e-6) << step;
          }
        }
      }
      for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(table.values[i], values[i], 1e-5) << cols << " " << i;
    }
  }
}

// One column per row, all rows read in every step: what AdamW makes of a vector.
TEST(AdamRows, OfSingleColumnsIsAdamW) {
  constexpr int64_t kRows = 33;
  Table table(kRows, 1);
  std::vector<float> theta = table.values, m(theta.size()), v(theta.size());
  for (int64_t step = 1; step <= 6; ++step) {
    std::vector<float> gradient = Normals(kRows, static_cast<uint64_t>(step + 1));
    std::vector<int32_t> rows(kRows);
    for (int32_t r = 0; r < kRows; ++r) rows[static_cast<size_t>(r)] = r;
    AdamRows({.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .step = step}, rows.data(), kRows, 1, gradient.data(),
             table.values.data(), table.State({0.9, 0.95}));
    AdamW({.lr = 1e-2, .step = step}, kRows, theta.data(), gradient.data(), m.data(), v.data());
  }
  for (size_t i = 0; i < theta.size(); ++i) EXPECT_NEAR(table.values[i], theta[i], 1e-6);
}

// A row that was not read is neither changed nor looked at: NaN there stays alone.
TEST(AdamRows, TouchesNothingElse) {
  constexpr int32_t kRows = 5;
  constexpr int64_t kCols = 7;
  for (const RowsRule& rule : kRowsRules) {
    Table table(kRows, kCols);
    const int32_t read = 2;
    for (int32_t r = 0; r < kRows; ++r) {
      if (r == read) continue;
      table.v[static_cast<size_t>(r)] = table.at[static_cast<size_t>(r)] = NAN;
      for (int64_t c = 0; c < kCols; ++c) {
        table.values[static_cast<size_t>(r * kCols + c)] = table.m[static_cast<size_t>(r * kCols + c)] = NAN;
      }
    }
    const std::vector<float> gradient = Normals(kCols, 2);
    AdamRows({.lr = 0.1, .beta1 = rule.beta1, .beta2 = rule.beta2}, &read, 1, kCols, gradient.data(),
             table.values.data(), table.State(rule));
    for (int32_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kCols; ++c) {
        EXPECT_EQ(std::isnan(table.values[static_cast<size_t>(r * kCols + c)]), r != read) << r << " " << c;
      }
    }
  }
}

TEST(AdamRows, DoesNotDependOnThreads) {
  constexpr int32_t kRows = 3000;
  constexpr int64_t kCols = 33;
  ExpectSameWithAnyThreads([] {
    Table table(kRows, kCols);
    std::vector<int32_t> rows;
    for (int32_t r = 0; r < kRows; r += 2) rows.push_back(kRows - 1 - r);
    const std::vector<float> gradients = Normals(std::ssize(rows) * kCols, 2);
    AdamRows({.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .step = 4}, rows.data(), std::ssize(rows), kCols,
             gradients.data(), table.values.data(), table.State({0.9, 0.95}));
    return table.values;
  });
}

}  // namespace
}  // namespace flashlm::kernels
