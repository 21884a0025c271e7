#include "text/byte_level.h"

#include <algorithm>

namespace flashlm {
namespace {

constexpr int kSpellingEnd = 0x144;

bool IsVisibleLatin1(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Byte of each code point below kSpellingEnd, -1 for none.
std::array<int16_t, kSpellingEnd> InverseSpelling() {
  std::array<int16_t, kSpellingEnd> inverse;
  inverse.fill(-1);
  for (int byte = 0; byte < 256; ++byte) inverse[ByteSpelling()[byte]] = static_cast<int16_t>(byte);
  return inverse;
}

}  // namespace

const std::array<uint16_t, 256>& ByteSpelling() {
  static const std::array<uint16_t, 256> spelling = [] {
    std::array<uint16_t, 256> table;
    uint16_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      table[byte] = IsVisibleLatin1(byte) ? static_cast<uint16_t>(byte) : next++;
    }
    return table;
  }();
  return spelling;
}

const std::array<uint8_t, 256>& BytesInAlphabetOrder() {
  static const std::array<uint8_t, 256> order = [] {
    std::array<uint8_t, 256> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes[byte] = static_cast<uint8_t>(byte);
    std::ranges::sort(bytes, {}, [](uint8_t byte) { return ByteSpelling()[byte]; });
    return bytes;
  }();
  return order;
}

std::string SpellBytes(std::string_view bytes) {
  std::string spelling;
  for (const char c : bytes) {
    const uint16_t code_point = ByteSpelling()[static_cast<uint8_t>(c)];
    if (code_point < 0x80) {
      spelling += static_cast<char>(code_point);
    } else {
      spelling += static_cast<char>(0xC0 | (code_point >> 6));
      spelling += static_cast<char>(0x80 | (code_point & 0x3F));
    }
  }
  return spelling;
}

std::optional<std::string> ReadSpelling(std::string_view spelling) {
  static const std::array<int16_t, kSpellingEnd> inverse = InverseSpelling();
  std::string bytes;
  for (size_t i = 0; i < spelling.size(); ++i) {
    int code_point = static_cast<uint8_t>(spelling[i]);
    if (code_point >= 0x80) {
      if (code_point > 0xC5 || i + 1 == spelling.size()) return std::nullopt;  // three bytes or more
      code_point = (code_point & 0x1F) << 6 | (static_cast<uint8_t>(spelling[++i]) & 0x3F);
    }
    if (code_point >= kSpellingEnd || inverse[code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(inverse[code_point]);
  }
  return bytes;
}

}  // namespace flashlm
