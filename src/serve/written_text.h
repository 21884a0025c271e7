// Tokens of one text as what a client may see: whole characters, and nothing of a stop sequence or beyond.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "infer/utf8_stream.h"

namespace flashlm {

class WrittenText {
 public:
  explicit WrittenText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // A token's bytes. Returns what can be shown now: what may be the beginning of a stop sequence, or of a character, is
  // held back until it is known.
  std::string Add(std::string_view bytes);
  // What was held back, at the end.
  std::string Finish();
  // A stop sequence was met: the text ends before it.
  bool stopped() const { return stopped_; }

  int64_t shown() const { return shown_; }                      // characters given out
  int64_t known() const { return shown_ + Characters(held_); }  // and with those that are held back
  // Where the text of a token begins that would be added now: at the character that it goes on with, or behind what no
  // character has come of. Of no bytes: where the text ends.
  int64_t CharacterOf(std::string_view bytes) const;
  static int64_t Characters(std::string_view utf8);

 private:
  std::string Show(bool all);

  std::vector<std::string> stops_;
  Utf8Stream utf8_;
  std::string held_;
  int64_t shown_ = 0;
  bool stopped_ = false;
};

// A token's text for log-probabilities: reserved ids by name, what is no valid UTF-8 by itself as OpenAI writes it,
// "bytes:\xe2\x80".
std::string TokenName(int32_t token, std::string_view bytes);

}  // namespace flashlm
