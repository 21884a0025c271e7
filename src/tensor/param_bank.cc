#include "tensor/param_bank.h"

#include <functional>

#include "base/error.h"
#include "base/rng.h"

namespace flashlm {
namespace {

// FNV-1a: the stream of a parameter depends on its name alone.
uint64_t HashName(const std::string& name) {
  uint64_t hash = 1469598103934665603ull;
  for (unsigned char c : name) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

}  // namespace

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

Param ParamBank::Add(ParamInfo info, bool join_previous) {
  FLASHLM_CHECK(values_ == nullptr, "parameter '{}' declared after allocation", info.name);
  FLASHLM_CHECK(Find(info.name) == nullptr, "parameter '{}' declared twice", info.name);
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

void ParamBank::Allocate(bool for_training) {
  FLASHLM_CHECK(values_ == nullptr, "parameters allocated twice");
  size_ = WholeLines(size_);
  values_ = AllocateZeroed(size_);
  if (for_training) gradients_ = AllocateZeroed(size_);
}

void ParamBank::Initialize(uint64_t seed) {
  for (const ParamInfo& info : infos_) {
    float* values = values_.get() + info.offset;
    Rng rng(seed, Purpose::kInit, HashName(info.name));
    for (int64_t i = 0; i < info.size; ++i) {
      switch (info.init.kind) {
        case Init::Kind::kZero:
          values[i] = 0;
          break;
        case Init::Kind::kConstant:
          values[i] = info.init.value;
          break;
        case Init::Kind::kNormal:
          values[i] = info.init.value * rng.Normal();
          break;
      }
    }
  }
  Touch();
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
    kernels::Ternarize(p.quantization.ternary, values() + info.offset, info.size / p.cols, p.cols, trits + offset,
                       scales + offset / p.cols);
  });
}

void ParamBank::AddTernaryGradient(const Param& p, const float* effective) {
  ForEachIn(p, [&](const ParamInfo& info, int64_t offset) {
    kernels::TernaryGradient(p.quantization.ternary, values() + info.offset, effective + offset, info.size / p.cols,
                             p.cols, gradients() + info.offset);
  });
}

int64_t ParamBank::ParameterCount() const {
  int64_t count = 0;
  for (const ParamInfo& info : infos_) count += info.role == Role::kBuffer ? 0 : info.size;
  return count;
}

}  // namespace flashlm
