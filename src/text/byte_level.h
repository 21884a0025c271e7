// GPT-2's printable spelling of bytes: each of the 256 bytes is written as one visible Unicode character, so
// that tokens of arbitrary bytes can be the keys of a JSON object. Space becomes U+0120 'Ġ', newline U+010A
// 'Ċ'.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flashlm {

// Code point that spells each byte; all are below U+0144.
const std::array<uint16_t, 256>& ByteSpelling();

// The bytes in the order of their code points: the order in which Hugging Face's trainer numbers the
// alphabet.
const std::array<uint8_t, 256>& BytesInAlphabetOrder();

std::string SpellBytes(std::string_view bytes);
// Nothing if `spelling` (valid UTF-8) holds a character that spells no byte.
std::optional<std::string> ReadSpelling(std::string_view spelling);

}  // namespace flashlm
