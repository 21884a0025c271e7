#include "data/documents.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr size_t kBatchBytes = 8 << 20;
// Bounds the number of maps that a batch of tiny files holds open.
constexpr size_t kBatchDocuments = 16384;

constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";
constexpr std::string_view kBlanks = " \t\r\v\f";

std::string_view Strip(std::string_view text, std::string_view what) {
  const size_t begin = text.find_first_not_of(what);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(what) - begin + 1);
}

// Finds the next line of `text` that is a separator, from `at` on: [begin, end), both text.size() if there is
// none.
void FindSeparatorLine(std::string_view text, size_t at, size_t& begin, size_t& end) {
  for (size_t search = at;; search = begin + kDocumentSeparator.size()) {
    begin = text.find(kDocumentSeparator, search);
    if (begin == std::string_view::npos) {
      begin = end = text.size();
      return;
    }
    size_t before = begin;
    while (before > 0 && kBlanks.find(text[before - 1]) != std::string_view::npos) --before;
    end = std::min(text.find_first_not_of(kBlanks, begin + kDocumentSeparator.size()), text.size());
    if ((before == 0 || text[before - 1] == '\n') && (end == text.size() || text[end] == '\n')) return;
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

// Where to end a piece that starts `text`: see kPieceBytes.
size_t PieceEnd(std::string_view text) {
  if (text.size() <= kPieceBytes) return text.size();
  const std::string_view window = text.substr(0, kPieceBytes);
  for (const std::string_view mark : {"\n\n", "\n", " "}) {
    const size_t at = window.rfind(mark);
    if (at != std::string_view::npos && at >= kPieceBytes / 4) return at + mark.size();
  }
  size_t end = kPieceBytes;
  while (end > 1 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

std::vector<std::string> TextFilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code code;
  std::filesystem::recursive_directory_iterator entry(folder, code), end;
  for (; !code && entry != end; entry.increment(code)) {
    if (entry->is_regular_file(code) && entry->path().extension() == ".txt") {
      files.push_back(entry->path().string());
    }
  }
  if (code) throw Error(fmt::format("cannot list the folder '{}': {}", folder, code.message()));
  if (files.empty()) {
    throw Error(fmt::format("the folder '{}' holds no .txt file", folder), "give a folder of plain text files");
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

bool DocumentSplitter::Next(std::string_view& document) {
  while (at_ < text_.size()) {
    // Looking no further than a long document keeps the pages touched per call few.
    const bool to_the_end = !cut_long_ || text_.size() - at_ <= 2 * kLongDocument;
    const std::string_view window = to_the_end ? text_ : text_.substr(0, at_ + 2 * kLongDocument);
    size_t begin, end;
    FindSeparatorLine(window, at_, begin, end);
    // A window may end inside a separator's line: the last blanks, or the separator itself.
    const bool complete = to_the_end || end < window.size();
    std::string_view rest = text_.substr(at_, complete ? begin - at_ : kLongDocument + 1);
    const bool is_long = !complete || Strip(rest, kWhiteSpace).size() > kLongDocument;
    if (cut_long_ && (is_long || (inside_long_ && rest.size() > kPieceBytes))) {
      inside_long_ = true;
      rest = rest.substr(0, PieceEnd(rest));
      at_ += rest.size();
    } else {
      inside_long_ = false;
      at_ = end;
    }
    document = Strip(rest, kWhiteSpace);
    if (!document.empty()) return true;
  }
  return false;
}

void ForEachDocument(std::string_view text, const std::function<void(std::string_view)>& visit) {
  DocumentSplitter splitter(text);
  std::string_view document;
  while (splitter.Next(document)) visit(document);
}

void CheckText(std::string_view text, const std::string& where, size_t offset) {
  const auto refuse = [&](size_t at, const char* what, const char* hint) {
    throw Error(fmt::format("'{}' is not plain text: {} 0x{:02x} at byte {}", where, what,
                            static_cast<uint8_t>(text[at]), offset + at),
                hint);
  };
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
      refuse(i, "control byte", "a binary or UTF-16 file? give UTF-8 text (iconv -f UTF-16 -t UTF-8)");
    }
    const size_t length = Utf8Length(text.substr(i, 4));
    if (length == 0) refuse(i, "invalid UTF-8 byte", "convert it: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT");
    i += length;
  }
}

TextSource::TextSource(const std::string& path) {
  std::error_code code;
  const bool folder = std::filesystem::is_directory(path, code);
  files_ = folder ? TextFilesBelow(path) : std::vector<std::string>{path};
  for (const std::string& file : files_) total_bytes_ += static_cast<int64_t>(MappedFile(file).size());
  if (total_bytes_ == 0) throw Error(fmt::format("'{}' is empty", path), "give a file that holds text");
}

void TextSource::Rewind() {
  file_.reset();
  splitter_.reset();
  next_file_ = 0;
  finished_bytes_ = 0;
}

int64_t TextSource::bytes_read() const {
  return finished_bytes_ + (splitter_ ? static_cast<int64_t>(splitter_->offset()) : 0);
}

bool TextSource::OpenNext() {
  if (file_) finished_bytes_ += static_cast<int64_t>(file_->size());
  file_.reset();
  splitter_.reset();
  if (next_file_ == files_.size()) return false;
  file_ = std::make_shared<MappedFile>(files_[next_file_++]);
  splitter_ = std::make_unique<DocumentSplitter>(file_->text(), /*cut_long=*/true);
  return true;
}

bool TextSource::Next(DocumentBatch& batch) {
  batch = {};
  size_t bytes = 0;
  // What was read before this batch is no longer needed; views of it were allowed to live only until now.
  if (file_) file_->DropBefore(splitter_->offset());
  while (bytes < kBatchBytes && batch.documents.size() < kBatchDocuments) {
    std::string_view document;
    if (!splitter_ || !splitter_->Next(document)) {
      if (!OpenNext()) break;
      continue;
    }
    if (batch.owners.empty() || batch.owners.back() != file_) batch.owners.push_back(file_);
    CheckText(document, file_->path(), static_cast<size_t>(document.data() - file_->text().data()));
    batch.documents.push_back(document);
    bytes += document.size();
  }
  return !batch.documents.empty();
}

}  // namespace flashlm
