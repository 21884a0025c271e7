// Products are right however many threads OpenMP promises and then gives.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/ref.h"

namespace flashlm::kernels {
namespace {

std::vector<float> Numbers(int64_t count, int step) {
  std::vector<float> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = static_cast<float>(i * step % 17 - 8);
  return numbers;
}

void ExpectRightProduct() {
  constexpr int64_t kRows = 300, kInner = 129, kCols = 257;
  std::vector<float> a = Numbers(kRows * kInner, 5), b = Numbers(kInner * kCols, 7);
  std::vector<float> c(kRows * kCols), expected(kRows * kCols);
  const auto matrix = [](std::vector<float>& of, int64_t rows, int64_t cols) {
    return Matrix{of.data(), DType::kF32, rows, cols, cols};
  };
  const Matrix x = matrix(a, kRows, kInner), y = matrix(b, kInner, kCols);
  MatMul(x, false, y, false, matrix(c, kRows, kCols), false);
  ref::MatMul(x, false, y, false, matrix(expected, kRows, kCols), false);
  EXPECT_EQ(c, expected);  // small integers: exact
}

// OpenMP reads its settings when the process starts: hence other processes.
TEST(GemmThreads, FewerThreadsThanPromised) {
  ExpectRightProduct();
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const char* settings : {"OMP_THREAD_LIMIT=1", "OMP_THREAD_LIMIT=2", "OMP_DYNAMIC=true"}) {
    const std::string command =
        std::string(settings) + " OMP_NUM_THREADS=4 '" + self + "' --gtest_filter=GemmThreads.* --gtest_brief=1";
    EXPECT_EQ(std::system(command.c_str()), 0) << settings;
  }
}

}  // namespace
}  // namespace flashlm::kernels
