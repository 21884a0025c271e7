#include "autograd/tape.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/vector/vector.h"

namespace flashlm {

Tape::Tape(ParamBank& bank, WeightPacks& packs, DType dtype, GradientsApart* apart)
    : bank_(bank),
      packs_(packs),
      apart_(apart),
      dtype_(dtype == DType::kI8 ? DType::kBF16 : dtype),
      int8_products_(dtype == DType::kI8) {}

void Tape::Begin(int batch, int length, bool training) {
  FLASHLM_CHECK(batch > 0 && length > 0, "a batch of {} x {} tokens", batch, length);
  training_ = training;
  batch_ = batch;
  length_ = length;
  dropout_site_ = 0;
  state_ = nullptr;
  next_slot_ = 0;
  node_ = std::numeric_limits<size_t>::max();
  Forget();
}

void Tape::Forget() {
  nodes_.clear();
  uses_.clear();
  slots_.clear();
  free_blocks_.clear();
  activations_.Reset();
  gradients_.Reset();
  scratch_.Reset();
}

void Tape::GiveBackMemory() {
  Forget();
  activations_.GiveBack();
  gradients_.GiveBack();
  scratch_.GiveBack();
}

void Tape::BeginTraining(int batch, int length, uint64_t seed, uint64_t random_step) {
  FLASHLM_CHECK(bank_.for_training(), "the parameters were loaded for inference only");
  FLASHLM_CHECK(!int8_products_, "int8 products have no gradient");
  Begin(batch, length, true);
  row_groups_ = kernels::RowGroups::kFastest;
  seed_ = seed;
  random_step_ = random_step;
}

void Tape::BeginInference(int batch, int length, State* state) {
  BeginInference(batch, length, state,
                 length <= kernels::kFewRows ? kernels::RowGroups::kFew : kernels::RowGroups::kBlocks);
}

void Tape::BeginInference(int batch, int length, State* state, kernels::RowGroups groups) {
  Begin(batch, length, false);
  row_groups_ = groups;
  state_ = state;
  FLASHLM_CHECK(state == nullptr || state->rows() == batch, "a state of {} rows for a batch of {}", state->rows(),
                batch);
}

Tensor Tape::New(int rows, int cols, DType dtype) {
  void* data = activations_.Allocate(static_cast<size_t>(rows) * static_cast<size_t>(cols) * SizeOf(dtype));
  return {data, dtype, rows, cols, cols, NewSlot(rows, cols, dtype), 0};
}

Tensor Tape::Wrap(float* data, int rows, int cols) {
  return {data, DType::kF32, rows, cols, cols, NewSlot(rows, cols, DType::kF32), 0};
}

int32_t Tape::NewSlot(int rows, int cols, DType dtype) {
  if (!training_) return -1;
  slots_.push_back({rows, cols, dtype, nullptr, {}, 0, 0});
  return static_cast<int32_t>(slots_.size()) - 1;
}

Tensor Tape::Columns(const Tensor& x, int begin, int cols) {
  FLASHLM_CHECK(begin >= 0 && begin + cols <= x.cols, "columns {}..{} of {}", begin, begin + cols, x.cols);
  Tensor view = x;
  view.data = static_cast<char*>(x.data) + static_cast<size_t>(begin) * SizeOf(x.dtype);
  view.cols = cols;
  view.column = x.column + begin;
  return view;
}

float* Tape::Scratch(int64_t floats) { return scratch_.AllocateArray<float>(floats); }

void* Tape::TakeGradient(size_t bytes) {
  for (FreeBlock& block : free_blocks_) {
    if (block.bytes == bytes && block.data != nullptr) {
      void* data = block.data;
      block = free_blocks_.back();
      free_blocks_.pop_back();
      return data;
    }
  }
  return gradients_.Allocate(bytes);
}

void Tape::DropGradient(GradientSlot& slot) {
  if (slot.data == nullptr) return;
  const size_t bytes = static_cast<size_t>(slot.rows) * static_cast<size_t>(slot.cols) * SizeOf(slot.dtype);
  free_blocks_.push_back({bytes, slot.data});
  slot.data = nullptr;
  slot.ranges = 0;
}

void Tape::FillUnwritten(GradientSlot& slot) {
  const auto ranges_end = slot.written.begin() + slot.ranges;
  std::sort(slot.written.begin(), ranges_end);
  int32_t covered = 0;
  const size_t element = SizeOf(slot.dtype);
  const auto zero = [&](int32_t begin, int32_t end) {
    for (int32_t r = 0; r < slot.rows && begin < end; ++r) {
      std::memset(static_cast<char*>(slot.data) + (static_cast<size_t>(r) * slot.cols + begin) * element, 0,
                  static_cast<size_t>(end - begin) * element);
    }
  };
  for (auto range = slot.written.begin(); range != ranges_end; ++range) {
    zero(covered, (*range)[0]);
    covered = std::max(covered, (*range)[1]);
  }
  zero(covered, slot.cols);
  slot.written[0] = {0, slot.cols};
  slot.ranges = 1;
}

kernels::Matrix Tape::GradientFor(const Tensor& x, bool* accumulate) {
  GradientSlot& slot = slots_[static_cast<size_t>(x.id)];
  if (slot.data == nullptr) {
    slot.data = TakeGradient(static_cast<size_t>(slot.rows) * static_cast<size_t>(slot.cols) * SizeOf(slot.dtype));
    slot.ranges = 0;
  }
  const int32_t begin = x.column, end = x.column + x.cols;
  bool exact = false, overlaps = false;
  for (int i = 0; i < slot.ranges; ++i) {
    const auto& range = slot.written[static_cast<size_t>(i)];
    exact |= range[0] <= begin && end <= range[1];
    overlaps |= range[0] < end && begin < range[1];
  }
  if (!exact && (overlaps || slot.ranges == static_cast<int>(slot.written.size()))) {
    FillUnwritten(slot);
    exact = true;
  }
  if (!exact) slot.written[static_cast<size_t>(slot.ranges++)] = {begin, end};
  *accumulate = exact;
  return {static_cast<char*>(slot.data) + static_cast<size_t>(x.column) * SizeOf(slot.dtype), slot.dtype, x.rows,
          x.cols, slot.cols};
}

kernels::Matrix Tape::GradientOf(const Tensor& output) {
  GradientSlot& slot = slots_[static_cast<size_t>(output.id)];
  FLASHLM_CHECK(slot.data != nullptr && output.column == 0 && output.cols == slot.cols, "no gradient arrived");
  int32_t covered = 0;
  for (int i = 0; i < slot.ranges; ++i) {
    const auto& range = slot.written[static_cast<size_t>(i)];
    covered += range[1] - range[0];
  }
  if (covered != slot.cols) FillUnwritten(slot);
  return {slot.data, slot.dtype, slot.rows, slot.cols, slot.cols};
}

void Tape::PassGradient(const Tensor& y, const Tensor& x) {
  GradientSlot& from = slots_[static_cast<size_t>(y.id)];
  GradientSlot& to = slots_[static_cast<size_t>(x.id)];
  if (to.data == nullptr && x.cols == to.cols && from.cols == to.cols && from.dtype == to.dtype) {
    to.data = std::exchange(from.data, nullptr);
    to.written = from.written;
    to.ranges = from.ranges;
    return;
  }
  bool accumulate;
  const kernels::Matrix dx = GradientFor(x, &accumulate);
  kernels::Copy(GradientOf(y), dx, accumulate);
}

GradientWriter::GradientWriter(Tape& tape, const Tensor& x, Kernel kernel)
    : slot_(tape.slots_[static_cast<size_t>(x.id)]) {
  bool taken;
  gradient_ = matrix_ = tape.GradientFor(x, &taken);
  // While another writer of the tensor is open, what is there is not complete: nothing can be added to it yet.
  accumulate_ = taken && kernel == Kernel::kCanAdd && slot_.writers == 0;
  ++slot_.writers;
  if (!taken || accumulate_) return;
  matrix_.data = tape.scratch_.Allocate(static_cast<size_t>(x.rows) * static_cast<size_t>(x.cols) * SizeOf(x.dtype));
  matrix_.stride = x.cols;
}

GradientWriter::~GradientWriter() {
  --slot_.writers;
  if (matrix_.data != gradient_.data) kernels::Copy(matrix_, gradient_, true);
}

float* Tape::Slot(int64_t floats_per_row) {
  if (state_ == nullptr) return nullptr;
  return state_->Slot(next_slot_++, floats_per_row);
}

kernels::Dropout Tape::NextDropout(double p) {
  const uint32_t site = dropout_site_++;
  if (!training_ || p <= 0) return {};
  PhiloxKey key = MakePhiloxKey(seed_, Purpose::kDropout);
  key.high ^= site * 0x9E3779B9u;
  return {static_cast<float>(p), key, random_step_};
}

void Tape::Seed(const Tensor& x, const float* gradient) {
  GradientWriter dx(*this, x, GradientWriter::Kernel::kCanAdd);
  kernels::Copy({const_cast<float*>(gradient), DType::kF32, x.rows, x.cols, x.cols}, dx.matrix(), dx.accumulate());
}

void Tape::CheckUse(const Param& p) const {
  if (watch_ == nullptr) return;
  const bool used = std::any_of(uses_.begin(), uses_.end(), [&](const Use& use) {
    const Param& whole = use.parameter;
    return use.node <= node_ && whole.offset <= p.offset &&
           p.offset + int64_t{p.rows} * p.cols <= whole.offset + int64_t{whole.rows} * whole.cols;
  });
  const char* const name = node_ < nodes_.size() ? nodes_[node_].op->name : "something outside of the backward pass";
  FLASHLM_CHECK(used && node_ < nodes_.size(), "{} adds to the gradient of a parameter that it has not named", name);
}

// The backward pass ends with the first node: a part is complete after the first of those that add to it.
void Tape::PlanCompletion() {
  const std::span<const int64_t> cuts = watch_->cuts();
  part_complete_.assign(cuts.size() - 1, nodes_.size());
  for (size_t part = 0; part < part_complete_.size(); ++part) {
    for (const auto& [p, node] : uses_) {
      const bool meets = p.offset < cuts[part + 1] && cuts[part] < p.offset + int64_t{p.rows} * p.cols;
      if (meets) part_complete_[part] = std::min(part_complete_[part], node);
    }
  }
  CompleteParts(nodes_.size());
}

void Tape::CompleteParts(size_t node) {
  for (size_t part = part_complete_.size(); part-- > 0;) {
    if (part_complete_[part] == node) watch_->Complete(static_cast<int>(part));
  }
}

void Tape::Backward() {
  FLASHLM_CHECK(training_, "Backward without BeginTraining");
  if (watch_ != nullptr) PlanCompletion();
  // At the end it is beyond all nodes again.
  for (node_ = nodes_.size(); node_-- > 0;) {
    const Node& node = nodes_[node_];
    if (HasGradient(node.output)) {
      scratch_.Reset();
      if (profiling_) {
        const Stopwatch watch;
        node.op->backward(*this, node);
        profile_[node.op->name].backward_seconds += watch.Seconds();
      } else {
        node.op->backward(*this, node);
      }
      DropGradient(slots_[static_cast<size_t>(node.output.id)]);
    }
    if (watch_ == nullptr) continue;
    CompleteParts(node_);
    watch_->Between();
  }
}

}  // namespace flashlm
