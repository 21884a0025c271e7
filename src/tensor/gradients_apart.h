// Gradients of a bank's parameters that one of several passes collects for itself; afterwards they are added up in an
// order that does not depend on which pass was done first, or where (cluster/leaf_tree.h): all at once, or part by part
// as they become complete.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/param_bank.h"

namespace flashlm {

class GradientsApart {
 public:
  // All zero. The bank must be allocated for training and outlive this. cuts [parts + 1]: part i is the bank's floats
  // from cuts[i] to cuts[i + 1].
  GradientsApart(const ParamBank& bank, std::vector<int64_t> cuts);
  // One part.
  explicit GradientsApart(const ParamBank& bank) : GradientsApart(bank, {0, bank.size()}) {}

  int parts() const { return static_cast<int>(parts_.size()); }

  // [p.rows, p.cols], any of which may be added to.
  float* Of(const Param& p);
  // The same where only the n rows named are added to: of a table that is looked up, few of many.
  float* OfRows(const Param& p, const int32_t* rows, int64_t n);

  // Part by part, of which different threads may take different ones: the bank's gradients += these, which are zero
  // afterwards.
  void MoveTo(ParamBank& bank, int part);
  // The same to others of the bank that are cut alike.
  void MoveTo(GradientsApart& other, int part);
  // All are zero again.
  void Clear();

  // As the bank's own: [bank.size()].
  const float* data() const { return gradients_.get(); }

 private:
  struct Range {
    int64_t begin, end;
    int64_t count() const { return end - begin; }
  };
  // Rows of `cols` floats from `offset` on: places[begin, end) of their part.
  struct Rows {
    int64_t offset;
    int32_t cols;
    size_t begin, end;
  };
  struct Part {
    Range range;
    std::vector<Range> whole = {};  // apart and in order; a model adds to the same parameters in every pass
    std::vector<Rows> rows = {};    // that may lie partly outside
    std::vector<int32_t> places = {};

    bool IsWhole(Range some) const;
    void MakeWhole(Range some);
    void AddRows(int64_t offset, int32_t cols, const int32_t* some, size_t n);
  };

  // Calls use(part, what of p lies in it) for each that has some.
  template <class Use>
  void ForPartsOf(const Param& p, const Use& use);
  // What is here to an array of the same offsets; zeros stay.
  void AddTo(float* to, Part& part);
  // Calls take(i, n) for every range of floats that may not be zero; forgets which rows may.
  template <class Take>
  static void TakeAll(Part& part, const Take& take);

  ZeroedFloats gradients_;
  std::vector<Part> parts_;
};

}  // namespace flashlm
