// Text to documents. A line that holds <|endoftext|> and nothing else (blanks aside) separates two documents;
// each is stripped of ASCII white space at both ends; empty ones are dropped. Text without such a line is one
// document. Evaluation and preparation share this rule; only preparation also cuts overlong documents.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace flashlm {

inline constexpr std::string_view kDocumentSeparator = "<|endoftext|>";

// Stories are a few hundred bytes, books are not. Where asked to, the splitter cuts a document above
// kLongDocument bytes (a novel without separators, say) into pieces of at most kPieceBytes, at the last blank
// line that fits, else line end, else blank, else between two characters. That bounds memory, spreads the
// work over threads, and lets 1 % of one book be held out.
inline constexpr size_t kLongDocument = 64 << 10;
inline constexpr size_t kPieceBytes = 16 << 10;

// Pulls documents out of `text`, which must outlive the views.
class DocumentSplitter {
 public:
  explicit DocumentSplitter(std::string_view text, bool cut_long = false) : text_(text), cut_long_(cut_long) {}

  // False at the end of the text.
  bool Next(std::string_view& document);
  // How much of the text has been read.
  size_t offset() const { return at_; }

 private:
  std::string_view text_;
  bool cut_long_;
  size_t at_ = 0;
  bool inside_long_ = false;
};

void ForEachDocument(std::string_view text, const std::function<void(std::string_view)>& visit);

// Throws Error unless `text`, found at byte `offset` of `where`, is UTF-8 without NUL bytes. The message
// names the byte.
void CheckText(std::string_view text, const std::string& where, size_t offset);

// Some documents, with what keeps their bytes alive.
struct DocumentBatch {
  std::vector<std::string_view> documents;
  std::vector<std::shared_ptr<const void>> owners;
};

// A sequence of documents that can be read again from the start with bounded memory.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // About 8 MB at a time; false at the end. Throws Error for text that CheckText refuses.
  virtual bool Next(DocumentBatch& batch) = 0;
  virtual void Rewind() = 0;
  // Progress, in bytes of the source.
  virtual int64_t bytes_read() const = 0;
  virtual int64_t total_bytes() const = 0;
};

// A file, or the *.txt files of a folder and its subfolders in the order of their paths, memory-mapped one by
// one.
class TextSource final : public DocumentSource {
 public:
  // Throws Error if the path is missing, unreadable, or holds no text files.
  explicit TextSource(const std::string& path);

  bool Next(DocumentBatch& batch) override;
  void Rewind() override;
  int64_t bytes_read() const override;
  int64_t total_bytes() const override { return total_bytes_; }

  const std::vector<std::string>& files() const { return files_; }

 private:
  bool OpenNext();

  std::vector<std::string> files_;
  int64_t total_bytes_ = 0;
  size_t next_file_ = 0;
  int64_t finished_bytes_ = 0;  // of the files before the open one
  std::shared_ptr<MappedFile> file_;
  std::unique_ptr<DocumentSplitter> splitter_;
};

}  // namespace flashlm
