#include "kernels/gemm/precision.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm/reading.h"
#include "kernels/isa.h"

namespace flashlm::kernels {
namespace {

TEST(Reading, IsARate) {
  for (const int64_t bytes : {int64_t{0}, int64_t{100}, int64_t{1} << 20}) {
    const double rate = MeasureReading(bytes);
    EXPECT_GT(rate, 1e7);
    EXPECT_LT(rate, 1e13);
  }
}

constexpr Work kWorks[] = {Work::kTraining, Work::kPrefill, Work::kDecoding};

// GFLOP/s of machines that were measured.
TEST(Precision, IsWhatIsFasterOnTheMachine) {
  EXPECT_EQ(FasterType({345, 164}), DType::kF32);    // an Intel with AVX-512 BF16 but without AMX
  EXPECT_EQ(FasterType({226, 459}), DType::kBF16);   // Zen 4
  EXPECT_EQ(FasterType({390, 2200}), DType::kBF16);  // an Intel with AMX
  EXPECT_EQ(FasterType({120, 0}), DType::kF32);      // AVX2
  EXPECT_EQ(FasterType({0, 0}), DType::kF32);        // nothing to choose from, so nothing was measured
}

TEST(Precision, WithinATenthItIsF32) {
  EXPECT_EQ(FasterType({400, 370}), DType::kF32);
  EXPECT_EQ(FasterType({400, 400}), DType::kF32);
  EXPECT_EQ(FasterType({400, 438}), DType::kF32);
  EXPECT_EQ(FasterType({400, 442}), DType::kBF16);
}

TEST(Precision, IsMeasuredOnceAndFollowsItsRates) {
  const int threads = ThreadCount();
  for (const Work work : kWorks) {
    const Rates& rates = MeasuredRates(work);
    const Rates first = rates;
    EXPECT_EQ(rates.f32 > 0, MultipliesBf16() || (work == Work::kTraining && HasVnni()));
    EXPECT_EQ(rates.int8 > 0, work == Work::kTraining && HasVnni());
    EXPECT_EQ(rates.bf16 > 0, MultipliesBf16());
    EXPECT_EQ(ComputeType("auto", work), work == Work::kTraining ? TensorType(rates) : FasterType(rates));
    EXPECT_EQ(&MeasuredRates(work), &rates);
    EXPECT_EQ(MeasuredRates(work).f32, first.f32);
    EXPECT_EQ(MeasuredRates(work).bf16, first.bf16);
    EXPECT_EQ(Explanation(work).rfind(NameOf(ComputeType("auto", work)), 0), 0u) << Explanation(work);
  }
  EXPECT_EQ(ThreadCount(), threads);  // measured on one, then as before
}

TEST(Precision, WhatIsForcedStaysForced) {
  for (const Work work : kWorks) {
    EXPECT_EQ(ComputeType("f32", work), DType::kF32);
    if (MultipliesBf16()) {
      EXPECT_EQ(ComputeType("bf16", work), DType::kBF16);
    } else {
      EXPECT_THROW(ComputeType("bf16", work), UsageError);
    }
    if (HasVnni()) {
      EXPECT_EQ(ComputeType("int8", work), DType::kI8);
    } else {
      EXPECT_THROW(ComputeType("int8", work), UsageError);
    }
    EXPECT_THROW(ComputeType("fp16", work), UsageError);
    EXPECT_THROW(ComputeType("", work), UsageError);
  }
}

TEST(Precision, ForAProductInBf16TheCpuMustHaveIt) { EXPECT_TRUE(!MultipliesBf16() || HasNativeBf16()); }

}  // namespace
}  // namespace flashlm::kernels
