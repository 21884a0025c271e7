// All parameters of a model in one flat array, and their gradients at equal offsets: zeroing, norms, updates, saving
// and loading are each one sweep. Sparse tables (tensor/sparse_table.h) lie beside it, each by itself, so that no sweep
// meets them. What an optimiser remembers of all is its own (tensor/param_state.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kernels/matrix_rows.h"
#include "kernels/ternary/ternary.h"
#include "tensor/init.h"
#include "tensor/sparse_table.h"
#include "tensor/zeroed.h"

namespace flashlm {

// What a parameter is for; the optimiser groups by it (learning rate, weight decay).
enum class Role : uint8_t {
  kMatrix,     // a linear map inside the network
  kEmbedding,  // the token table, also when it is the output head
  kLookup,     // a table that is only looked up: a step gives few of its rows a gradient
  kVector,     // gains, biases, scalars
  kValueHead,  // look-ahead value heads
  kBuffer,     // not trained: saved with the model, without gradient, update and decay; not counted as a parameter
};
const char* NameOf(Role role);
// Rates and averages treat them alike.
inline bool IsTable(Role role) { return role == Role::kEmbedding || role == Role::kLookup; }

// How products see a matrix: as it is, or ternary (docs/spec/ternary.md), then optionally with its input rounded to
// int8 per token so that what is trained is exactly what integer arithmetic computes.
struct Quantization {
  kernels::Ternary ternary = kernels::Ternary::kNone;
  bool int8_input = false;
  bool operator==(const Quantization&) const = default;
};

struct ParamInfo {
  std::string name;        // as in the file, for example "blocks.0.swa.qkv.weight"
  std::vector<int> shape;  // 1-D, 2-D [out, in], or 3-D, used as 2-D [first, all the rest]
  Role role = Role::kMatrix;
  Init init;
  int stacked = 1;  // independent maps stacked in one tensor (3 for q|k|v): Muon orthogonalises them apart
  Quantization quantization = {};
  double lr_scale = 1;  // on the learning rate of its role, from its model: a table that is seldom read learns faster
  int64_t offset = 0, size = 0;
};

// A handle: one parameter, or several neighbours with the same number of columns used as one matrix [rows, cols].
struct Param {
  int64_t offset = -1;
  int32_t rows = 0, cols = 0;
  Quantization quantization = {};
};

// A matrix whose values are kept elsewhere in a form that costs less memory, as packed files have it.
struct KeptParam {
  std::function<void(float* values)> expand;  // writes all values
  kernels::TritRows trits;                    // of a ternary matrix, whose scales are set (ParamBank::SetScales)
  kernels::Int8Rows int8;                     // of one that was rounded to int8
};

class ParamBank {
 public:
  ParamBank() = default;
  ParamBank(const ParamBank&) = delete;
  ParamBank& operator=(const ParamBank&) = delete;

  // Declares a parameter (before Allocate). Offsets are 64-byte aligned unless it joins its predecessor.
  Param Add(ParamInfo info, bool join_previous = false);

  // Declares a table of which a step reads few rows (before Allocate). The reference lives as long as the bank.
  SparseTable& AddTable(std::string name, int rows, int cols, Init init);

  // Values only, or also gradients. Everything is zero afterwards.
  void Allocate(bool for_training);
  // Draws every parameter from its Init; each from its own stream, so that adding one does not change the others.
  void Initialize(uint64_t seed);
  // All gradients are zero: the flat array, and of tables the rows that have one.
  void ClearGradients();

  // Of the parameters in the flat arrays.
  const std::vector<ParamInfo>& infos() const { return infos_; }
  // Null if there is none of that name.
  const ParamInfo* Find(const std::string& name) const;
  // Where each parameter begins in the flat arrays, with the padding behind it, and their end: [parameters + 1].
  std::vector<int64_t> Cuts() const;
  const std::vector<std::unique_ptr<SparseTable>>& tables() const { return tables_; }
  int64_t ParameterCount() const;  // true parameters: with tables, without alignment padding and buffers
  int64_t TableCount() const;      // of which lie in tables
  int64_t TernaryCount() const;    // of which products see as {-1, 0, +1}

  // The ternary form of a handle's matrices side by side, each quantised by itself. trits: [rows, cols];
  // scales: [rows].
  void Ternarize(const Param& p, float* trits, float* scales) const;
  // Of the ternary matrix of that name the values are scale * {-1, 0, +1} already, as packed files have them: Ternarize
  // gives these scales ([rows]) and the values' signs. Rounding such values anew would give other scales.
  void SetScales(const std::string& name, std::vector<float> scales);
  // Whether all of a handle's matrices have such scales; and these, [rows].
  bool HasScales(const Param& p) const;
  void ScalesOf(const Param& p, float* scales) const;
  // The values of the matrix of that name are what `kept` says. They are made when somebody asks for them, which those
  // products do not that read TritsOf or Int8Of instead. Not of banks that are trained. Threads may ask at once.
  void Keep(const std::string& name, KeptParam kept);
  // Whether some float matrix is kept rounded to integers.
  bool KeepsIntegers() const;
  // The trits of a handle of which HasScales is true, and its integers if all of its matrices are kept so, else null.
  // They go on reading the bank, or what it keeps, until its values change.
  kernels::TritRows TritsOf(const Param& p) const;
  kernels::Int8Rows Int8Of(const Param& p) const;
  // gradient += the straight-through gradient, given dL/d(effective weight); both [rows, cols].
  void AddTernaryGradient(const Param& p, const float* effective, float* gradient) const;

  // The flat arrays, padding included (zero, and of zero gradient). Whoever takes all values may change them: from then
  // on nothing is kept elsewhere.
  int64_t size() const { return size_; }
  float* values() const {
    if (keeps_.load(std::memory_order_acquire)) ForgetKept();
    return values_.get();
  }
  float* gradients() const { return gradients_.get(); }
  bool for_training() const { return gradients_ != nullptr; }

  float* Value(const Param& p) const {
    if (keeps_.load(std::memory_order_acquire)) Expand(p.offset, int64_t{p.rows} * p.cols);
    return values_.get() + p.offset;
  }
  // The same for a reader of these rows alone: only they need to be values.
  const float* ValueOfRows(const Param& p, const int32_t* rows, int64_t count) const;
  float* Gradient(const Param& p) const { return gradients() + p.offset; }

  // Counts changes of the values; packed copies of weights compare it.
  uint64_t version() const { return version_; }
  void Touch() { ++version_; }

 private:
  // The parameters that a handle covers; offset counts from the handle's start.
  template <class F>
  void ForEachIn(const Param& p, const F& f) const {
    for (const ParamInfo& info : infos_) {
      const int64_t offset = info.offset - p.offset;
      if (offset >= 0 && offset < int64_t{p.rows} * p.cols) f(info, offset);
    }
  }

  struct Kept {
    int64_t offset, size;
    KeptParam param;
    std::atomic<bool> expanded = false;
    std::vector<bool> row_expanded = {};  // of ValueOfRows; under the lock
  };

  void CheckNew(const std::string& name) const;
  // Makes the values of what is kept within [offset, offset + size).
  void Expand(int64_t offset, int64_t size) const;
  void ForgetKept() const;
  // Of one matrix whose scales are set.
  kernels::TritRows TritsAt(const ParamInfo& info, int cols) const;
  // Null unless it is kept at that offset.
  Kept* KeptAt(int64_t offset) const;

  std::vector<ParamInfo> infos_;
  std::vector<std::unique_ptr<SparseTable>> tables_;
  std::vector<Init> table_inits_;
  std::map<int64_t, std::vector<float>> scales_;  // of SetScales, by offset
  std::vector<std::unique_ptr<Kept>> kept_;       // by offset
  mutable std::atomic<bool> keeps_ = false;       // some of these count
  mutable std::mutex expanding_;
  int64_t size_ = 0;
  uint64_t version_ = 1;
  ZeroedFloats values_, gradients_;
};

}  // namespace flashlm
