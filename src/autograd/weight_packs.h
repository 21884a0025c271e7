// Copies of a bank's matrices in the forms that products read, made once per change of the bank's values, from these or
// from what the bank keeps in their place. Threads that compute side by side share them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/int8_training.h"
#include "kernels/gemm/made_once.h"
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

// Values of the bank change only while nobody reads these.
class WeightPacks {
  struct Entry;

 public:
  explicit WeightPacks(const ParamBank& bank);
  ~WeightPacks();

  // What one thread at a time asks: a model wants its weights in the same order every time.
  class Reader {
   public:
    explicit Reader(WeightPacks& packs) : packs_(packs) {}
    // As the bank's values are now. The reference stays valid; what it shows changes with the bank.
    PackedLinear& Get(const Param& weight, DType dtype);

   private:
    WeightPacks& packs_;
    std::vector<Entry*> asked_;
    size_t last_ = 0;  // the one asked for last
  };

  // After a change of the bank, before threads read side by side: all of them together make what products of the values
  // before wanted, where each would wait for whoever asks first.
  void Renew();

 private:
  Entry& Find(const Param& weight, DType dtype);
  // Gives it the bank's values as they are now.
  void Update(Entry& entry);
  void SetValues(Entry& entry);
  static const float* EffectiveOf(Entry& entry);
  void SetValuesLater(Entry& entry);

  const ParamBank& bank_;
  std::mutex mutex_;  // of the list
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace flashlm
