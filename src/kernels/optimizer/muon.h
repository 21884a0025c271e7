// What Muon does to a matrix beside products: momentum, the polynomials of its Newton-Schulz iterations, the
// preconditioning of "Turbo-Muon" (arXiv 2512.04632), sums over rows and columns, and a step with cautious decay.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// moment <- mu moment + gradient;  update <- own gradient + mu moment, own = 1 being Nesterov's momentum;
// gradient <- 0. n elements each, none of which overlap.
void NesterovMomentum(float mu, float own, int64_t n, float* gradient, float* moment, float* update);

// square <- a I + b gram + c square, both [N,N] and of one element type.
void QuinticPolynomial(float a, float b, float c, const Matrix& gram, const Matrix& square);

// scales[N] = 1 / sqrt(sum of |gram| over each row [N,N]): D X with D = diag(scales) has no singular value above 1 if
// gram = X X^T. Of a row of zeros it is finite.
void AolScales(const Matrix& gram, float* scales);

// Sums of the squares of x [R,C] (f32): over each row, sums [R], or over each column, sums [C].
void LineSquares(const Matrix& x, bool by_row, float* sums);

// values <- keep values - rate update where update and value have one sign, elsewhere values - rate update: decay that
// never works against the step (arXiv 2510.12402). n elements; rate and keep >= 0.
void CautiousStep(float rate, const float* update, float keep, int64_t n, float* values);

}  // namespace flashlm::kernels
