#include "kernels/embed/embed.h"

#include <cstring>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embed/embed.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kColumns = 64;  // a thread's share of every row: four cache lines, none shared by two threads

void ScatterAdd(const int32_t* tokens, const Matrix& dy, const Matrix& dtable, float scale) {
  const VF factor = hn::Set(DF(), scale);
  // Each strip of columns walks all tokens in order, so a token that occurs twice is summed in one order
  // whatever the threads do. Splitting the table's rows instead would need the tokens sorted or every thread
  // to read all of them.
  ParallelBlocks(dy.cols, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t n = 0; n < dy.rows; ++n) {
      const float* from = dy.Row<float>(n) + begin;
      float* to = dtable.Row<float>(tokens[n]) + begin;
      MapRow(
          end - begin, [=](VF g, VF sum) { return hn::MulAdd(factor, g, sum); }, to, from, to);
    }
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(ScatterAdd);

}  // namespace

void Embed(const Matrix& table, const int32_t* tokens, const Matrix& y, float scale) {
  const auto bytes = static_cast<size_t>(y.cols) * sizeof(float);
  ParallelBlocks(y.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* from = table.Row<float>(tokens[n]);
      float* to = y.Row<float>(n);
      if (scale == 1) {
        std::memcpy(to, from, bytes);
      } else {
        for (int64_t c = 0; c < y.cols; ++c) to[c] = scale * from[c];
      }
    }
  });
}

void EmbedGrad(const int32_t* tokens, const Matrix& dy, const Matrix& dtable, float scale) {
  FLASHLM_DISPATCH(ScatterAdd)(tokens, dy, dtable, scale);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
