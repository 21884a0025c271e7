// In which type matrix products read their operands: what is fastest on this machine, measured, unless somebody asks
// for one. That a CPU can multiply bf16 does not say that it gains by it: some do it at half of their f32 rate.
#pragma once

#include <cstdint>
#include <string>

#include "base/dtype.h"

namespace flashlm::kernels {

// What products are for decides which type is fastest: many rows are a matter of arithmetic, one row of bytes.
enum class Work : uint8_t {
  kTraining,  // forward products, input and weight gradients, of many rows
  kPrefill,   // forward products of many rows: reading and scoring text
  kDecoding,  // products of one row with more weights than the second-level cache holds
};

// GFLOP/s of one thread in one kind of work; 0: this machine does not do it.
struct Rates {
  double f32 = 0, bf16 = 0;
  double int8 = 0;  // of Work::kTraining alone, with the rounding of what it reads (int8_training.h)
};

// bf16 where it is faster than f32 by more than a tenth; within that f32, the exact one. A fixed rule, so that runs on
// one machine agree.
constexpr DType FasterType(const Rates& rates) { return rates.bf16 > 1.1 * rates.f32 ? DType::kBF16 : DType::kF32; }

// The products of training: int8 where they are faster than what FasterType says by more than a tenth.
constexpr DType FasterProducts(const Rates& rates) {
  const DType type = FasterType(rates);
  return rates.int8 > 1.1 * (type == DType::kBF16 ? rates.bf16 : rates.f32) ? DType::kI8 : type;
}

// What tensors are made of: of FasterType, but where the products of training are of int8, of bf16 even if its own
// products are slow here: few of them are left, and there are half as many bytes to walk through.
constexpr DType TensorType(const Rates& rates) {
  return FasterProducts(rates) == DType::kI8 && rates.bf16 > 0 ? DType::kBF16 : FasterType(rates);
}

// True if matrix products in bf16 run on the CPU's own instructions, and the library may use them
// (ONEDNN_MAX_CPU_ISA).
bool MultipliesBf16();

// Measured at the first call for each kind of work, in some 30 ms on one thread; where f32 is all that there is nothing
// is measured and all are 0. Not inside a parallel region.
const Rates& MeasuredRates(Work work);

// "auto" is TensorType of the measured rates, never int8, which costs float models accuracy; "f32", "bf16" and "int8"
// are what they say. Throws UsageError for anything else, and for a type that this CPU would have to emulate: slower
// than f32 and less exact.
DType ComputeType(const std::string& precision, Work work);

// Why "auto" is what it is: "bf16 (1105 GFLOP/s a thread; f32 199)".
std::string Explanation(Work work);

}  // namespace flashlm::kernels
