#include "tensor/param_state.h"

#include "base/error.h"

namespace flashlm {

void ParamState::Add(const std::string& name, const std::vector<bool>& holds) {
  const std::vector<ParamInfo>& infos = bank_.infos();
  FLASHLM_CHECK(holds.size() == infos.size(), "state '{}' of {} parameters", name, holds.size());
  Array array{name, std::vector<int64_t>(infos.size(), -1), {}, 0, nullptr};
  for (size_t i = 0; i < infos.size(); ++i) {
    if (!holds[i]) continue;
    const bool neighbour = i > 0 && holds[i - 1];
    array.offsets[i] =
        neighbour ? array.offsets[i - 1] + infos[i].offset - infos[i - 1].offset : WholeLines(array.size);
    array.size = array.offsets[i] + infos[i].size;
  }
  array.data = AllocateZeroed(array.size);
  arrays_.push_back(std::move(array));
}

void ParamState::AddLines(const std::string& name, const std::vector<int>& lines) {
  FLASHLM_CHECK(lines.size() == bank_.infos().size(), "state '{}' of {} parameters", name, lines.size());
  Array array{name, std::vector<int64_t>(lines.size(), -1), lines, 0, nullptr};
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] == 0) continue;
    array.offsets[i] = WholeLines(array.size);
    array.size = array.offsets[i] + lines[i];
  }
  array.data = AllocateZeroed(array.size);
  arrays_.push_back(std::move(array));
}

float* ParamState::AddForTable(const std::string& name, const SparseTable& table, int cols) {
  TableArray array{name + "." + table.name(), {table.rows()}, nullptr};
  if (cols > 0) array.shape.push_back(cols);
  array.data = AllocateZeroed(array.size());
  table_arrays_.push_back(std::move(array));
  return table_arrays_.back().data.get();
}

float* ParamState::Find(const std::string& name, size_t i) const {
  for (const Array& array : arrays_) {
    if (array.name == name) return array.Of(i);
  }
  return nullptr;
}

int64_t ParamState::size() const {
  int64_t floats = 0;
  for (const Array& array : arrays_) floats += array.size;
  for (const TableArray& array : table_arrays_) floats += array.size();
  return floats;
}

}  // namespace flashlm
