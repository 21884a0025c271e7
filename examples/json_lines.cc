// A source of documents for learning from: JSON Lines, one object a line, each with its text in one field. Files that
// end in .jsonl are read by it: flashlm data prepare --input stories.jsonl --set field=story --out data/stories
#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "data/sources.h"

namespace flashlm {
namespace {

class JsonLinesSource final : public DocumentSource {
 public:
  static constexpr const char* kAbout = "a file of JSON objects, one a line, with their text in one field";
  static constexpr const char* kEnding = ".jsonl";
  struct Options {
    std::string field = "text";
    void VisitFields(FieldVisitor& v) { v.Text("field", field, {}, "that holds an object's text"); }
  };

  JsonLinesSource(const std::string& input, const Options& options)
      : options_(options), file_(input), stamp_(StampOf(input)) {}

  bool Next(DocumentBatch& batch) override {
    constexpr size_t kBatchBytes = 8 << 20;
    batch = {};
    const auto texts = std::make_shared<std::vector<std::string>>();
    const size_t begin = at_;
    while (at_ < file_.size() && at_ - begin < kBatchBytes) {
      const std::string_view rest = file_.text().substr(at_), line = rest.substr(0, rest.find('\n'));
      at_ += std::min(line.size() + 1, rest.size());
      ++line_;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) texts->push_back(TextOf(line));
    }
    for (const std::string& text : *texts) {
      if (!text.empty()) batch.documents.push_back(text);
    }
    batch.owners.push_back(texts);
    return at_ > begin;
  }
  void Rewind() override { at_ = line_ = 0; }
  int64_t bytes_read() const override { return static_cast<int64_t>(at_); }
  int64_t total_bytes() const override { return static_cast<int64_t>(file_.size()); }
  Json Identity() const override {
    return {"json-lines", file_.path(), options_.field, stamp_.bytes, stamp_.modified_ns};
  }
  std::vector<std::string> paths() const override { return {file_.path()}; }

 private:
  std::string Where() const { return fmt::format("{}:{}", file_.path(), line_); }

  std::string TextOf(std::string_view line) const {
    const Json object = ParseJson(std::string(line), Where());
    if (!object.is_object() || !object.contains(options_.field) || !object[options_.field].is_string()) {
      throw Error(fmt::format("{}: no text in the field '{}'", Where(), options_.field), "--set field=NAME says which");
    }
    std::string text = object[options_.field].get<std::string>();
    CheckText(text, Where(), 0);
    return text;
  }

  Options options_;
  MappedFile file_;
  FileStamp stamp_;
  size_t at_ = 0;
  int64_t line_ = 0;
};

FLASHLM_REGISTER_SOURCE("json-lines", JsonLinesSource);

}  // namespace
}  // namespace flashlm
