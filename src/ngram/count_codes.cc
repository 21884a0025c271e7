#include "ngram/count_codes.h"

#include <algorithm>
#include <cmath>

namespace flashlm {
namespace {

constexpr int kExact = 64;
constexpr double kCodesPerOctave = 10;

std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (int code = 0; code < 256; ++code) {
    table[static_cast<size_t>(code)] = static_cast<uint32_t>(
        code <= kExact ? code : std::lround(kExact * std::exp2((code - kExact) / kCodesPerOctave)));
  }
  return table;
}

}  // namespace

const std::array<uint32_t, 256>& DecodedCounts() {
  static const std::array<uint32_t, 256> table = MakeTable();
  return table;
}

uint8_t EncodeCount(uint32_t count) {
  const auto& table = DecodedCounts();
  const auto above = std::lower_bound(table.begin(), table.end(), count);
  if (above == table.end()) return 255;
  if (above == table.begin() || *above == count) return static_cast<uint8_t>(above - table.begin());
  const auto below = above - 1;
  return static_cast<uint8_t>((*above - count < count - *below ? above : below) - table.begin());
}

}  // namespace flashlm
