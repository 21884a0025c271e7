#include "io/packed_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "io/packed_layout.h"

namespace flashlm::packed {
namespace {

constexpr int64_t kUnit = 1 << 16;  // values that a thread expands at a time, about

int64_t RowsAtATime(int64_t cols) { return std::max<int64_t>(1, kUnit / cols); }

// The five digits of every byte as bytes of a word, low ones first. Of bytes that stand for nothing (above 242, which a
// file that is written to while it is mapped may come to have) digits all the same.
const std::array<uint64_t, 256>& DigitsOfBytes() {
  static const std::array<uint64_t, 256> digits = [] {
    std::array<uint64_t, 256> all{};
    for (size_t byte = 0; byte < all.size(); ++byte) {
      size_t rest = byte;
      for (int k = 0; k < kTritsPerByte; ++k, rest /= 3) all[byte] |= uint64_t{rest % 3} << (8 * k);
    }
    return all;
  }();
  return digits;
}

// Digits [first, first + count) of the bytes.
void ReadDigits(const uint8_t* bytes, int64_t first, int64_t count, uint8_t* to) {
  const std::array<uint64_t, 256>& digits = DigitsOfBytes();
  bytes += first / kTritsPerByte;
  const auto some = [&](uint64_t word, int64_t n) {
    std::memcpy(to, &word, static_cast<size_t>(n));  // little-endian
    to += n;
    count -= n;
  };
  if (const int64_t skipped = first % kTritsPerByte; skipped > 0 && count > 0) {
    some(digits[*bytes++] >> (8 * skipped), std::min(count, kTritsPerByte - skipped));
  }
  for (; count >= int64_t{sizeof(uint64_t)}; to += kTritsPerByte, count -= kTritsPerByte) {
    std::memcpy(to, &digits[*bytes++], sizeof(uint64_t));  // three bytes more, which the next ones write again
  }
  while (count > 0) some(digits[*bytes++], std::min<int64_t>(count, kTritsPerByte));
}

void ExpandTrits(const uint8_t* digits, const std::vector<float>& scales, int64_t cols, float* values) {
  ParallelBlocks(std::ssize(scales), RowsAtATime(cols), [&](int64_t begin, int64_t end) {
    uint8_t codes[1024];
    for (int64_t r = begin; r < end; ++r) {
      const float scale = scales[static_cast<size_t>(r)];
      for (int64_t c = 0; c < cols; c += std::ssize(codes)) {
        const int64_t count = std::min<int64_t>(std::ssize(codes), cols - c);
        float* to = values + r * cols + c;
        ReadDigits(digits, r * cols + c, count, codes);
        for (int64_t i = 0; i < count; ++i) to[i] = scale * static_cast<float>(codes[i] - 1);
      }
    }
  });
}

const float* ScalesOfInt8(const uint8_t* section) { return reinterpret_cast<const float*>(section); }  // aligned
const int8_t* IntegersOf(const uint8_t* section, int64_t rows) {
  return reinterpret_cast<const int8_t*>(section + 4 * rows);
}

}  // namespace

void ExpandInt8(const uint8_t* section, int64_t rows, int64_t cols, float* values) {
  const float* scales = ScalesOfInt8(section);
  const int8_t* integers = IntegersOf(section, rows);
  ParallelBlocks(rows, RowsAtATime(cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = r * cols; c < (r + 1) * cols; ++c) values[c] = scales[r] * static_cast<float>(integers[c]);
    }
  });
}

KeptParam KeepInt8(const std::shared_ptr<const MappedFile>& file, const uint8_t* section, int64_t rows, int64_t cols) {
  KeptParam kept;
  kept.expand = [file, section, rows, cols](float* values) { ExpandInt8(section, rows, cols, values); };
  kept.int8 = [file, section, rows, cols](int64_t first, int64_t count, int8_t* integers, float* scales) {
    std::copy_n(IntegersOf(section, rows) + first * cols, count * cols, integers);
    std::copy_n(ScalesOfInt8(section) + first, count, scales);
  };
  return kept;
}

KeptParam KeepTrits(const std::shared_ptr<const MappedFile>& file, const uint8_t* digits, std::vector<float> scales,
                    int64_t cols) {
  KeptParam kept;
  kept.trits = [file, digits, cols](int64_t first, int64_t count, uint8_t* codes) {
    ReadDigits(digits, first * cols, count * cols, codes);
  };
  kept.expand = [file, digits, cols, scales = std::move(scales)](float* values) {
    ExpandTrits(digits, scales, cols, values);
  };
  return kept;
}

}  // namespace flashlm::packed
