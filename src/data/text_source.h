// Documents from text files.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "data/documents.h"

namespace flashlm {

// A file, the text files of a folder and its subfolders in the order of their paths (names that end in .txt in any
// case, links followed, each file once), or "-", standard input. Files are memory-mapped one by one; pipes are read to
// the end at once, into a temporary file.
//
// Throws Error if a file is no longer the one that was there when the source was opened, by size or time: what was read
// before and what is read now would not belong together.
class TextSource : public DocumentSource {
 public:
  // Throws Error if the path is missing, unreadable, or holds no text files.
  explicit TextSource(const std::string& path);

  bool Next(DocumentBatch& batch) override;
  void Rewind() override;
  int64_t bytes_read() const override;
  int64_t total_bytes() const override { return total_bytes_; }
  Json Identity() const override;
  std::vector<std::string> paths() const override;

 private:
  struct File {
    std::string path;
    FileStamp stamp;
    bool counted = false;
    Separators separators = {};  // once counted
  };

  void AddFile(const std::string& path);
  void AddFolder(const std::string& folder);
  bool OpenNext();
  void ExpectUnchanged(const File& file) const;

  std::set<std::pair<uint64_t, uint64_t>> seen_;  // device and inode of every file and folder, so that links end
  std::vector<std::string> folders_;
  std::vector<File> files_;
  std::shared_ptr<MappedFile> piped_;  // what came through a pipe, kept for the next pass
  int64_t total_bytes_ = 0;
  size_t next_file_ = 0;
  int64_t finished_bytes_ = 0;  // of the files before the open one
  std::shared_ptr<MappedFile> file_;
  std::unique_ptr<DocumentSplitter> splitter_;
};

}  // namespace flashlm
