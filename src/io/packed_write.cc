// Writing packed models.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/atomic_file.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/files.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/packed_layout.h"

namespace flashlm {
namespace {

using packed::Aligned;

// A float array of the bank: rows of `cols` values.
struct Values {
  std::string name;
  std::vector<int> shape;
  float* data;
  int64_t size;
  bool matrix;  // may be rounded

  int64_t cols() const { return shape.back(); }
  int64_t rows() const { return size / cols(); }
};

std::vector<Values> FloatsOf(const ParamBank& bank) {
  std::vector<Values> all;
  for (const ParamInfo& info : bank.infos()) {
    if (info.quantization.ternary != kernels::Ternary::kNone) continue;
    const bool matrix = info.shape.size() > 1 && info.role != Role::kBuffer;
    all.push_back({info.name, info.shape, bank.values() + info.offset, info.size, matrix});
  }
  for (const auto& table : bank.tables()) {
    all.push_back({table->name(), {table->rows(), table->cols()}, table->values(), table->size(), true});
  }
  return all;
}

Packing PackingOf(const Values& values, Packing floats) {
  if (!values.matrix || (floats == Packing::kInt8 && values.cols() < kLeastInt8Columns)) return Packing::kF32;
  return floats;
}

template <class T>
void Append(const T* values, size_t count, std::string& out) {
  out.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

// The scale and the integers of each row.
void RoundRow(const float* row, int64_t cols, float* scale, int8_t* integers) {
  float largest = 0;
  for (int64_t c = 0; c < cols; ++c) largest = std::max(largest, std::abs(row[c]));
  *scale = largest / 127;
  for (int64_t c = 0; c < cols; ++c) {
    const float n = *scale > 0 ? std::nearbyint(row[c] / *scale) : 0;
    integers[c] = static_cast<int8_t>(std::clamp(n, -127.0f, 127.0f));
  }
}

std::string Encode(const Values& values, Packing packing) {
  std::string out;
  if (packing == Packing::kF32) {
    Append(values.data, static_cast<size_t>(values.size), out);
  } else if (packing == Packing::kBF16) {
    std::vector<BFloat16> rounded(static_cast<size_t>(values.size));
    std::transform(values.data, values.data + values.size, rounded.begin(), ToBFloat16);
    Append(rounded.data(), rounded.size(), out);
  } else {
    std::vector<float> scales(static_cast<size_t>(values.rows()));
    std::vector<int8_t> integers(static_cast<size_t>(values.size));
    for (int64_t r = 0; r < values.rows(); ++r) {
      RoundRow(values.data + r * values.cols(), values.cols(), &scales[static_cast<size_t>(r)],
               integers.data() + r * values.cols());
    }
    Append(scales.data(), scales.size(), out);
    Append(integers.data(), integers.size(), out);
  }
  return out;
}

std::string EncodeTernary(const ParamBank& bank, const ParamInfo& info, Packing packing) {
  FLASHLM_CHECK(info.shape.size() == 2, "ternary '{}' is not a matrix", info.name);
  const int rows = info.shape[0], cols = info.shape[1];
  std::vector<float> trits(static_cast<size_t>(info.size)), scales(static_cast<size_t>(rows));
  bank.Ternarize({info.offset, rows, cols, info.quantization}, trits.data(), scales.data());
  std::string out;
  Append(scales.data(), packed::ScalesOf(packing, static_cast<uint64_t>(rows)), out);
  for (size_t i = 0; i < trits.size(); i += packed::kTritsPerByte) {
    unsigned byte = 0, weight = 1;
    for (size_t k = i; k < std::min(trits.size(), i + packed::kTritsPerByte); ++k, weight *= 3) {
      byte += weight * static_cast<unsigned>(static_cast<int>(trits[k]) + 1);
    }
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

// The table and the sections, as they are collected.
class Sections {
 public:
  void AddFile(const std::string& name, std::string bytes) {
    table_.push_back({{"name", name}, {"packing", NameOf(Packing::kBytes)}, {"bytes", bytes.size()}});
    contents_.push_back(std::move(bytes));
  }
  void AddParameter(const std::string& name, const std::vector<int>& shape, Packing packing, std::string bytes) {
    table_.push_back({{"name", name}, {"packing", NameOf(packing)}, {"shape", shape}, {"bytes", bytes.size()}});
    contents_.push_back(std::move(bytes));
  }
  std::string Table() const {
    std::string text = table_.dump();
    text.resize(Aligned(text.size()), ' ');
    return text;
  }
  const std::vector<std::string>& contents() const { return contents_; }

 private:
  Json table_ = Json::array();
  std::vector<std::string> contents_;
};

Sections Collect(const PackedContent& content, const ParamBank& bank, Packing floats) {
  Sections sections;
  sections.AddFile(kConfigFile, content.config.dump());
  sections.AddFile(kAboutSection, content.about.dump());
  sections.AddFile(kTokenizerFile, nlohmann::json::parse(content.tokenizer_json).dump());
  if (!content.ngrams.empty()) sections.AddFile(kNGramFile, content.ngrams);
  for (const ParamInfo& info : bank.infos()) {
    if (info.quantization.ternary == kernels::Ternary::kNone) continue;
    const bool by_row = info.quantization.ternary == kernels::Ternary::kRow;
    const Packing packing = by_row ? Packing::kTernaryRows : Packing::kTernary;
    sections.AddParameter(info.name, info.shape, packing, EncodeTernary(bank, info, packing));
  }
  for (const Values& values : FloatsOf(bank)) {
    const Packing packing = PackingOf(values, floats);
    sections.AddParameter(values.name, values.shape, packing, Encode(values, packing));
  }
  return sections;
}

}  // namespace

void WritePackedFile(const std::string& path, const PackedContent& content, const ParamBank& bank, Packing floats) {
  FLASHLM_CHECK(floats == Packing::kF32 || floats == Packing::kBF16 || floats == Packing::kInt8, "floats as {}",
                NameOf(floats));
  RefuseInfinite(path, bank);
  const Sections sections = Collect(content, bank, floats);
  const std::string table = sections.Table();
  FLASHLM_CHECK(table.size() <= packed::kMaxTable, "a table of {} bytes", table.size());
  std::string body = table;  // all that follows the header
  for (const std::string& bytes : sections.contents()) {
    body += bytes;
    body.resize(Aligned(body.size()), '\0');
  }
  std::string header(packed::kHeader, '\0');
  const uint32_t version[2] = {packed::kVersion, packed::kAlignment};
  const uint64_t sizes[2] = {table.size(), packed::kHeader + body.size()};
  std::memcpy(header.data(), packed::kMagic, 8);
  std::memcpy(header.data() + 8, version, sizeof version);
  std::memcpy(header.data() + 16, sizes, sizeof sizes);
  const std::string checksum = Sha256(body);
  std::memcpy(header.data() + packed::kChecksumAt, checksum.data(), checksum.size());
  AtomicFile file(path);
  file.Append(header);
  file.Append(body);
  file.Commit();
}

void RoundAsPacked(ParamBank& bank, Packing floats) {
  for (const Values& values : FloatsOf(bank)) {
    const Packing packing = PackingOf(values, floats);
    for (int64_t r = 0; packing != Packing::kF32 && r < values.rows(); ++r) {
      float* row = values.data + r * values.cols();
      if (packing == Packing::kBF16) {
        std::transform(row, row + values.cols(), row, [](float v) { return ToFloat(ToBFloat16(v)); });
        continue;
      }
      float scale = 0;
      std::vector<int8_t> integers(static_cast<size_t>(values.cols()));
      RoundRow(row, values.cols(), &scale, integers.data());
      std::transform(integers.begin(), integers.end(), row,
                     [scale](int8_t n) { return scale * static_cast<float>(n); });
    }
  }
  bank.Touch();
}

}  // namespace flashlm
