// What looks a fixed number of positions back: token shift (docs/spec/thunderbolt.md) and pairs of a position and an
// earlier one (docs/spec/supernova.md#p-rcsm). Before the first position of a sequence there are zeros, or what the
// stream's state holds.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct ShiftShape {
  int64_t batch = 0, length = 0, lag = 1;  // B, T, positions back
};

// y_t = m x_t + (1 - m) x_{t-1}, m = sigmoid(mix). x, y [B*T, C] of one element type; mix [C]; shape.lag = 1.
// state [B, C]: as UpdateHistory leaves it; null: zeros. The state is read, not changed.
void TokenShift(const ShiftShape& shape, const Matrix& x, const float* mix, const float* state, const Matrix& y);
// For sequences that started with zeros. dx = or += by `accumulate`; dmix += its gradient, summed in fixed blocks of
// rows, in order. scratch: TokenShiftGradScratch(B * T, C) floats.
void TokenShiftGrad(const ShiftShape& shape, const Matrix& x, const float* mix, const Matrix& dy, const Matrix& dx,
                    bool accumulate, float* dmix, float* scratch);
int64_t TokenShiftGradScratch(int64_t rows, int64_t cols);

// y_t = x_t | x_{t-lag}. x [B*T, C], y [B*T, 2C] of one element type. state [B, lag, C] as above.
void PairWithPast(const ShiftShape& shape, const Matrix& x, const float* state, const Matrix& y);
void PairWithPastGrad(const ShiftShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate);

// state [B, lag, C] <- the last `lag` rows of each sequence, the oldest first: of x and, where x has fewer, of the
// state itself.
void UpdateHistory(const ShiftShape& shape, const Matrix& x, float* state);

}  // namespace flashlm::kernels
