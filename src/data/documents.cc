#include "data/documents.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace flashlm {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";
constexpr std::string_view kBlanks = " \t\r\v\f";

std::string_view Strip(std::string_view text, std::string_view what) {
  const size_t begin = text.find_first_not_of(what);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(what) - begin + 1);
}

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Files that were joined bring their byte-order marks along, so that one may stand before any document, or before the
// separator that ends one.
std::string_view StripDocument(std::string_view text) {
  for (;;) {
    text = Strip(text, kWhiteSpace);
    if (text.starts_with(kByteOrderMark)) {
      text.remove_prefix(kByteOrderMark.size());
    } else if (text.ends_with(kByteOrderMark)) {
      text.remove_suffix(kByteOrderMark.size());
    } else {
      return text;
    }
  }
}

// Whether the separator at `begin` stands on a line of its own; that line's rest ends at `end`.
bool IsOnItsOwnLine(std::string_view text, size_t begin, size_t& end) {
  std::string_view before = text.substr(0, begin);
  for (;;) {
    if (before.ends_with(kByteOrderMark)) {
      before.remove_suffix(kByteOrderMark.size());
    } else if (!before.empty() && kBlanks.find(before.back()) != std::string_view::npos) {
      before.remove_suffix(1);
    } else {
      break;
    }
  }
  end = std::min(text.find_first_not_of(kBlanks, begin + kDocumentSeparator.size()), text.size());
  return (before.empty() || before.back() == '\n') && (end == text.size() || text[end] == '\n');
}

// Finds the next separator of `text` from `at` on, one inside a line only if `split_inside`: [begin, end), both
// text.size() if there is none.
void FindSeparator(std::string_view text, size_t at, bool split_inside, size_t& begin, size_t& end) {
  for (size_t search = at;; search = begin + kDocumentSeparator.size()) {
    begin = text.find(kDocumentSeparator, search);
    if (begin == std::string_view::npos) {
      begin = end = text.size();
      return;
    }
    if (IsOnItsOwnLine(text, begin, end)) return;
    end = begin + kDocumentSeparator.size();
    if (split_inside) return;
  }
}

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none. Refuses overlong forms,
// surrogates and code points above U+10FFFF.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  if (first < 0xE0) return continues(1) ? 2 : 0;
  if (first < 0xF0) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
    return byte(1) >= low && byte(1) <= high && continues(2) ? 3 : 0;
  }
  const unsigned low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
  return first <= 0xF4 && byte(1) >= low && byte(1) <= high && continues(2) && continues(3) ? 4 : 0;
}

// `text`, a few bytes, is the beginning of a valid UTF-8 sequence and nothing else.
bool IsCutCharacter(std::string_view text) {
  if (text.empty() || text.size() > 3) return false;
  for (const char second : {'\x80', '\xA0', '\x90'}) {  // what makes one of each first byte
    std::string whole(text);
    while (whole.size() < 4 && Utf8Length(whole) == 0) whole += whole.size() == 1 ? second : '\x80';
    if (Utf8Length(whole) > text.size()) return true;
  }
  return false;
}

// The name that iconv has for the encoding, if the text at byte `offset` of a file is clearly in 2 or 4 bytes per
// character, else null. Without a mark it shows in its NUL bytes, of which western text has one in every second place.
const char* WideEncodingOf(std::string_view text, size_t offset) {
  using namespace std::string_view_literals;
  if (offset == 0) {
    if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
    if (text.starts_with("\xFF\xFE"sv) || text.starts_with("\xFE\xFF"sv)) return "UTF-16";
  }
  constexpr size_t kLookedAt = 4096;
  int64_t nuls[2] = {0, 0};  // at even and odd places
  for (size_t i = 0; i < std::min(text.size(), kLookedAt); ++i) nuls[(offset + i) % 2] += text[i] == '\0';
  if (nuls[1] >= 2 && nuls[1] > 16 * nuls[0]) return "UTF-16LE";
  if (nuls[0] >= 2 && nuls[0] > 16 * nuls[1]) return "UTF-16BE";
  return nullptr;
}

// Where to end a piece that starts `text`: see kPieceBytes.
size_t PieceEnd(std::string_view text) {
  if (text.size() <= kPieceBytes) return text.size();
  const std::string_view window = text.substr(0, kPieceBytes);
  for (const std::string_view mark : {"\n\n", "\n", " "}) {
    const size_t at = window.rfind(mark);
    if (at != std::string_view::npos && at >= kPieceBytes / 4) return at + mark.size();
  }
  return std::max<size_t>(1, WholeCharacters(text, kPieceBytes));
}

}  // namespace

std::string Separators::Note(const std::string& where) const {
  if (inside_lines == 0) return "";
  if (SplitInside()) {
    return fmt::format("note: '{}' has {} inside lines ({} times; {} on lines of their own): documents end there, too",
                       where, kDocumentSeparator, inside_lines, on_lines);
  }
  return fmt::format(
      "note: '{}' has {} inside lines ({} times; {} on lines of their own): taken as text. Put it on lines of its own "
      "where a document ends",
      where, kDocumentSeparator, inside_lines, on_lines);
}

Separators CountSeparators(std::string_view text, const std::function<void(size_t)>& passed) {
  constexpr size_t kWindow = 16 << 20;
  Separators found;
  size_t reported = 0;
  for (size_t at = 0; at < text.size();) {
    if (passed && at - reported >= kWindow / 2) passed(reported = at);
    const size_t window_end = std::min(text.size(), at + kWindow);
    const size_t begin = text.substr(0, window_end).find(kDocumentSeparator, at);
    if (begin == std::string_view::npos) {
      // The separator may lie across the window's end.
      at = window_end == text.size() ? window_end : window_end - kDocumentSeparator.size() + 1;
      continue;
    }
    at = begin + kDocumentSeparator.size();
    size_t end;
    ++(IsOnItsOwnLine(text, begin, end) ? found.on_lines : found.inside_lines);
  }
  return found;
}

bool DocumentSplitter::Next(std::string_view& document) {
  while (at_ < text_.size()) {
    // Looking no further than a long document keeps the pages touched per call few.
    const bool to_the_end = !cut_long_ || text_.size() - at_ <= 2 * kLongDocument;
    const std::string_view window = to_the_end ? text_ : text_.substr(0, at_ + 2 * kLongDocument);
    size_t begin, end;
    FindSeparator(window, at_, split_inside_, begin, end);
    // A window may end inside a separator's line: the last blanks, or the separator itself.
    const bool complete = to_the_end || end < window.size();
    std::string_view rest = text_.substr(at_, complete ? begin - at_ : kLongDocument + 1);
    const bool is_long = !complete || StripDocument(rest).size() > kLongDocument;
    if (cut_long_ && (is_long || (inside_long_ && rest.size() > kPieceBytes))) {
      inside_long_ = true;
      rest = rest.substr(0, PieceEnd(rest));
      at_ += rest.size();
    } else {
      inside_long_ = false;
      at_ = end;
    }
    document = StripDocument(rest);
    if (!document.empty()) return true;
  }
  return false;
}

void ForEachDocument(std::string_view text, const std::function<void(std::string_view)>& visit) {
  DocumentSplitter splitter(text, /*cut_long=*/false, CountSeparators(text).SplitInside());
  std::string_view document;
  while (splitter.Next(document)) visit(document);
}

DocumentFile::DocumentFile(const std::string& path) : file_(OpenInput(path)) {
  CheckText(file_.text(), file_.path(), 0);
  const Separators separators = CountSeparators(file_.text());
  DocumentSplitter splitter(file_.text(), /*cut_long=*/false, separators.SplitInside());
  for (std::string_view document; splitter.Next(document);) documents_.push_back(document);
  note_ = separators.Note(file_.path());
  if (documents_.empty()) {
    throw Error(fmt::format("'{}' holds no text", file_.path()), "give documents separated by lines <|endoftext|>");
  }
}

void CheckText(std::string_view text, const std::string& where, size_t offset) {
  const auto refuse = [&](size_t at, const char* what, const char* otherwise) {
    const char* const encoding = WideEncodingOf(text, offset);
    throw Error(fmt::format("'{}' is not plain text: {} 0x{:02x} at byte {}", where, what,
                            static_cast<uint8_t>(text[at]), offset + at),
                encoding
                    ? fmt::format("it looks like {}: convert it: iconv -f {} -t UTF-8 IN > OUT", encoding, encoding)
                    : otherwise);
  };
  bool beyond_ascii = false;  // there was such a character
  for (size_t i = 0; i < text.size();) {
    // Eight plain ASCII characters at a time, none of them a control character.
    uint64_t word = 0;
    if (text.size() - i >= 8) {
      std::memcpy(&word, text.data() + i, 8);
      const uint64_t below_blank = (word - 0x2020202020202020ull) & ~word;
      const uint64_t delete_or_above = word | (word + 0x0101010101010101ull);
      if (((delete_or_above | below_blank) & 0x8080808080808080ull) == 0) {
        i += 8;
        continue;
      }
    }
    const auto byte = static_cast<uint8_t>(text[i]);
    // Tab to carriage return, and backspace and escape, which occur in real logs and transcripts.
    const bool text_control = (byte >= 8 && byte <= 13) || byte == 27;
    if ((byte < 32 && !text_control) || byte == 127) {
      refuse(i, "control byte", "a binary file? give UTF-8 text");
    }
    const size_t length = Utf8Length(text.substr(i, 4));
    if (length == 0) {
      // A lone first byte may also be a last letter in an encoding of one byte, unless others showed that this is
      // UTF-8.
      if (IsCutCharacter(text.substr(i)) && (i + 1 < text.size() || beyond_ascii)) {
        refuse(i, "incomplete UTF-8 character", "its end is missing: was the text cut off?");
      }
      refuse(i, "invalid UTF-8 byte", "convert it: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT");
    }
    beyond_ascii |= length > 1;
    i += length;
  }
}

}  // namespace flashlm
