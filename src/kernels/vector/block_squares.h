// SumOfSquares (kernels/vector/vector.h) in the pieces that it is made of, for who has only some of the elements.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

// Elements of a block; at most kMostSquareBlocks of them are n elements.
constexpr int64_t kMostSquareBlocks = 512;
int64_t SquareBlock(int64_t n);

// sums[b] of the blocks [first, last) of x [n]. SumOfSquares is their sum over all blocks, in order, from 0 on.
void SumSquareBlocks(const float* x, int64_t n, int64_t first, int64_t last, double* sums);

}  // namespace flashlm::kernels
