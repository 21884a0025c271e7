// Text to documents. A line that holds <|endoftext|> and nothing else (blanks aside) separates two documents; where a
// text clearly puts it inside lines instead (Separators), it separates there as well. Each document is stripped of
// ASCII white space at both ends and of byte-order marks; empty ones are dropped. Text without a separator
// is one document. Evaluation and preparation share this rule; only preparation also cuts overlong documents.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"

namespace flashlm {

inline constexpr std::string_view kDocumentSeparator = "<|endoftext|>";

// How often <|endoftext|> stands on lines of its own, and how often inside others.
struct Separators {
  int64_t on_lines = 0, inside_lines = 0;

  // Whether the ones inside lines separate, too: there are several, and hardly any on lines of their own. Else they are
  // letters of a text that mentions the mark.
  bool SplitInside() const { return inside_lines >= 2 && inside_lines >= 10 * on_lines; }
  // One line for the reader of a text called `where`, who may have meant something else; "" if none are inside lines.
  std::string Note(const std::string& where) const;
};

// passed(n): the first n bytes are done with; may be empty.
Separators CountSeparators(std::string_view text, const std::function<void(size_t)>& passed = {});

// Stories are a few hundred bytes, books are not. Where asked to, the splitter cuts a document above
// kLongDocument bytes (a novel without separators, say) into pieces of at most kPieceBytes, at the last blank
// line that fits, else line end, else blank, else between two characters. That bounds memory, spreads the
// work over threads, and lets 1 % of one book be held out.
inline constexpr size_t kLongDocument = 64 << 10;
inline constexpr size_t kPieceBytes = 16 << 10;

// Pulls documents out of `text`, which must outlive the views.
class DocumentSplitter {
 public:
  explicit DocumentSplitter(std::string_view text, bool cut_long = false, bool split_inside = false)
      : text_(text), cut_long_(cut_long), split_inside_(split_inside) {}

  // False at the end of the text.
  bool Next(std::string_view& document);
  // How much of the text has been read.
  size_t offset() const { return at_; }

 private:
  std::string_view text_;
  bool cut_long_, split_inside_;
  size_t at_ = 0;
  bool inside_long_ = false;
};

void ForEachDocument(std::string_view text, const std::function<void(std::string_view)>& visit);

// The documents of a file ("-": standard input) for evaluation, none of them cut. Throws Error if it is missing, not
// text (CheckText), or holds no document.
class DocumentFile {
 public:
  explicit DocumentFile(const std::string& path);

  const std::vector<std::string_view>& documents() const { return documents_; }
  // Separators::Note of the text.
  const std::string& note() const { return note_; }

 private:
  MappedFile file_;
  std::vector<std::string_view> documents_;
  std::string note_;
};

// Throws Error unless `text`, found at byte `offset` of `where`, is UTF-8 without control bytes. The message
// names the byte, the hint a way to convert it, or that its end is missing.
void CheckText(std::string_view text, const std::string& where, size_t offset);

// Some documents, with what keeps their bytes alive.
struct DocumentBatch {
  std::vector<std::string_view> documents;
  std::vector<std::shared_ptr<const void>> owners;
};

// A sequence of documents that can be read again from the start with bounded memory. How to add one: data/sources.h.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // About 8 MB at a time; false at the end. Throws Error for text that CheckText refuses.
  virtual bool Next(DocumentBatch& batch) = 0;
  // The same documents again.
  virtual void Rewind() = 0;
  // Progress, in bytes of the source.
  virtual int64_t bytes_read() const = 0;
  virtual int64_t total_bytes() const = 0;

  // What the documents follow from (files with their sizes and times, a seed, ...), without reading them all: a data
  // set made from equal identities is used again instead of being made again.
  virtual Json Identity() const = 0;
  // Files and folders that are read: no output may be put there.
  virtual std::vector<std::string> paths() const { return {}; }
  // The source's own validation text; null: documents are held out of the training text.
  virtual std::unique_ptr<DocumentSource> Validation() const { return nullptr; }
  // Fields for meta.json.
  virtual Json Describe() const { return Json::object(); }
};

}  // namespace flashlm
