#include "eval/story_text.h"

#include <algorithm>
#include <cctype>

namespace flashlm {
namespace {

bool IsLetter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0; }
bool IsBlank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool IsStop(char c) { return c == '.' || c == '!' || c == '?'; }

// What a character of three bytes, E2 80 and `last`, is in ASCII; "" for others.
std::string_view InAscii(uint8_t last) {
  switch (last) {
    case 0x98:
    case 0x99:
      return "'";
    case 0x9C:
    case 0x9D:
      return "\"";
    case 0x93:
    case 0x94:
      return " - ";
    case 0xA6:
      return "...";
    default:
      return "";
  }
}

}  // namespace

std::string PlainText(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool three = i + 2 < text.size() && text.substr(i, 2) == "\xE2\x80";
    const std::string_view ascii = three ? InAscii(static_cast<uint8_t>(text[i + 2])) : "";
    if (ascii.empty()) {
      plain += text[i];
    } else {
      plain += ascii;
      i += 2;
    }
  }
  return plain;
}

std::vector<Word> WordsOf(std::string_view plain) {
  std::vector<Word> words;
  bool after_stop = true;
  for (size_t i = 0; i < plain.size();) {
    if (!IsWordByte(plain[i])) {
      const bool opens = (plain[i] == '"' || plain[i] == '\'') && (i == 0 || IsBlank(plain[i - 1]));
      after_stop = after_stop || opens || IsStop(plain[i]) || plain[i] == ':' || plain[i] == '\n';
      ++i;
      continue;
    }
    size_t end = i + 1;
    const auto joins = [&](size_t at) {
      return (plain[at] == '\'' || plain[at] == '-') && at + 1 < plain.size() && IsWordByte(plain[at + 1]);
    };
    while (end < plain.size() && (IsWordByte(plain[end]) || joins(end))) ++end;
    words.push_back({plain.substr(i, end - i), after_stop});
    after_stop = false;
    i = end;
  }
  return words;
}

std::string LowerCase(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view NameIn(const Word& word) {
  std::string_view name = word.text;
  if (name.ends_with("'s")) name.remove_suffix(2);
  const bool capital = name.size() > 1 && std::isupper(static_cast<unsigned char>(name[0])) != 0 &&
                       std::islower(static_cast<unsigned char>(name[1])) != 0;
  return capital && !word.after_stop ? name : "";
}

std::vector<std::string> SentencesOf(std::string_view plain) {
  std::vector<std::string> sentences;
  std::string sentence;
  for (size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (c == '"') continue;
    if (IsBlank(c)) {
      if (!sentence.empty() && sentence.back() != ' ') sentence += ' ';
      continue;
    }
    sentence += c;
    if (!IsStop(c)) continue;
    size_t next = i + 1;
    while (next < plain.size() && plain[next] == '"') ++next;
    if (next < plain.size() && !IsBlank(plain[next])) continue;  // "3.5", "...", "?!"
    while (next < plain.size() && (IsBlank(plain[next]) || plain[next] == '"')) ++next;
    if (next < plain.size() && std::islower(static_cast<unsigned char>(plain[next])) != 0) continue;
    if (std::any_of(sentence.begin(), sentence.end(), IsLetter)) sentences.push_back(sentence);
    sentence.clear();
  }
  return sentences;
}

}  // namespace flashlm
