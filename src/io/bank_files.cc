#include "io/bank_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <span>
#include <vector>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr const char* kEmbeddings[] = {"embed.weight", "embedding.weight"};  // what architectures call it
constexpr char kTiedHead[] = "head.weight";

// A tensor of a file, and the memory of the bank or of its state that it is.
struct Piece {
  std::string name;
  std::vector<int> shape;
  float* data;
};

std::vector<Piece> ValuesOf(const ParamBank& bank) {
  std::vector<Piece> pieces;
  for (const ParamInfo& info : bank.infos()) pieces.push_back({info.name, info.shape, bank.values() + info.offset});
  for (const auto& table : bank.tables()) {
    pieces.push_back({table->name(), {table->rows(), table->cols()}, table->values()});
  }
  return pieces;
}

std::vector<Piece> PiecesOf(const ParamBank& bank, const ParamState& state) {
  std::vector<Piece> pieces;
  for (const ParamState::Array& array : state.arrays()) {
    for (size_t i = 0; i < bank.infos().size(); ++i) {
      const ParamInfo& info = bank.infos()[i];
      if (array.Of(i) == nullptr) continue;
      const std::vector<int> shape = array.lines.empty() ? info.shape : std::vector<int>{array.lines[i]};
      pieces.push_back({array.name + "." + info.name, shape, array.Of(i)});
    }
  }
  for (const ParamState::TableArray& array : state.table_arrays()) {
    pieces.push_back({array.name, array.shape, array.data.get()});
  }
  return pieces;
}

void Save(const std::string& path, const std::vector<Piece>& pieces, const TextMap& metadata) {
  std::vector<TensorToWrite> tensors;
  tensors.reserve(pieces.size());
  for (const Piece& piece : pieces) tensors.push_back({piece.name, piece.shape, piece.data});
  WriteSafetensors(path, tensors, metadata);
}

// "missing 'a', 'b' and 7 more"; nothing for no names.
void Describe(const char* what, const std::vector<std::string>& names, std::vector<std::string>& problems) {
  constexpr size_t kShown = 3;
  if (names.empty()) return;
  const std::span<const std::string> shown(names.data(), std::min(names.size(), kShown));
  std::string text = fmt::format("{} '{}'", what, fmt::join(shown, "', '"));
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  problems.push_back(text);
}

void CheckFit(const SafetensorsFile& file, const std::vector<Piece>& pieces, const std::set<std::string>& ignored) {
  std::vector<std::string> missing, unexpected, misshapen;
  std::set<std::string> expected;
  for (const Piece& piece : pieces) {
    expected.insert(piece.name);
    if (!file.Has(piece.name)) {
      missing.push_back(piece.name);
    } else if (file.Shape(piece.name) != piece.shape) {
      misshapen.push_back(fmt::format("{} ([{}] instead of [{}])", piece.name, fmt::join(file.Shape(piece.name), ", "),
                                      fmt::join(piece.shape, ", ")));
    }
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (!ignored.contains(name) && !expected.contains(name)) unexpected.push_back(name);
  }
  std::vector<std::string> problems;
  Describe("missing", missing, problems);
  Describe("unexpected", unexpected, problems);
  Describe("of another shape", misshapen, problems);
  if (problems.empty()) return;
  throw Error(fmt::format("'{}' does not fit the model: {}", file.path(), fmt::join(problems, "; ")),
              "the file belongs to another model or configuration");
}

void Load(const SafetensorsFile& file, const std::vector<Piece>& pieces, const std::set<std::string>& ignored) {
  CheckFit(file, pieces, ignored);
  for (const Piece& piece : pieces) file.Read(piece.name, piece.data, piece.shape);
}

// True if the file's output head only repeats the embedding that the bank ties it to. A head of its own is
// not ignored: the model would silently compute something else than its author's.
bool HasTiedHead(const SafetensorsFile& file, const ParamBank& bank) {
  const ParamInfo* embedding = nullptr;
  for (const char* name : kEmbeddings) embedding = embedding == nullptr ? bank.Find(name) : embedding;
  if (embedding == nullptr || bank.Find(kTiedHead) != nullptr) return false;
  if (!file.Has(kTiedHead) || !file.Has(embedding->name)) return false;
  if (file.Shape(kTiedHead) != embedding->shape || file.Shape(embedding->name) != embedding->shape) return false;
  std::vector<float> head(static_cast<size_t>(embedding->size)), table(head.size());
  file.Read(kTiedHead, head.data(), embedding->shape);
  file.Read(embedding->name, table.data(), embedding->shape);
  return std::memcmp(head.data(), table.data(), head.size() * sizeof(float)) == 0;
}

}  // namespace

void SaveValues(const std::string& path, const ParamBank& bank, const TextMap& metadata) {
  Save(path, ValuesOf(bank), metadata);
}

bool AllFinite(const float* values, int64_t size) {
  return std::all_of(values, values + size, [](float v) { return std::isfinite(v); });
}

void RefuseInfinite(const std::string& path, const ParamBank& bank) {
  for (const Piece& piece : ValuesOf(bank)) {
    int64_t size = 1;
    for (const int n : piece.shape) size *= n;
    if (AllFinite(piece.data, size)) continue;
    throw Error(fmt::format("cannot write '{}': parameter '{}' has values that are not finite", path, piece.name),
                "the training went wrong; take an earlier checkpoint");
  }
}

void LoadValues(const std::string& path, ParamBank& bank) {
  const SafetensorsFile file(path);
  std::set<std::string> ignored;
  if (HasTiedHead(file, bank)) ignored.insert(kTiedHead);
  Load(file, ValuesOf(bank), ignored);
  bank.Touch();
}

void SaveState(const std::string& path, const ParamBank& bank, const ParamState& state) {
  Save(path, PiecesOf(bank, state), {});
}

void LoadState(const std::string& path, const ParamBank& bank, ParamState& state) {
  std::set<std::string> ignored;
  for (const ParamState::Array& array : state.arrays()) {
    for (size_t i = 0; i < bank.infos().size(); ++i) {
      if (array.Of(i) == nullptr) ignored.insert(array.name + "." + bank.infos()[i].name);
    }
  }
  Load(SafetensorsFile(path), PiecesOf(bank, state), ignored);
}

}  // namespace flashlm
