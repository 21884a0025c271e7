// The split of text into words before merging: GPT-2's regular expression
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// matched by hand in linear time. Letters, numbers and spaces are those of Unicode 16.0, kept in this room as
// a table (unicode_classes.inc) and not taken from a regex library of the machine: the ids of a text, and
// with them every trained model, must not change when a library learns new letters. Hugging Face tokenizers
// 0.23 has the same classes on every code point; PCRE2 is the oracle of the tests. PCRE2 itself would
// differ: 10.42 knows Unicode 14.0 (9,392 letters and digits fewer), and its \s includes U+180E, which is no
// space since Unicode 6.3.
//
// A byte that does not belong to valid UTF-8 is one character that is neither letter, number nor space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flashlm {

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace };

CharClass ClassOf(uint32_t code_point);

class WordSplitter {
 public:
  explicit WordSplitter(std::string_view text) : next_(text.data()), end_(text.data() + text.size()) {}

  // Sets `word` to the next word, never empty; false at the end. The words, joined, are the text.
  bool Next(std::string_view& word);

 private:
  struct Char {
    CharClass type;
    uint8_t bytes;
  };
  Char Read(const char* at) const;
  Char ReadMultibyte(const char* at) const;
  const char* EndOfSpace(const char* start) const;

  const char* next_;
  const char* end_;
};

// The first position >= `from` where the text can be cut without changing its split, or text.size(): before a
// space or newline that follows a visible ASCII character. No word reaches across such a place, and no word
// that ends there depends on what follows.
size_t SafeCut(std::string_view text, size_t from);

}  // namespace flashlm
