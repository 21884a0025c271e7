#include "kernels/gemm/panels.h"

#include <cstring>

#include "base/parallel.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {

void Panels::SetValues(const Matrix& w, DType dtype, int64_t panel_outputs) {
  out_ = w.rows;
  in_ = w.cols;
  dtype_ = dtype;
  panel_outputs_ = panel_outputs;
  const int64_t padded = PaddedInputs(in_, dtype);
  const auto row_bytes = static_cast<size_t>(padded) * SizeOf(dtype);
  const int64_t words = static_cast<int64_t>(row_bytes) / 4;
  void* data = data_.AtLeast(static_cast<size_t>(count() * panel_outputs) * row_bytes);
  ParallelFor(count(), [&](int64_t panel) {
    uint32_t* to = static_cast<uint32_t*>(data) + panel * words * panel_outputs;
    thread_local Buffer row_buffer;
    auto* row = static_cast<char*>(row_buffer.AtLeast(row_bytes));
    for (int64_t o = 0; o < panel_outputs; ++o) {
      const int64_t output = panel * panel_outputs + o;
      std::memset(row, 0, row_bytes);
      if (output < out_) {
        const Matrix from = w.Rows(output, 1), rounded{row, dtype, 1, in_, in_};
        if (w.dtype == dtype) {
          std::memcpy(row, from.data, static_cast<size_t>(in_) * SizeOf(dtype));
        } else {
          Copy(from, rounded, false);
        }
      }
      for (int64_t i = 0; i < words; ++i) std::memcpy(to + i * panel_outputs + o, row + 4 * i, 4);
    }
  });
}

}  // namespace flashlm::kernels
