// Copies of a bank's matrices in the forms that products read, made once per change of the bank's values, from these or
// from what the bank keeps in their place.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/int8_training.h"
#include "tensor/param_bank.h"

namespace flashlm {

// A matrix as products read it.
struct PackedLinear {
  kernels::PackedWeight weight;  // for a ternary matrix the effective weight: trits times scales
  // Of a ternary matrix only: -1, 0, +1 alone, and the scale of each output row.
  kernels::PackedTrits trits;
  std::vector<float> scales;
  kernels::PackedInt8 int8;  // of a float matrix only: rounded, for inference in int8
  // For training in int8: a float matrix rounded, of a ternary one the trits, which 127 steps of a scale hold exactly.
  kernels::TrainingInt8Weight training;
};

class WeightPacks {
 public:
  explicit WeightPacks(const ParamBank& bank) : bank_(bank) {}
  // As the bank's values are now. The reference stays valid; what it shows changes with the bank.
  PackedLinear& Get(const Param& weight, DType dtype);

 private:
  struct Entry {
    Param weight;
    DType dtype;
    uint64_t version = 0;  // of the bank's values; 0: never packed
    PackedLinear packed;
    std::vector<float> trits, effective;
  };
  void Renew(Entry& entry);
  static const float* EffectiveOf(Entry& entry);
  void SetValuesLater(Entry& entry);

  const ParamBank& bank_;
  std::vector<std::unique_ptr<Entry>> entries_;
  size_t last_ = 0;  // the entry asked for last
};

}  // namespace flashlm
