// The operands of products that sum over tokens, as the CPU's dot products of four bytes want them.
#pragma once

#include <cstdint>

#include "kernels/gemm/int8_training.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// int8 [N,C] with a scale per column of each block of kTokensOfABlock tokens: four tokens of a column in a 32-bit word,
// the words of 16 columns side by side. Tokens beyond N are zeros.
class TokenBlocks {
 public:
  // Bytes of memory for [rows, cols].
  static int64_t Bytes(int64_t rows, int64_t cols);

  // Both fill `memory`, aligned to 64 bytes, not owned.
  //
  // x (f32 or bf16), each row times its factor of factors [N], columns of a block rounded with a scale of their own;
  // chance decides as for rows from `first_row` on. For the signed operand of a product.
  static TokenBlocks Rounded(const Matrix& x, const float* factors, const Rounding& rounding, int64_t first_row,
                             void* memory);
  // Integers q (int8) as they are, with scales of 1, plus 128. For the operand without a sign.
  static TokenBlocks Taken(const Matrix& q, void* memory);

  int64_t blocks() const { return (rows_ + kTokensOfABlock - 1) / kTokensOfABlock; }
  int64_t groups() const { return (cols_ + 15) / 16; }
  // Of block b, columns from 16 g on: [kTokensOfABlock / 4][16][4], the scales [16], the sums of the integers [16]
  // (which Taken leaves as they were).
  int8_t* words(int64_t b, int64_t g) const { return words_ + (b * groups() + g) * kTokensOfABlock * 16; }
  float* scales(int64_t b, int64_t g) const { return scales_ + (b * groups() + g) * 16; }
  int32_t* sums(int64_t b, int64_t g) const { return sums_ + (b * groups() + g) * 16; }

 private:
  TokenBlocks(int64_t rows, int64_t cols, void* memory);

  int64_t rows_, cols_;
  int8_t* words_;
  float* scales_;
  int32_t* sums_;
};

}  // namespace flashlm::kernels
