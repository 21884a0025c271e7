#include "io/packed_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>

#include "base/dtype.h"
#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/packed_layout.h"
#include "io/packed_rows.h"
#include "io/quoted_name.h"

namespace flashlm {
namespace {

// Sorted: a hostile table may have many keys, and base's Json finds one by walking all.
using SortedJson = nlohmann::json;

constexpr size_t kMaxConfig = size_t{64} << 10;  // bytes of config.json and about.json
constexpr int kMostDimensions = 3;

class Reader {
 public:
  Reader(std::string_view file, const std::string& path) : file_(file), path_(path) {}

  std::vector<PackedSection> Read() {
    const uint64_t table_bytes = ReadHeader();
    const SortedJson table = ParseTable(file_.substr(packed::kHeader, table_bytes));
    uint64_t offset = packed::kHeader + table_bytes;
    std::set<std::string> names;
    std::vector<PackedSection> sections;
    for (const SortedJson& entry : table) {
      PackedSection section = ReadSection(entry, sections.size());
      if (!names.insert(section.name).second) Fail(fmt::format("section {} is there twice", QuotedName(section.name)));
      if (section.bytes > file_.size() - offset) {
        Fail(fmt::format("section {} has {} bytes, of which {} are there", QuotedName(section.name), section.bytes,
                         file_.size() - offset));
      }
      section.offset = offset;
      // No overflow: within the file. The last section's padding must be there, too.
      offset = packed::Aligned(offset + section.bytes);
      if (offset > file_.size()) Fail("its last section is not padded");
      sections.push_back(std::move(section));
    }
    if (offset != file_.size()) Fail(fmt::format("{} bytes follow its last section", file_.size() - offset));
    return sections;
  }

  // Text of a JSON object, which is small and flat.
  Json ReadObject(std::string_view text, const std::string& name) const {
    if (text.empty()) Fail(fmt::format("it has no section {}", QuotedName(name)));
    if (text.size() > kMaxConfig) Fail(fmt::format("{} has {} bytes", name, text.size()));
    constexpr int kDeepest = 8;
    NameWatch names;
    const auto shallow = [&](int depth, Json::parse_event_t event, const Json& parsed) {
      if (depth > kDeepest) Fail(fmt::format("{} is nested too deeply", name));
      if (names(event, parsed)) Fail(fmt::format("{} has {} twice", name, QuotedName(names.doubled())));
      return true;
    };
    try {
      Json json = Json::parse(text, shallow);
      if (json.is_object()) return json;
    } catch (const Json::exception&) {
      // said below
    }
    Fail(fmt::format("{} is not a JSON object", name));
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(fmt::format("'{}' is not a sound packed model: {}", path_, what),
                "the file is damaged or incomplete; copy or export it again");
  }

  template <class T>
  T At(uint64_t offset) const {
    T value;
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }

  // Bytes of the table.
  uint64_t ReadHeader() const {
    if (file_.size() < packed::kHeader) Fail(fmt::format("it has only {} bytes", file_.size()));
    if (file_.substr(0, 8) != packed::kMagic) Fail(fmt::format("it does not begin with {}", packed::kMagic));
    if (At<uint32_t>(8) != packed::kVersion) {
      throw Error(fmt::format("'{}' is a packed model of version {}, this program reads {}", path_, At<uint32_t>(8),
                              packed::kVersion),
                  "use the program that wrote it, or export the model again");
    }
    if (At<uint32_t>(12) != packed::kAlignment) {
      Fail(fmt::format("its alignment is {} instead of {}", At<uint32_t>(12), packed::kAlignment));
    }
    const auto table = At<uint64_t>(16), whole = At<uint64_t>(24);
    if (whole != file_.size()) {
      Fail(fmt::format("it {}: {} bytes instead of {}", file_.size() < whole ? "is truncated" : "is too long",
                       file_.size(), whole));
    }
    if (table > packed::kMaxTable || table > file_.size() - packed::kHeader || table % packed::kAlignment != 0) {
      Fail(fmt::format("its table would have {} bytes", table));
    }
    const std::string_view zeros = file_.substr(32, packed::kChecksumAt - 32);
    if (zeros.find_first_not_of('\0') != std::string_view::npos) Fail("its header has bytes that must be zero");
    if (Sha256(file_.substr(packed::kHeader)) != file_.substr(packed::kChecksumAt, 64)) {
      Fail("its SHA-256 is not the recorded one");
    }
    return table;
  }

  SortedJson ParseTable(std::string_view text) const {
    constexpr int kDeepest = 3;  // a shape within a section within the table
    NameWatch names;
    const auto shallow = [&](int depth, SortedJson::parse_event_t event, const SortedJson& parsed) {
      if (depth > kDeepest) Fail("its table is nested too deeply");
      if (names(event, parsed)) Fail(fmt::format("its table has {} twice", QuotedName(names.doubled())));
      return true;
    };
    try {
      SortedJson table = SortedJson::parse(text, shallow);
      if (table.is_array()) return table;
    } catch (const SortedJson::exception&) {
      // said below
    }
    Fail("its table is not a JSON list");
  }

  PackedSection ReadSection(const SortedJson& entry, size_t index) const {
    const auto text = [&](const char* key) {
      const SortedJson value = entry.is_object() ? entry.value(key, SortedJson()) : SortedJson();
      if (!value.is_string()) Fail(fmt::format("section {} has no text \"{}\"", index, key));
      return value.get<std::string>();
    };
    PackedSection section;
    section.name = text("name");
    const auto fail = [&](const std::string& what) {
      Fail(fmt::format("section {} {}", QuotedName(section.name), what));
    };
    const std::string packing = text("packing");
    const auto* known = std::find_if(packed::kPackings.begin(), packed::kPackings.end(),
                                     [&](Packing other) { return packing == NameOf(other); });
    if (known == packed::kPackings.end()) fail(fmt::format("has the unknown packing {}", QuotedName(packing)));
    section.packing = *known;
    const SortedJson bytes = entry.value("bytes", SortedJson());
    if (!bytes.is_number_unsigned()) fail("has no number \"bytes\"");
    section.bytes = bytes.get<uint64_t>();
    const SortedJson shape = entry.value("shape", SortedJson());
    if (section.packing == Packing::kBytes) {
      if (!shape.is_null()) fail("is a file and has a shape");
      return section;
    }
    ReadShape(shape, fail, section);
    return section;
  }

  template <class FailWith>
  static void ReadShape(const SortedJson& shape, const FailWith& fail, PackedSection& section) {
    if (!shape.is_array() || shape.empty() || shape.size() > kMostDimensions) fail("has no shape of 1 to 3 dimensions");
    constexpr uint64_t kMost = uint64_t{1} << 40;  // values, so that their bytes cannot overflow
    uint64_t size = 1;
    for (const SortedJson& item : shape) {
      const uint64_t n = item.is_number_unsigned() ? item.get<uint64_t>() : 0;
      if (n == 0 || n > std::numeric_limits<int>::max())
        fail(fmt::format("has a dimension of {}", QuotedName(item.dump())));
      if (__builtin_mul_overflow(size, n, &size) || size > kMost) fail("has a shape whose size overflows");
      section.shape.push_back(static_cast<int>(n));
    }
    const uint64_t expected = packed::BytesOf(section.packing, static_cast<uint64_t>(section.rows()), size);
    if (section.bytes != expected) {
      fail(fmt::format("has {} bytes, its shape asks for {}", section.bytes, expected));
    }
  }

  std::string_view file_;
  const std::string& path_;
};

constexpr int64_t kUnit = 1 << 16;  // values that a thread expands at a time, about

Packing PackingFor(const ParamInfo& info) {
  return info.quantization.ternary == kernels::Ternary::kNone  ? Packing::kF32
         : info.quantization.ternary == kernels::Ternary::kRow ? Packing::kTernaryRows
                                                               : Packing::kTernary;
}

bool IsTernary(Packing packing) { return packing == Packing::kTernary || packing == Packing::kTernaryRows; }

}  // namespace

const char* NameOf(Packing packing) {
  switch (packing) {
    case Packing::kBytes:
      return "bytes";
    case Packing::kF32:
      return "f32";
    case Packing::kBF16:
      return "bf16";
    case Packing::kInt8:
      return "int8";
    case Packing::kTernary:
      return "ternary";
    case Packing::kTernaryRows:
      return "ternary_rows";
  }
  return "?";
}

int64_t PackedSection::size() const {
  int64_t size = 1;
  for (const int n : shape) size *= n;
  return size;
}
int64_t PackedSection::rows() const { return size() / shape.back(); }

bool IsPackedFile(const std::string& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) return false;
  std::ifstream file(path, std::ios::binary);
  char magic[8] = {};
  return file.read(magic, sizeof magic) && std::string_view(magic, sizeof magic) == packed::kMagic;
}

PackedFile::PackedFile(const std::string& path) : file_(std::make_shared<MappedFile>(path)) {
  Reader reader(file_->text(), path);
  sections_ = reader.Read();
  config_ = reader.ReadObject(Bytes(kConfigFile), kConfigFile);
  about_ = reader.ReadObject(Bytes(kAboutSection), kAboutSection);
}

const PackedSection* PackedFile::Find(const std::string& name) const {
  const auto found =
      std::find_if(sections_.begin(), sections_.end(), [&](const PackedSection& s) { return s.name == name; });
  return found == sections_.end() ? nullptr : &*found;
}

std::string_view PackedFile::Bytes(const std::string& name) const {
  const PackedSection* section = Find(name);
  if (section == nullptr || section->packing != Packing::kBytes) return {};
  return file_->text().substr(section->offset, section->bytes);
}

void PackedFile::LoadValues(const PackedSection& section, float* to) const {
  const uint8_t* data = DataOf(section);
  const int64_t size = section.size(), cols = section.shape.back();
  if (section.packing == Packing::kF32) {
    std::memcpy(to, data, static_cast<size_t>(size) * sizeof(float));
  } else if (section.packing == Packing::kBF16) {
    const auto* halves = reinterpret_cast<const BFloat16*>(data);  // sections are aligned
    ParallelBlocks(size, kUnit, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = ToFloat(halves[i]);
    });
  } else {
    packed::ExpandInt8(data, section.rows(), cols, to);
  }
}

void PackedFile::Load(ParamBank& bank) const {
  const auto refuse = [&](const std::string& what) {
    throw Error(fmt::format("'{}' does not fit its own configuration: {}", path(), what),
                "the file is not one that this program wrote");
  };
  size_t used = 0;
  float* const values = bank.values();
  const auto section_of = [&](const std::string& name, const std::vector<int>& shape, Packing like) {
    const PackedSection* section = Find(name);
    if (section == nullptr) refuse(fmt::format("parameter {} is missing", QuotedName(name)));
    const bool same_kind = IsTernary(like) ? section->packing == like
                                           : section->packing != Packing::kBytes && !IsTernary(section->packing);
    if (section->shape != shape || !same_kind) {
      refuse(fmt::format("parameter {} is {} [{}] instead of {} [{}]", QuotedName(name), NameOf(section->packing),
                         fmt::join(section->shape, ", "), IsTernary(like) ? NameOf(like) : "float",
                         fmt::join(shape, ", ")));
    }
    const auto* scales = reinterpret_cast<const float*>(DataOf(*section));  // sections are aligned
    if (!AllFinite(scales,
                   static_cast<int64_t>(packed::ScalesOf(section->packing, static_cast<uint64_t>(section->rows()))))) {
      refuse(fmt::format("parameter {} has scales that are not finite", QuotedName(name)));
    }
    ++used;
    return section;
  };
  for (const ParamInfo& info : bank.infos()) {
    const Packing like = PackingFor(info);
    const PackedSection& section = *section_of(info.name, info.shape, like);
    if (section.packing == Packing::kInt8) {
      bank.Keep(info.name, packed::KeepInt8(file_, DataOf(section), section.rows(), section.shape.back()));
      continue;
    }
    if (!IsTernary(like)) {
      LoadValues(section, values + info.offset);
      continue;
    }
    const auto rows = static_cast<size_t>(section.rows());
    const uint64_t stored = packed::ScalesOf(like, rows);
    const auto* first = reinterpret_cast<const float*>(DataOf(section));
    std::vector<float> scales(first, first + stored);
    scales.resize(rows, scales.front());
    const uint8_t* digits = DataOf(section) + 4 * stored;
    const uint8_t* end = DataOf(section) + section.bytes;
    if (std::any_of(digits, end, [](uint8_t byte) { return byte > 242; })) {
      refuse(fmt::format("parameter {} has bytes that are no ternary digits", QuotedName(info.name)));
    }
    bank.Keep(info.name, packed::KeepTrits(file_, digits, scales, section.shape.back()));
    bank.SetScales(info.name, std::move(scales));
  }
  for (const auto& table : bank.tables()) {
    LoadValues(*section_of(table->name(), {table->rows(), table->cols()}, Packing::kF32), table->values());
  }
  const auto parameters = static_cast<size_t>(std::count_if(
      sections_.begin(), sections_.end(), [](const PackedSection& s) { return s.packing != Packing::kBytes; }));
  if (used != parameters) refuse(fmt::format("it has {} parameters, of which {} belong to it", parameters, used));
  bank.Touch();
}

}  // namespace flashlm
