// Matrices that stay in the map of a packed file until a product or somebody who wants floats asks for them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/param_bank.h"

namespace flashlm::packed {

// values [rows, cols] of a section of int8: the scales, then the integers.
void ExpandInt8(const uint8_t* section, int64_t rows, int64_t cols, float* values);

// `file` holds what the pointers point into. scales: one a row.
KeptParam KeepInt8(const std::shared_ptr<const MappedFile>& file, const uint8_t* section, int64_t rows, int64_t cols);
KeptParam KeepTrits(const std::shared_ptr<const MappedFile>& file, const uint8_t* digits, std::vector<float> scales,
                    int64_t cols);

}  // namespace flashlm::packed
