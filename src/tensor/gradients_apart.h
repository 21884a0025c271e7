// Gradients of a bank's parameters that one of several passes collects for itself; afterwards they are added up in an
// order that does not depend on which pass was done first, or where (cluster/leaf_tree.h).
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/param_bank.h"

namespace flashlm {

class GradientsApart {
 public:
  // All zero. The bank must be allocated for training and outlive this.
  explicit GradientsApart(const ParamBank& bank);

  // [p.rows, p.cols], any of which may be added to.
  float* Of(const Param& p);
  // The same where only the n rows named are added to: of a table that is looked up, few of many.
  float* OfRows(const Param& p, const int32_t* rows, int64_t n);

  // The bank's gradients += these, which are zero afterwards.
  void MoveTo(ParamBank& bank);
  // The same to others of the bank.
  void MoveTo(GradientsApart& other);
  // All are zero again.
  void Clear();

  // As the bank's own: [bank.size()].
  const float* data() const { return gradients_.get(); }

 private:
  struct Range {
    int64_t begin, end;
  };
  // Rows of `cols` floats from `offset` on: places_[begin, end).
  struct Rows {
    int64_t offset;
    int32_t cols;
    size_t begin, end;
  };
  bool IsWhole(int64_t begin, int64_t end) const;
  void MakeWhole(Range range);
  void AddRows(int64_t offset, int32_t cols, const int32_t* rows, size_t n);
  // What is here to an array of the same offsets; zeros stay.
  void AddTo(float* to);
  // Calls take(i, n) for every range of floats that may not be zero; forgets which rows may.
  template <class Take>
  void TakeAll(const Take& take);

  ZeroedFloats gradients_;
  std::vector<Range> whole_;  // apart and in order; a model adds to the same parameters in every pass
  std::vector<Rows> rows_;
  std::vector<int32_t> places_;
};

}  // namespace flashlm
