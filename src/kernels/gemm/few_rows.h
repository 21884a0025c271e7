// Products of a few rows with a weight matrix: what decoding does, for one stream or many, and reading a short prompt.
// With one row they are bound by reading the weights once; nothing needs to be prepared for a new number of rows.
#pragma once

#include "kernels/gemm/panels.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// Outputs of a panel that FewRowsProduct reads, which depends on the instruction set in use.
int64_t PanelOutputs();

// y[N,O] = x[N,I] W^T (+ y if accumulate), meant for N up to some dozens; x and y f32 or bf16, w f32 or bf16 in panels
// of PanelOutputs(). Sums are f32. x keeps its precision, but where the CPU multiplies bf16 itself and both x and w are
// bf16, it does. Every row of x gives the same bits whatever N is and however many threads there are.
void FewRowsProduct(const Matrix& x, const Panels& w, const Matrix& y, bool accumulate);

}  // namespace flashlm::kernels
