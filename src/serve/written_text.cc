#include "serve/written_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "serve/completion_request.h"

namespace flashlm {
namespace {

// The longest end of `text` that begins `stop` without being all of it.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (stop.starts_with(text.substr(text.size() - length))) return length;
  }
  return 0;
}

}  // namespace

int64_t WrittenText::Characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

int64_t WrittenText::CharacterOf(std::string_view bytes) const {
  Utf8Stream ahead = utf8_;
  if (bytes.empty()) return known() + Characters(ahead.Finish());
  const int64_t characters = Characters(ahead.Push(bytes.substr(0, 1)));
  return known() + characters - (ahead.held() ? 0 : 1);  // the last of them has this byte
}

std::string WrittenText::Add(std::string_view bytes) {
  if (stopped_) return "";
  held_ += utf8_.Push(bytes);
  return Show(false);
}

std::string WrittenText::Finish() {
  if (stopped_) return "";
  held_ += utf8_.Finish();
  return Show(true);
}

std::string WrittenText::Show(bool all) {
  size_t end = std::string::npos, keep = 0;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  if (end != std::string::npos) {
    stopped_ = true;
    held_.resize(end);
  } else if (!all) {
    for (const std::string& stop : stops_) keep = std::max(keep, Overlap(held_, stop));
  }
  std::string now = held_.substr(0, held_.size() - keep);
  held_.erase(0, now.size());
  shown_ += Characters(now);
  return now;
}

std::string TokenName(int32_t token, std::string_view bytes) {
  if (token < Tokenizer::kSpecials) return kReservedNames[token];
  Utf8Stream utf8;
  if (utf8.Push(bytes) == bytes) return std::string(bytes);
  std::string name = "bytes:";
  for (const char c : bytes) name += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  return name;
}

}  // namespace flashlm
