#include "text/split.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace flashlm {
namespace {

struct ClassRange {
  uint32_t first, last;
  CharClass type;
};
constexpr CharClass kL = CharClass::kLetter, kN = CharClass::kNumber, kS = CharClass::kSpace;
constexpr ClassRange kRanges[] = {
#include "text/unicode_classes.inc"
};

constexpr std::array<CharClass, 128> kAscii = [] {
  std::array<CharClass, 128> table{};
  for (const ClassRange& range : kRanges) {
    for (uint32_t c = range.first; c <= range.last && c < 128; ++c) table[c] = range.type;
  }
  return table;
}();

// Bytes of the contraction that starts at the apostrophe `at`, or 0.
size_t ContractionLength(const char* at, const char* end) {
  if (end - at >= 2 && (at[1] == 's' || at[1] == 't' || at[1] == 'm' || at[1] == 'd')) return 2;
  if (end - at < 3) return 0;
  const std::string_view two(at + 1, 2);
  return two == "re" || two == "ve" || two == "ll" ? 3 : 0;
}

}  // namespace

CharClass ClassOf(uint32_t code_point) {
  if (code_point < 128) return kAscii[code_point];
  const ClassRange* after = std::ranges::upper_bound(kRanges, code_point, {}, &ClassRange::first);
  const ClassRange& range = *std::prev(after);  // exists: the table starts below 128
  return code_point <= range.last ? range.type : CharClass::kOther;
}

WordSplitter::Char WordSplitter::Read(const char* at) const {
  const uint8_t byte = static_cast<uint8_t>(*at);
  return byte < 128 ? Char{kAscii[byte], 1} : ReadMultibyte(at);
}

// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
WordSplitter::Char WordSplitter::ReadMultibyte(const char* at) const {
  constexpr Char kInvalid = {CharClass::kOther, 1};
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t lead = static_cast<uint8_t>(*at);
  const int bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || end_ - at < bytes) return kInvalid;
  uint32_t code_point = lead & (0x7Fu >> bytes);
  for (int i = 1; i < bytes; ++i) {
    const uint8_t byte = static_cast<uint8_t>(at[i]);
    if ((byte & 0xC0) != 0x80) return kInvalid;
    code_point = code_point << 6 | (byte & 0x3F);
  }
  const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (code_point < kSmallest[bytes] || code_point > 0x10FFFF || is_surrogate) return kInvalid;
  return {ClassOf(code_point), static_cast<uint8_t>(bytes)};
}

// `\s+(?!\S)|\s+`: a run of spaces before a word leaves its last space to that word; a single one stands
// alone.
const char* WordSplitter::EndOfSpace(const char* start) const {
  const char* last = start;
  const char* at = start;
  while (at < end_) {
    const Char c = Read(at);
    if (c.type != CharClass::kSpace) return last > start ? last : at;
    last = at;
    at += c.bytes;
  }
  return at;
}

bool WordSplitter::Next(std::string_view& word) {
  if (next_ == end_) return false;
  const char* const start = next_;
  const char* at = start;
  const size_t contraction = *at == '\'' ? ContractionLength(at, end_) : 0;
  if (contraction > 0) {
    at += contraction;
  } else {
    if (*at == ' ' && at + 1 < end_) ++at;  // ` ?` goes with the class of what follows it
    Char c = Read(at);
    const CharClass type = c.type;
    if (type == CharClass::kSpace) {
      at = EndOfSpace(start);
    } else {
      do {
        at += c.bytes;
      } while (at < end_ && (c = Read(at)).type == type);
    }
  }
  word = {start, static_cast<size_t>(at - start)};
  next_ = at;
  return true;
}

size_t SafeCut(std::string_view text, size_t from) {
  for (size_t i = std::max<size_t>(from, 1); i < text.size(); ++i) {
    if ((text[i] == ' ' || text[i] == '\n') && text[i - 1] > 0x20 && text[i - 1] < 0x7F) return i;
  }
  return text.size();
}

}  // namespace flashlm
