#include "tensor/param_bank.h"

#include <algorithm>

#include "base/error.h"

namespace flashlm {

const char* NameOf(Role role) {
  switch (role) {
    case Role::kMatrix:
      return "matrix";
    case Role::kEmbedding:
      return "embedding";
    case Role::kVector:
      return "vector";
    case Role::kValueHead:
      return "value_head";
    case Role::kBuffer:
      return "buffer";
  }
  return "?";
}

void ParamBank::CheckNew(const std::string& name) const {
  FLASHLM_CHECK(values_ == nullptr, "parameter '{}' declared after allocation", name);
  bool known = Find(name) != nullptr;
  for (const auto& table : tables_) known |= table->name() == name;
  FLASHLM_CHECK(!known, "parameter '{}' declared twice", name);
}

Param ParamBank::Add(ParamInfo info, bool join_previous) {
  CheckNew(info.name);
  FLASHLM_CHECK(!info.shape.empty() && info.shape.size() <= 3, "parameter '{}': 1 to 3 dimensions", info.name);
  info.size = 1;
  for (int n : info.shape) info.size *= n;
  info.offset = join_previous ? size_ : WholeLines(size_);
  size_ = info.offset + info.size;
  const int rows = info.shape.size() == 1 ? 1 : info.shape[0];
  const Param handle{info.offset, rows, static_cast<int32_t>(info.size / rows), info.quantization};
  infos_.push_back(std::move(info));
  return handle;
}

SparseTable& ParamBank::AddTable(std::string name, int rows, int cols, Init init) {
  CheckNew(name);
  FLASHLM_CHECK(rows > 0 && cols > 0, "table '{}' of {} x {}", name, rows, cols);
  tables_.push_back(std::make_unique<SparseTable>(std::move(name), rows, cols));
  table_inits_.push_back(init);
  return *tables_.back();
}

void ParamBank::Allocate(bool for_training) {
  FLASHLM_CHECK(values_ == nullptr, "parameters allocated twice");
  size_ = WholeLines(size_);
  values_ = AllocateZeroed(size_);
  if (for_training) gradients_ = AllocateZeroed(size_);
  for (const auto& table : tables_) table->Allocate(for_training);
}

void ParamBank::Initialize(uint64_t seed) {
  for (const ParamInfo& info : infos_) Draw(info.init, seed, info.name, values_.get() + info.offset, info.size);
  for (size_t i = 0; i < tables_.size(); ++i) {
    const SparseTable& table = *tables_[i];
    Draw(table_inits_[i], seed, table.name(), table.values(), table.size());
  }
  Touch();
}

void ParamBank::ClearGradients() {
  std::fill_n(gradients_.get(), size_, 0.0f);
  for (const auto& table : tables_) table->ClearGradients();
}

const ParamInfo* ParamBank::Find(const std::string& name) const {
  for (const ParamInfo& info : infos_) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

int64_t ParamBank::TernaryCount() const {
  int64_t count = 0;
  for (const ParamInfo& info : infos_) count += info.quantization.ternary == kernels::Ternary::kNone ? 0 : info.size;
  return count;
}

void ParamBank::Ternarize(const Param& p, float* trits, float* scales) const {
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    if (const auto known = scales_.find(info.offset); known != scales_.end()) {
      std::copy(known->second.begin(), known->second.end(), scales + offset / p.cols);
      std::transform(values() + info.offset, values() + info.offset + info.size, trits + offset,
                     [](float value) { return static_cast<float>((value > 0) - (value < 0)); });
      return;
    }
    kernels::Ternarize(p.quantization.ternary, values() + info.offset, info.size / p.cols, p.cols, trits + offset,
                       scales + offset / p.cols);
  });
}

void ParamBank::SetScales(const std::string& name, std::vector<float> scales) {
  const ParamInfo* info = Find(name);
  FLASHLM_CHECK(info != nullptr && info->quantization.ternary != kernels::Ternary::kNone && !for_training() &&
                    std::ssize(scales) * info->shape.back() == info->size,
                "{} scales of '{}'", scales.size(), name);
  scales_[info->offset] = std::move(scales);
  Touch();
}

bool ParamBank::HasScales(const Param& p) const {
  bool all = !scales_.empty();
  if (all) ForEachIn(p, [&](const ParamInfo& info, int64_t) { all &= scales_.contains(info.offset); });
  return all;
}

void ParamBank::ScalesOf(const Param& p, float* scales) const {
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    const std::vector<float>& known = scales_.at(info.offset);
    std::copy(known.begin(), known.end(), scales + offset / p.cols);
  });
}

void ParamBank::AddTernaryGradient(const Param& p, const float* effective, float* gradient) const {
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    kernels::TernaryGradient(p.quantization.ternary, values() + info.offset, effective + offset, info.size / p.cols,
                             p.cols, gradient + offset);
  });
}

int64_t ParamBank::TableCount() const {
  int64_t count = 0;
  for (const auto& table : tables_) count += table->size();
  return count;
}

int64_t ParamBank::ParameterCount() const {
  int64_t count = TableCount();
  for (const ParamInfo& info : infos_) count += info.role == Role::kBuffer ? 0 : info.size;
  return count;
}

}  // namespace flashlm
