// Counts in one byte: exact up to 64, then in steps of 7 %, up to 2^25.
#pragma once

#include <array>
#include <cstdint>

namespace flashlm {

// Of each code; ascending, 0 for code 0.
const std::array<uint32_t, 256>& DecodedCounts();
uint8_t EncodeCount(uint32_t count);

}  // namespace flashlm
