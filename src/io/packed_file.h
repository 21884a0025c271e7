// A packed model: everything that a trained model needs to run, in one small file that is mapped into memory
// (docs/formats.md#packed-model). A header, a table of sections as JSON, then the sections one after another, each at
// the next multiple of 64 bytes: files of a model folder, and the parameters in the form that costs least.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "tensor/param_bank.h"

namespace flashlm {

// How a section's bytes stand for what they are. Ternary parameters are always kTernary or kTernaryRows, which lose
// nothing that products see; of the others vectors and rows below kLeastInt8Columns are always kF32.
enum class Packing : uint8_t {
  kBytes,        // a file
  kF32,          //
  kBF16,         // rounded to nearest
  kInt8,         // f32 scales, one a row, then round(value / scale), scale = max |row| / 127
  kTernary,      // f32 scale of the matrix, then {-1, 0, +1} as base-3 digits, five a byte, low ones first
  kTernaryRows,  // the same with a scale for each row
};
const char* NameOf(Packing packing);
constexpr int kLeastInt8Columns = 16;

// Sections that are files.
inline constexpr char kAboutSection[] = "about.json";

struct PackedSection {
  std::string name;  // of the parameter, or of the file
  Packing packing = Packing::kBytes;
  std::vector<int> shape;          // of a parameter; rows are all dimensions but the last
  uint64_t offset = 0, bytes = 0;  // in the file
  int64_t size() const;            // values of a parameter
  int64_t rows() const;            // of a parameter; a vector is one row
};

// True for a regular file that begins as a packed model does, whatever else is wrong with it.
bool IsPackedFile(const std::string& path);

// What is written beside the parameters.
struct PackedContent {
  Json config;                 // as in config.json
  Json about;                  // of the training: what LoadedModel::trainer_state of a packed model is
  std::string tokenizer_json;  // any spelling; stored without white space
  std::string ngrams;          // ngram.bin; "": none
};

// Replaces `path` atomically. floats: how float matrices and tables are stored (kF32, kBF16 or kInt8). Throws Error if
// writing fails, or the bank has values that are not finite.
void WritePackedFile(const std::string& path, const PackedContent& content, const ParamBank& bank, Packing floats);

// Rounds the float matrices and tables of `bank` to what a packed file with `floats` would give back.
void RoundAsPacked(ParamBank& bank, Packing floats);

class PackedFile {
 public:
  // Checks everything before anything is used: the header, the checksum of all that follows it, the table, and that the
  // sections are as long as they say and fill the file. Throws Error naming the file and what is wrong.
  explicit PackedFile(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const Json& config() const { return config_; }
  const Json& about() const { return about_; }
  const std::vector<PackedSection>& sections() const { return sections_; }
  // The bytes of a file; empty if there is none of that name.
  std::string_view Bytes(const std::string& name) const;

  // Sets all values of the bank, and of its ternary matrices the scales (ParamBank::SetScales). Ternary matrices and
  // those of int8 stay in the map, which lives as long as the bank then: products read them from there, values are made
  // where they are asked for (ParamBank::Keep). Throws Error unless parameters, shapes and which of them are ternary
  // are those of the bank, and their scales are finite.
  void Load(ParamBank& bank) const;

 private:
  const PackedSection* Find(const std::string& name) const;
  const uint8_t* DataOf(const PackedSection& section) const { return file_->data() + section.offset; }
  void LoadValues(const PackedSection& section, float* to) const;

  std::shared_ptr<const MappedFile> file_;
  std::vector<PackedSection> sections_;
  Json config_, about_;
};

}  // namespace flashlm
