#include "io/bank_files.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <vector>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr const char* kEmbeddings[] = {"embed.weight", "embedding.weight"};  // what architectures call it
constexpr char kTiedHead[] = "head.weight";

// One of the bank's flat arrays, and what its tensors' names begin with.
struct FlatArray {
  std::string prefix;
  float* data;
  bool buffers = true;  // moments have none

  bool Holds(const ParamInfo& info) const { return buffers || info.role != Role::kBuffer; }
};

std::vector<FlatArray> MomentsOf(const ParamBank& bank) {
  FLASHLM_CHECK(bank.for_training(), "a parameter bank without moments");
  return {{"m.", bank.first_moments(), false}, {"v.", bank.second_moments(), false}};
}

void Save(const std::string& path, const ParamBank& bank, std::span<const FlatArray> arrays, const TextMap& metadata) {
  std::vector<TensorToWrite> tensors;
  for (const FlatArray& array : arrays) {
    for (const ParamInfo& info : bank.infos()) {
      if (!array.Holds(info)) continue;
      tensors.push_back({array.prefix + info.name, info.shape, array.data + info.offset});
    }
  }
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

void CheckFit(const SafetensorsFile& file, const ParamBank& bank, std::span<const FlatArray> arrays,
              const std::string& ignored) {
  std::vector<std::string> missing, unexpected, misshapen;
  std::set<std::string> expected;
  for (const FlatArray& array : arrays) {
    for (const ParamInfo& info : bank.infos()) {
      if (!array.Holds(info)) continue;
      const std::string name = array.prefix + info.name;
      expected.insert(name);
      if (!file.Has(name)) {
        missing.push_back(name);
      } else if (file.Shape(name) != info.shape) {
        misshapen.push_back(fmt::format("{} ([{}] instead of [{}])", name, fmt::join(file.Shape(name), ", "),
                                        fmt::join(info.shape, ", ")));
      }
    }
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (name != ignored && !expected.contains(name)) unexpected.push_back(name);
  }
  std::vector<std::string> problems;
  Describe("missing", missing, problems);
  Describe("unexpected", unexpected, problems);
  Describe("of another shape", misshapen, problems);
  if (problems.empty()) return;
  throw Error(fmt::format("'{}' does not fit the model: {}", file.path(), fmt::join(problems, "; ")),
              "the file belongs to another model or configuration");
}

void Load(const SafetensorsFile& file, const ParamBank& bank, std::span<const FlatArray> arrays,
          const std::string& ignored = "") {
  CheckFit(file, bank, arrays, ignored);
  for (const FlatArray& array : arrays) {
    for (const ParamInfo& info : bank.infos()) {
      if (!array.Holds(info)) continue;
      file.Read(array.prefix + info.name, array.data + info.offset, info.shape);
    }
  }
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
  const FlatArray values{"", bank.values()};
  Save(path, bank, {&values, 1}, metadata);
}

void LoadValues(const std::string& path, ParamBank& bank) {
  const SafetensorsFile file(path);
  const FlatArray values{"", bank.values()};
  Load(file, bank, {&values, 1}, HasTiedHead(file, bank) ? kTiedHead : "");
  bank.Touch();
}

void SaveMoments(const std::string& path, const ParamBank& bank) { Save(path, bank, MomentsOf(bank), {}); }

void LoadMoments(const std::string& path, ParamBank& bank) { Load(SafetensorsFile(path), bank, MomentsOf(bank)); }

}  // namespace flashlm
