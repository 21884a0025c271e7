#include "tensor/sparse_table.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/embed/embed.h"

namespace flashlm {

void SparseTable::Allocate(bool for_training) {
  FLASHLM_CHECK(values_ == nullptr, "table '{}' allocated twice", name_);
  values_ = AllocateZeroed(size());
  if (for_training) places_.assign(static_cast<size_t>(rows_), -1);
}

int32_t SparseTable::PlaceOf(int32_t row) {
  int32_t& place = places_[static_cast<size_t>(row)];
  if (place >= 0) return place;
  place = static_cast<int32_t>(touched_.size());
  touched_.push_back(row);
  const size_t begin = static_cast<size_t>(place) * static_cast<size_t>(cols_),
               end = begin + static_cast<size_t>(cols_);
  if (gradients_.size() < end) gradients_.resize(std::max(end, 2 * gradients_.size()));
  std::fill(gradients_.begin() + static_cast<std::ptrdiff_t>(begin),
            gradients_.begin() + static_cast<std::ptrdiff_t>(end), 0.0f);
  return place;
}

void SparseTable::AddGradient(const int32_t* rows, const kernels::Matrix& dy) {
  FLASHLM_CHECK(!places_.empty(), "table '{}' was loaded for inference only", name_);
  FLASHLM_CHECK(dy.cols == cols_, "a gradient of {} columns for table '{}' of {}", dy.cols, name_, cols_);
  found_.resize(static_cast<size_t>(dy.rows));
  for (size_t n = 0; n < found_.size(); ++n) found_[n] = PlaceOf(rows[n]);
  const auto touched = static_cast<int64_t>(touched_.size());
  kernels::EmbedGrad(found_.data(), dy, {gradients_.data(), DType::kF32, touched, cols_, cols_});
}

void SparseTable::ClearGradients() {
  for (const int32_t row : touched_) places_[static_cast<size_t>(row)] = -1;
  touched_.clear();
}

std::vector<float> SparseTable::DenseGradient() const {
  std::vector<float> dense(static_cast<size_t>(size()));
  for (size_t i = 0; i < touched_.size(); ++i) {
    std::copy_n(gradients_.begin() + static_cast<std::ptrdiff_t>(i) * cols_, cols_,
                dense.begin() + int64_t{touched_[i]} * cols_);
  }
  return dense;
}

}  // namespace flashlm
