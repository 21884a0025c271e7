// The matrix products of a training step in int8 (docs/spec/integers.md): operands are rounded to integers with one
// scale per line that a sum does not run along, sums are exact, and what leaves a product is float again.
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

// Tokens in blocks of kTokensOfABlock, each column of a block rounded with a scale of its own (max / 127).
constexpr int64_t kTokensOfABlock = 128;

// What it points to is laid out for products that sum over the tokens of a block: four tokens of a column in a 32-bit
// word, the words of 16 columns side by side.
class TokenBlocks {
 public:
  // The two sides of a product: integers as they are, or plus 128, as the CPU wants one of the two.
  enum class Side : uint8_t { kSigned, kOffset };

  // Bytes of memory for [rows, cols].
  static int64_t Bytes(int64_t rows, int64_t cols);
  // `memory`: aligned to 64 bytes, not owned.
  TokenBlocks(int64_t rows, int64_t cols, Side side, void* memory);

  // Rounds tokens [first, first + x.rows) of all; first is a multiple of kTokensOfABlock, and so is x.rows unless they
  // are the last. x: f32 or bf16 [.., cols], each row times its factor of token_factors [x.rows] if there are any.
  void Round(const Matrix& x, int64_t first, const Rounding& rounding = {}, const float* token_factors = nullptr) const;
  // The same from integers q int8 [.., cols], each with a scale of 1: their scales, one for a token, are then factors
  // of the other operand. Only for kOffset.
  void Take(const Matrix& q, int64_t first) const;

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t blocks() const { return (rows_ + kTokensOfABlock - 1) / kTokensOfABlock; }
  int64_t groups() const { return (cols_ + 15) / 16; }
  // Of block b, columns from 16 g on: [kTokensOfABlock / 4][16][4], the scales [16], the sums of the integers [16].
  int8_t* words(int64_t b, int64_t g) const { return words_ + (b * groups() + g) * kTokensOfABlock * 16; }
  float* scales(int64_t b, int64_t g) const { return scales_ + (b * groups() + g) * 16; }
  int32_t* sums(int64_t b, int64_t g) const { return sums_ + (b * groups() + g) * 16; }
  Side side() const { return side_; }

 private:
  void CheckTokens(const Matrix& x, int64_t first) const;

  int64_t rows_, cols_;
  Side side_;
  int8_t* words_;
  float* scales_;
  int32_t* sums_;
};

// dw[out,in] (f32) += dy^T x, block after block. dy: kOffset, x: kSigned, of equally many tokens.
void AddTokenProduct(const TokenBlocks& dy, const TokenBlocks& x, const Matrix& dw);

// dw[out,in] (f32) += (q scale of the row)^T x. q: int8 [N,out] and scales [N], as they are for InputGradient: one
// rounding serves both, the scales being factors of x's rows here. x: f32 or bf16 [N,in].
void Int8WeightGradient(const Matrix& q, const float* scales, const Matrix& x, const Matrix& dw,
                        const Rounding& rounding_of_x = {});

}  // namespace flashlm::kernels
