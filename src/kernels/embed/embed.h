// Embedding rows: gather in the forward pass, scatter-add in the backward pass.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y[n] = scale * table[tokens[n]]; table f32 [V,C], y f32 [N,C].
void Embed(const Matrix& table, const int32_t* tokens, const Matrix& y, float scale = 1);
// dtable[tokens[n]] += scale * dy[n], in the order of n whatever the number of threads (threads split columns or rows
// of the table, never one sum).
void EmbedGrad(const int32_t* tokens, const Matrix& dy, const Matrix& dtable, float scale = 1);

}  // namespace flashlm::kernels
