// The matrix products of a training step in int8 (docs/spec/integers.md): operands are rounded to integers with one
// scale per line, sums are exact, and what leaves a product is float again.
//
// On CPUs with VNNI; elsewhere plain loops give the same bits. Wortsman et al. 2023 ("SwitchBack") round the first two
// of the three products like this, Xi et al. 2024 ("Jetfire") the third in blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "kernels/gemm/few_rows_int8.h"
#include "kernels/gemm/made_once.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// How a number between two integers becomes one of them: the nearer (half to even), or by chance, so that it is the
// number on average. What chance decides is a function of (key, step, row, column) alone.
struct Rounding {
  bool stochastic = false;
  PhiloxKey key{};
  uint64_t step = 0;
};

// Per row r: scales[r] = max |x[r]| / 127, q[r] = x[r] / scales[r] rounded (a row of zeros: scale 0). x: f32 or bf16
// [N,C], rows [first_row, first_row + N) of those that chance decides for; q: int8.
void RoundRows(const Matrix& x, const Matrix& q, float* scales, const Rounding& rounding, int64_t first_row);

// A float matrix W [out,in] as products read it from either side, by any number of threads at once.
class TrainingInt8Weight {
 public:
  // w (contiguous) must stay unchanged until the next call; it is rounded at the first product that wants it.
  void SetValues(const float* w, int64_t out, int64_t in);

  // y[N,out] (f32 or bf16) = or += (q scale of the row) W^T, W with a scale per output. q: int8 [N,in], scales: [N].
  void Forward(const Matrix& q, const float* scales, const Matrix& y, bool accumulate);
  // dx[N,in] = or += (q scale of the row) W, W with a scale per input. q: int8 [N,out], scales: [N].
  void InputGradient(const Matrix& q, const float* scales, const Matrix& dx, bool accumulate);
  // Rounds it for either product if there were some of the values before these.
  void RenewForward();
  void RenewInputGradient();

 private:
  // W or its transpose, each row rounded: panels where they are read (HasVnni), else rows.
  struct Side {
    std::vector<int8_t> rows;
    std::vector<float> scales;
    Int8Panels panels;
    MadeOnce rounded;

    // lines(begin, end): these rows [end - begin, length], at most kLines of them, until it is called again.
    template <class Lines>
    void Round(int64_t count, int64_t length, const Lines& lines);
    void Multiply(const Matrix& q, const float* row_scales, const Matrix& y, bool accumulate);
  };

  void RoundOutputs();
  void RoundInputs();

  const float* source_ = nullptr;
  int64_t out_ = 0, in_ = 0;
  Side outputs_, inputs_;  // W by outputs, its transpose by inputs
};

constexpr int64_t kTokensOfABlock = 128;

// dw[out,in] (f32) += (q scale of the row)^T x. q: int8 [N,out] and scales [N], as they are for InputGradient: one
// rounding serves both. x: f32 or bf16 [N,in]; each row times its scale, then columns in blocks of kTokensOfABlock
// rows rounded as `rounding_of_x` says, the blocks one after the other. Working memory is the thread's, for
// 4 kTokensOfABlock rows.
void Int8WeightGradient(const Matrix& q, const float* scales, const Matrix& x, const Matrix& dw,
                        const Rounding& rounding_of_x = {});

}  // namespace flashlm::kernels
