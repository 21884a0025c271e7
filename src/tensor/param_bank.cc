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
    case Role::kLookup:
      return "lookup";
    case Role::kVector:
      return "vector";
    case Role::kValueHead:
      return "value_head";
    case Role::kBuffer:
      return "buffer";
  }
  return "?";
}

namespace {

// The rows of one matrix among those that stand below one another.
template <class Rows>
struct Stacked {
  int64_t first, count;
  Rows rows;
};

// Calls f(part, its first row, how many, how many came before) for all parts that have some of rows [first, first +
// count).
template <class Rows, class F>
void ForEachPart(const std::vector<Stacked<Rows>>& parts, int64_t first, int64_t count, const F& f) {
  for (const Stacked<Rows>& part : parts) {
    const int64_t begin = std::max(first, part.first), end = std::min(first + count, part.first + part.count);
    if (begin < end) f(part, begin - part.first, end - begin, begin - first);
  }
}

}  // namespace

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
      std::vector<uint8_t> codes(static_cast<size_t>(info.size));
      TritsAt(info, p.cols)(0, info.size / p.cols, codes.data());
      std::transform(codes.begin(), codes.end(), trits + offset, [](int code) { return static_cast<float>(code - 1); });
      return;
    }
    kernels::Ternarize(p.quantization.ternary, values_.get() + info.offset, info.size / p.cols, p.cols, trits + offset,
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

void ParamBank::Keep(const std::string& name, KeptParam kept) {
  const ParamInfo* info = Find(name);
  FLASHLM_CHECK(info != nullptr && !for_training() && KeptAt(info->offset) == nullptr, "'{}' cannot be kept", name);
  if (!keeps_) kept_.clear();
  const auto after = std::find_if(kept_.begin(), kept_.end(), [&](const auto& k) { return k->offset > info->offset; });
  kept_.insert(after, std::unique_ptr<Kept>(new Kept{info->offset, info->size, std::move(kept)}));
  // Else a value beside it would bring in whole huge pages that nobody looks at.
  AdviseHugePages(values_.get() + info->offset, info->size, false);
  keeps_ = true;
  Touch();
}

bool ParamBank::KeepsIntegers() const {
  return keeps_ &&
         std::any_of(kept_.begin(), kept_.end(), [](const auto& kept) { return kept->param.int8 != nullptr; });
}

ParamBank::Kept* ParamBank::KeptAt(int64_t offset) const {
  if (!keeps_.load(std::memory_order_acquire)) return nullptr;
  const auto found = std::lower_bound(kept_.begin(), kept_.end(), offset,
                                      [](const auto& kept, int64_t at) { return kept->offset < at; });
  return found != kept_.end() && (*found)->offset == offset ? found->get() : nullptr;
}

void ParamBank::Expand(int64_t offset, int64_t size) const {
  auto at = std::lower_bound(kept_.begin(), kept_.end(), offset,
                             [](const auto& kept, int64_t begin) { return kept->offset < begin; });
  for (; at != kept_.end() && (*at)->offset < offset + size; ++at) {
    Kept& kept = **at;
    if (kept.expanded.load(std::memory_order_acquire)) continue;
    const std::lock_guard lock(expanding_);
    if (kept.expanded) continue;
    // Whoever multiplies by one large matrix of floats will want them all.
    constexpr int64_t kLarge = 1 << 16;
    if (kept.size >= kLarge) AdviseHugePages(values_.get(), size_, true);
    kept.param.expand(values_.get() + kept.offset);
    kept.expanded.store(true, std::memory_order_release);
  }
}

const float* ParamBank::ValueOfRows(const Param& p, const int32_t* rows, int64_t count) const {
  Kept* const kept = KeptAt(p.offset);
  if (kept == nullptr || kept->size != int64_t{p.rows} * p.cols || kept->param.int8 == nullptr) return Value(p);
  float* const values = values_.get() + p.offset;
  if (kept->expanded.load(std::memory_order_acquire)) return values;
  const std::lock_guard lock(expanding_);
  kept->row_expanded.resize(static_cast<size_t>(p.rows));
  std::vector<int8_t> integers;
  for (int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<size_t>(rows[i]);
    if (kept->row_expanded[row]) continue;
    kept->row_expanded[row] = true;
    integers.resize(static_cast<size_t>(p.cols));
    float scale = 0;
    kept->param.int8(rows[i], 1, integers.data(), &scale);
    std::transform(integers.begin(), integers.end(), values + rows[i] * int64_t{p.cols},
                   [scale](int8_t n) { return scale * static_cast<float>(n); });
  }
  return values;
}

void ParamBank::ForgetKept() const {
  Expand(0, size_);
  keeps_ = false;
}

kernels::TritRows ParamBank::TritsAt(const ParamInfo& info, int cols) const {
  const Kept* kept = KeptAt(info.offset);
  return kept != nullptr ? kept->param.trits : kernels::TritsOf(values_.get() + info.offset, cols);
}

kernels::TritRows ParamBank::TritsOf(const Param& p) const {
  std::vector<Stacked<kernels::TritRows>> parts;
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    parts.push_back({offset / p.cols, info.size / p.cols, TritsAt(info, p.cols)});
  });
  if (parts.size() == 1) return parts.front().rows;
  return [parts, cols = p.cols](int64_t first, int64_t count, uint8_t* codes) {
    ForEachPart(parts, first, count, [&](const auto& part, int64_t from, int64_t many, int64_t done) {
      part.rows(from, many, codes + done * cols);
    });
  };
}

kernels::Int8Rows ParamBank::Int8Of(const Param& p) const {
  std::vector<Stacked<kernels::Int8Rows>> parts;
  bool all = true;
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    const Kept* kept = KeptAt(info.offset);
    all &= kept != nullptr && kept->param.int8 != nullptr;
    if (all) parts.push_back({offset / p.cols, info.size / p.cols, kept->param.int8});
  });
  if (!all || parts.empty()) return nullptr;
  if (parts.size() == 1) return parts.front().rows;
  return [parts, cols = p.cols](int64_t first, int64_t count, int8_t* integers, float* scales) {
    ForEachPart(parts, first, count, [&](const auto& part, int64_t from, int64_t many, int64_t done) {
      part.rows(from, many, integers + done * cols, scales + done);
    });
  };
}

void ParamBank::AddTernaryGradient(const Param& p, const float* effective, float* gradient) const {
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    kernels::TernaryGradient(p.quantization.ternary, values_.get() + info.offset, effective + offset,
                             info.size / p.cols, p.cols, gradient + offset);
  });
}

int64_t ParamBank::TableCount() const {
  int64_t count = 0;
  for (const auto& table : tables_) count += table->size();
  return count;
}

std::vector<int64_t> ParamBank::Cuts() const {
  std::vector<int64_t> cuts;
  for (const ParamInfo& info : infos_) cuts.push_back(info.offset);
  cuts.push_back(size_);
  return cuts;
}

int64_t ParamBank::ParameterCount() const {
  int64_t count = TableCount();
  for (const ParamInfo& info : infos_) count += info.role == Role::kBuffer ? 0 : info.size;
  return count;
}

}  // namespace flashlm
