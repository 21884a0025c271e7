#include "infer/utf8_stream.h"

#include <cstdint>

namespace flashlm {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Step {
  size_t bytes;  // to go on by, at least 1
  enum { kCharacter, kBroken, kIncomplete } kind;
};

// The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF (Unicode table
// 3-7).
Step ReadCharacter(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {1, Step::kCharacter};
  if (first < 0xC2 || first > 0xF4) return {1, Step::kBroken};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (i == text.size()) return {i, Step::kIncomplete};
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < low || byte > high) return {i, Step::kBroken};
  }
  return {length, Step::kCharacter};
}

}  // namespace

std::string_view Utf8Stream::Push(std::string_view bytes) {
  pending_ += bytes;
  ready_.clear();
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Step step = ReadCharacter(rest);
    if (step.kind == Step::kIncomplete) break;
    ready_ += step.kind == Step::kCharacter ? rest.substr(0, step.bytes) : kReplacement;
    rest.remove_prefix(step.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return ready_;
}

std::string_view Utf8Stream::Finish() {
  ready_ = pending_.empty() ? "" : kReplacement;
  pending_.clear();
  return ready_;
}

}  // namespace flashlm
