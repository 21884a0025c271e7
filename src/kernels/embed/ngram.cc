#include "kernels/embed/ngram.h"

#include "base/parallel.h"

namespace flashlm::kernels {

void NgramRows(const NgramShape& shape, const int32_t* tokens, const float* past, int32_t* rows) {
  const uint64_t start = HashToken(0, shape.variant), ended = static_cast<uint64_t>(shape.end) + 1;
  ParallelBlocks(shape.batch * shape.length, 256, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t t = n % shape.length;
      const float* before = past == nullptr ? nullptr : past + n / shape.length * (shape.order - 1);
      uint64_t hash = start;
      bool over = false;
      for (int k = 0; k < shape.order; ++k) {
        uint64_t token = 0;
        if (over) {
          // beyond the document's start
        } else if (k <= t) {
          token = static_cast<uint64_t>(tokens[n - k]) + 1;
        } else if (before != nullptr) {
          token = static_cast<uint64_t>(before[k - t - 1]);
        }
        hash = HashToken(hash, token);
        over |= token == ended;
      }
      rows[n] = static_cast<int32_t>(hash % static_cast<uint64_t>(shape.rows));
    }
  });
}

void NgramPast(const NgramShape& shape, const int32_t* tokens, float* past) {
  for (int64_t b = 0; b < shape.batch; ++b) {
    const int32_t* end = tokens + (b + 1) * shape.length;
    float* before = past + b * (shape.order - 1);
    for (int64_t k = shape.order - 2; k >= 0; --k) {
      before[k] = k < shape.length ? static_cast<float>(end[-1 - k] + 1) : before[k - shape.length];
    }
  }
}

}  // namespace flashlm::kernels
