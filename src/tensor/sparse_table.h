// A table of which a step reads few of its rows, as embeddings of hashed n-grams: 10^5 to 10^7 rows. It lies outside of
// the bank's flat arrays, so that no sweep passes over it: gradients exist for the rows alone that were read, and what
// a step costs depends on what it read, not on the table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/matrix.h"
#include "tensor/zeroed.h"

namespace flashlm {

class SparseTable {
 public:
  SparseTable(std::string name, int rows, int cols) : name_(std::move(name)), rows_(rows), cols_(cols) {}
  SparseTable(const SparseTable&) = delete;
  SparseTable& operator=(const SparseTable&) = delete;

  const std::string& name() const { return name_; }
  int rows() const { return rows_; }
  int cols() const { return cols_; }
  int64_t size() const { return int64_t{rows_} * cols_; }

  // Values only, or also what finds a row's gradient: 4 bytes a row. Everything is zero afterwards.
  void Allocate(bool for_training);
  float* values() const { return values_.get(); }
  kernels::Matrix matrix() const { return {values(), DType::kF32, rows_, cols_, cols_}; }

  // The gradient of row rows[n] += dy[n], in the order of n whatever the number of threads; dy f32 [N, cols].
  void AddGradient(const int32_t* rows, const kernels::Matrix& dy);
  // The rows that got a gradient since the last ClearGradients, each once, in the order in which they were met, and
  // their gradients [touched().size(), cols].
  std::span<const int32_t> touched() const { return touched_; }
  float* gradients() { return gradients_.data(); }
  int64_t gradient_size() const { return static_cast<int64_t>(touched_.size()) * cols_; }
  void ClearGradients();
  // All rows' gradients [rows, cols], zero where there is none: for checks.
  std::vector<float> DenseGradient() const;

 private:
  // Where the gradient of `row` lies among the touched.
  int32_t PlaceOf(int32_t row);

  std::string name_;
  int rows_, cols_;
  ZeroedFloats values_;
  std::vector<int32_t> places_;   // [rows]: where a row's gradient lies, -1 for none; empty outside training
  std::vector<int32_t> touched_;  // rows, by place
  std::vector<float> gradients_;  // [touched, cols], and room for more
  std::vector<int32_t> found_;    // [N] places of the rows of one call, kept between calls
};

}  // namespace flashlm
