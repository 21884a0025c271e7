// Cutting UTF-8 between its characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flashlm {

// The bytes of the longest beginning of `text` that has at most `most` of them and ends where a character does.
inline size_t WholeCharacters(std::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xC0) == 0x80) --most;
  return most;
}

}  // namespace flashlm
