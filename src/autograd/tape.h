// The tape: runs operations eagerly and remembers what the backward pass needs. Nodes are trivially destructible
// structs in an arena; operations are a closed set of coarse, fused pieces (autograd/ops.h).
//
// A training step:  tape.BeginTraining(...); model.Forward(...); losses; tape.Backward();
// Inference:        tape.BeginInference(...); model.Forward(...); read logits before the next Begin.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/weight_packs.h"
#include "base/error.h"
#include "base/progress.h"
#include "kernels/dropout/dropout.h"
#include "tensor/arena.h"
#include "tensor/gradients_apart.h"
#include "tensor/param_bank.h"
#include "tensor/state.h"
#include "tensor/tensor.h"

namespace flashlm {

class Tape;
struct Node;
struct OpCase;

// An operation's definition. `backward` and `cases` (which carry the reference) are mandatory: the constructor takes
// them all, so an operation without a gradient or without a definition to test against does not compile.
struct OpDef {
  using Backward = void (*)(Tape&, const Node&);
  using Cases = std::vector<OpCase> (*)();

  constexpr OpDef(const char* name, Backward backward, Cases cases) : name(name), backward(backward), cases(cases) {}

  const char* name;
  Backward backward;  // reads tape.GradientOf(node.output), writes through a GradientWriter of each input
  Cases cases;        // shapes, a way to run, and the scalar reference (autograd/op_case.h)
};

struct Node {
  static constexpr int kMaxInputs = 4;
  const OpDef* op = nullptr;
  std::array<Tensor, kMaxInputs> inputs{};
  Tensor output;
  Param parameter;              // weight, gain, table or bias, if any
  const void* saved = nullptr;  // the operation's own struct, in the arena

  template <class Saved>
  const Saved& As() const {
    return *static_cast<const Saved*>(saved);
  }
};

// Where time went, by operation and direction; filled when profiling is on.
struct OpTime {
  double forward_seconds = 0, backward_seconds = 0;
  int64_t calls = 0;
};
using Profile = std::map<std::string, OpTime>;

// Who takes the gradients of a bank's parameters part by part, while the backward pass goes on.
class GradientWatch {
 public:
  virtual ~GradientWatch() = default;

  // Part i is the bank's floats from cuts[i] to cuts[i + 1].
  virtual std::span<const int64_t> cuts() const = 0;
  // Nothing will be added to the gradient of this part any more: once for each, by the thread that runs the pass.
  virtual void Complete(int part) = 0;
  // After every operation.
  virtual void Between() = 0;
};

class Tape {
 public:
  // `dtype`: what matrix products read. kI8, for inference only: their inputs are rounded to int8 per row and their
  // weights per output; everything else is then bf16. bank and packs must outlive the tape.
  // `apart`, if any, takes the gradients of parameters in place of the bank: of tapes that run side by side.
  Tape(ParamBank& bank, WeightPacks& packs, DType dtype, GradientsApart* apart = nullptr);

  // Forgets the last step. `random_step` keys dropout: equal steps drop equal elements.
  void BeginTraining(int batch, int length, uint64_t seed, uint64_t random_step);
  // `state` may be null: then every row starts from nothing and leaves nothing. What a row becomes depends on its own
  // tokens, its state, `length` (by rounding) and `groups` alone, not by a bit on `batch` or on the rows beside it. By
  // default short pieces take the kernels for few rows, longer ones products of blocks.
  void BeginInference(int batch, int length, State* state);
  void BeginInference(int batch, int length, State* state, kernels::RowGroups groups);

  // Forgets the last pass; the memory that it took goes back to the system until the next one.
  void GiveBackMemory();

  bool training() const { return training_; }
  int batch() const { return batch_; }
  int length() const { return length_; }
  int rows() const { return batch_ * length_; }
  DType dtype() const { return dtype_; }
  bool int8_products() const { return int8_products_; }
  // From the next pass on: where the gradients of parameters go, as of the constructor.
  void SetGradients(GradientsApart* apart) { apart_ = apart; }
  // From the next pass on: who is told of them during Backward, if anybody.
  void SetWatch(GradientWatch* watch) { watch_ = watch; }
  // From the next pass on: whether the products of matrices are of int8 in training (autograd/linear_product.h).
  void SetInt8Training(bool on) { int8_training_ = on; }
  bool int8_training() const { return training_ && int8_training_; }
  // How products of all rows take them.
  kernels::RowGroups row_groups() const { return row_groups_; }
  // What random choices of this pass are keyed by, in training.
  uint64_t seed() const { return seed_; }
  uint64_t random_step() const { return random_step_; }
  ParamBank& bank() { return bank_; }
  PackedLinear& Packed(const Param& weight) { return packs_.Get(weight, dtype_); }

  // --- for operations ---------------------------------------------------------------------------------------------
  Tensor New(int rows, int cols, DType dtype);
  // An input from outside, of which a gradient may be asked (tests do).
  Tensor Wrap(float* data, int rows, int cols);
  static Tensor Columns(const Tensor& x, int begin, int cols);

  // Arena memory that lives until the next Begin, for what the backward pass needs.
  template <class T>
  T* Keep(int64_t n = 1) {
    static_assert(std::is_trivially_destructible_v<T>);
    return activations_.AllocateArray<T>(n);
  }
  template <class Saved>
  const Saved* Keep(const Saved& value) {
    return new (activations_.Allocate(sizeof(Saved))) Saved(value);
  }
  // Memory until the next operation starts.
  float* Scratch(int64_t floats);

  // Appends a node (in training only).
  void Record(const Node& node) {
    if (!training_) return;
    if (node.parameter.offset >= 0) Uses(node.parameter);
    nodes_.push_back(node);
  }
  // Before Record: the node to come adds to the gradient of this parameter as well as to that of Node::parameter.
  void Uses(const Param& p) {
    if (training_ && watch_ != nullptr) uses_.push_back({p, nodes_.size()});
  }

  // Where the gradient of a parameter is added to [p.rows, p.cols], by the thread that runs the backward pass. The
  // operation has named it (Record, Uses).
  float* ParamGradient(const Param& p) {
    CheckUse(p);
    return apart_ == nullptr ? bank_.Gradient(p) : apart_->Of(p);
  }
  // The same of a table of which only the n rows named are added to.
  float* ParamGradient(const Param& p, const int32_t* rows, int64_t n) {
    CheckUse(p);
    return apart_ == nullptr ? bank_.Gradient(p) : apart_->OfRows(p, rows, n);
  }

  // The gradient of an operation's output, complete when its backward runs.
  kernels::Matrix GradientOf(const Tensor& output);
  bool HasGradient(const Tensor& x) const { return slots_[static_cast<size_t>(x.id)].data != nullptr; }
  // dL/dx += dL/dy, where y = x + ...: hands the memory over when x has no gradient yet.
  void PassGradient(const Tensor& y, const Tensor& x);

  // This call site's slot in the stream's state, [batch, floats_per_row]; null without a state.
  float* Slot(int64_t floats_per_row);
  const int64_t* positions() const { return state_ == nullptr ? nullptr : state_->positions(); }

  // The generator of the next dropout site of this step; p = 0 outside training.
  kernels::Dropout NextDropout(double p);

  // Runs all backward functions, last node first, from what was seeded: losses seed themselves.
  void Backward();
  // dL/dx += gradient, of one element or f32 [rows, cols].
  void Seed(const Tensor& scalar, float gradient) { Seed(scalar, &gradient); }
  void Seed(const Tensor& x, const float* gradient);

  // --- measuring --------------------------------------------------------------------------------------------------
  void SetProfiling(bool on) { profiling_ = on; }
  const Profile& profile() const { return profile_; }
  void ClearProfile() { profile_.clear(); }
  size_t activation_bytes() const { return activations_.peak_bytes(); }
  size_t gradient_bytes() const { return gradients_.peak_bytes() + scratch_.peak_bytes(); }
  int64_t grow_events() const { return activations_.grow_events() + gradients_.grow_events() + scratch_.grow_events(); }

 private:
  friend class OpTimer;
  friend class GradientWriter;

  struct GradientSlot {
    int32_t rows = 0, cols = 0;
    DType dtype = DType::kF32;
    void* data = nullptr;
    // Column ranges [begin, end) written so far; gradients of column views arrive piece by piece.
    std::array<std::array<int32_t, 2>, 8> written{};
    int ranges = 0;
    int writers = 0;  // open ones
  };
  struct FreeBlock {
    size_t bytes;
    void* data;
  };

  struct Use {
    Param parameter;
    size_t node;  // that adds to its gradient
  };

  void Begin(int batch, int length, bool training);
  void Forget();
  // While somebody watches: that the parameter's gradient has not been called complete.
  void CheckUse(const Param& p) const;
  void PlanCompletion();
  // The backward pass has come down to `node`, which is done.
  void CompleteParts(size_t node);
  // Where the gradient of a new tensor will be kept; -1 outside training.
  int32_t NewSlot(int rows, int cols, DType dtype);
  // Where dL/dx goes. `accumulate` tells whether something is there already, to which is added; else it is overwritten.
  kernels::Matrix GradientFor(const Tensor& x, bool* accumulate);
  void* TakeGradient(size_t bytes);
  void DropGradient(GradientSlot& slot);
  void FillUnwritten(GradientSlot& slot);

  ParamBank& bank_;
  WeightPacks::Reader packs_;
  GradientsApart* apart_;
  GradientWatch* watch_ = nullptr;
  DType dtype_;
  bool int8_products_;
  bool int8_training_ = false;
  bool training_ = false;
  kernels::RowGroups row_groups_ = kernels::RowGroups::kFastest;
  int batch_ = 0, length_ = 0;
  uint64_t seed_ = 0, random_step_ = 0;
  uint32_t dropout_site_ = 0;
  State* state_ = nullptr;
  int next_slot_ = 0;

  Arena activations_, gradients_, scratch_;
  std::vector<Node> nodes_;
  std::vector<Use> uses_;              // in the order of nodes; only while somebody watches
  std::vector<size_t> part_complete_;  // by part: the node after which nothing is added to its gradient
  size_t node_ = 0;                    // whose backward runs; beyond all of them outside of Backward
  std::vector<GradientSlot> slots_;
  // Gradients die in any order but come in few sizes: freed blocks are reused by size.
  std::vector<FreeBlock> free_blocks_;

  bool profiling_ = false;
  Profile profile_;
};

// Where an operation's backward pass writes dL/dx: `matrix()` is overwritten and counts once the writer is closed, that
// is, destroyed. A tensor may have any number of readers, in any order, and one operation may read it twice: where
// something is there already, the matrix is scratch, which closing adds. A kernel that can add by itself saves that
// way round:
//   GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
//   kernels::SomeGrad(..., dx.matrix(), dx.accumulate());
class GradientWriter {
 public:
  enum class Kernel : uint8_t { kOverwrites, kCanAdd };

  GradientWriter(Tape& tape, const Tensor& x, Kernel kernel = Kernel::kOverwrites);
  ~GradientWriter();
  GradientWriter(const GradientWriter&) = delete;
  GradientWriter& operator=(const GradientWriter&) = delete;

  const kernels::Matrix& matrix() const { return matrix_; }  // of x's shape and type, any stride
  bool accumulate() const { return accumulate_; }            // kCanAdd only: add to what matrix() holds

 private:
  Tape::GradientSlot& slot_;
  kernels::Matrix gradient_, matrix_;  // x's own; what is written: the same, or lent
  bool accumulate_ = false;
};

// Times the forward half of an operation and releases the last operation's scratch; each operation function starts
// with one.
class OpTimer {
 public:
  OpTimer(Tape& tape, const OpDef& op) : tape_(tape), op_(op) {
    tape.scratch_.Reset();
    if (tape.profiling_) watch_.emplace();
  }
  ~OpTimer() {
    if (!watch_) return;
    OpTime& time = tape_.profile_[op_.name];
    time.forward_seconds += watch_->Seconds();
    ++time.calls;
  }
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

 private:
  Tape& tape_;
  const OpDef& op_;
  std::optional<Stopwatch> watch_;  // reading the clock costs more than some of what decoding a token calls
};

}  // namespace flashlm
