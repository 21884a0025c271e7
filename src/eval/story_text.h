// English text as measures of stories see it: words, sentences, names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

// The text with typographic quotation marks, apostrophes, dashes and ellipses as ASCII has them.
std::string PlainText(std::string_view text);

struct Word {
  std::string_view text;  // letters, digits, bytes beyond ASCII; apostrophes and hyphens between those
  // Whether a capital letter says nothing here: the text's first word, and any that follows a full stop, an exclamation
  // or question mark, a colon, an opening quotation mark or a line break.
  bool after_stop;
};
// Of plain text, of which they are views.
std::vector<Word> WordsOf(std::string_view plain);

// ASCII letters in lower case.
std::string LowerCase(std::string_view word);

// The name that a word is, without "'s": a capital letter and a small one, where a capital letter says something; ""
// if it is none.
std::string_view NameIn(const Word& word);

// The sentences of plain text, without quotation marks and with single blanks: up to a stop (. ! ?) that a blank or the
// end follows, perhaps after a quotation mark, unless the next word begins with a small letter ("Look!" he said). What
// has no stop at the end, as a story that was cut off, is left out.
std::vector<std::string> SentencesOf(std::string_view plain);

}  // namespace flashlm
