// Texts for the tests of this room.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/rng.h"

namespace flashlm {

inline std::string Utf8(uint32_t code_point) {
  const auto tail = [code_point](int shift) { return static_cast<char>(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

inline std::string RandomBytes(Rng& rng, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(rng.Below(256));
  return bytes;
}

// `symbols` drawn at random, often in runs: what contractions, spaces before words and overlapping pairs are
// made of.
inline std::string RandomText(Rng& rng, const std::vector<std::string>& symbols, int draws) {
  std::string text;
  for (int i = 0; i < draws; ++i) {
    const std::string& symbol = symbols[rng.Below(symbols.size())];
    const uint64_t repeats = rng.Below(4) == 0 ? 1 + rng.Below(5) : 1;
    for (uint64_t k = 0; k < repeats; ++k) text += symbol;
  }
  return text;
}

// TinyStories from $FLASHLM_DATA or from ../shared/data beside the source; empty if neither is there.
inline std::string RealText() {
  const char* given = std::getenv("FLASHLM_DATA");
  std::filesystem::path folder = given ? given : FLASHLM_SOURCE_DIR "/../shared/data";
  if (std::filesystem::is_directory(folder / "tinystories")) folder /= "tinystories";
  std::string text;
  if (!std::filesystem::is_directory(folder)) return text;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") text += ReadFile(entry.path().string());
  }
  return text;
}

inline constexpr char kNoRealText[] = "no *.txt in $FLASHLM_DATA or ../shared/data/tinystories";

}  // namespace flashlm
