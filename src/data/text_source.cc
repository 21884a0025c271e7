#include "data/text_source.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = 8 << 20;
// Bounds the number of maps that a batch of tiny files holds open.
constexpr size_t kBatchDocuments = 16384;

bool IsTextName(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".txt";
}

}  // namespace

TextSource::TextSource(const std::string& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) {
    AddFolder(path);
    if (files_.empty()) {
      throw Error(fmt::format("the folder '{}' holds no .txt file", path), "give a folder of plain text files");
    }
    std::sort(files_.begin(), files_.end(), [](const File& a, const File& b) { return a.path < b.path; });
  } else if (path != "-" && fs::is_regular_file(path, code)) {
    AddFile(path);
  } else {
    piped_ = std::make_shared<MappedFile>(OpenInput(path));
    files_.push_back({.path = piped_->path(), .stamp = {0, 0, static_cast<int64_t>(piped_->size()), 0}});
  }
  for (const File& file : files_) total_bytes_ += file.stamp.bytes;
  if (total_bytes_ == 0) throw Error(fmt::format("'{}' is empty", path), "give a file that holds text");
}

void TextSource::AddFile(const std::string& path) {
  const FileStamp stamp = StampOf(path);
  if (!seen_.insert({stamp.device, stamp.inode}).second) return;
  const OpenFile readable(path);  // better now than after an hour
  files_.push_back({.path = path, .stamp = stamp});
}

void TextSource::AddFolder(const std::string& folder) {
  const FileStamp stamp = StampOf(folder);
  if (!seen_.insert({stamp.device, stamp.inode}).second) return;
  folders_.push_back(folder);
  std::error_code code;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    entries.push_back(entry->path());
  }
  if (code) throw Error(fmt::format("cannot list the folder '{}': {}", folder, code.message()));
  std::sort(entries.begin(), entries.end());
  int other = 0;
  for (const fs::path& entry : entries) {
    const fs::file_status status = fs::status(entry, code);  // of what a link leads to
    if (fs::is_directory(status)) {
      AddFolder(entry.string());
    } else if (!IsTextName(entry)) {
      other += !entry.filename().string().starts_with('.');
    } else if (fs::is_regular_file(status)) {
      AddFile(entry.string());
    } else {
      Say(fmt::format("note: '{}' is no file: left out", entry.string()));  // a link to nothing, a pipe
    }
  }
  if (other > 0) Say(fmt::format("note: {} files in '{}' do not end in .txt: left out", other, folder));
}

Json TextSource::Identity() const {
  if (piped_) return {"piped", Sha256(piped_->text())};
  Json identity = Json::array();
  for (const File& file : files_) {
    identity.push_back({ResolvePath(file.path).string(), file.stamp.bytes, file.stamp.modified_ns});
  }
  return identity;
}

std::vector<std::string> TextSource::paths() const {
  std::vector<std::string> paths = folders_;
  if (piped_) return paths;
  for (const File& file : files_) paths.push_back(file.path);
  return paths;
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

void TextSource::ExpectUnchanged(const File& file) const {
  if (piped_ || StampOf(file.path) == file.stamp) return;
  throw Error(fmt::format("'{}' changed while it was being read", file.path),
              "run the command again when nothing writes to it");
}

bool TextSource::OpenNext() {
  if (file_) {
    ExpectUnchanged(files_[next_file_ - 1]);  // it may have grown behind the map's end
    finished_bytes_ += static_cast<int64_t>(file_->size());
  }
  file_.reset();
  splitter_.reset();
  if (next_file_ == files_.size()) return false;
  File& file = files_[next_file_++];
  file_ = piped_ ? piped_ : std::make_shared<MappedFile>(file.path);
  ExpectUnchanged(file);
  if (!file.counted) {
    file.separators = CountSeparators(file_->text(), [&](size_t passed) { file_->DropBefore(passed); });
    file.counted = true;
    const std::string note = file.separators.Note(file.path);
    if (!note.empty()) Say(note);
  }
  splitter_ = std::make_unique<DocumentSplitter>(file_->text(), /*cut_long=*/true, file.separators.SplitInside());
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
