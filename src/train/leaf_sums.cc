#include "train/leaf_sums.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/parallel.h"

namespace flashlm {

LeafSums::LeafSums(Model& model, DType dtype, bool int8_training, bool side_by_side)
    : model_(model), dtype_(dtype), int8_training_(int8_training), side_by_side_(side_by_side) {
  Prepare(1);
}

void LeafSums::Prepare(size_t workers) {
  while (workers_.size() < workers) {
    auto worker = std::make_unique<Worker>();
    if (!workers_.empty()) worker->packs = std::make_unique<WeightPacks>(model_.bank());
    worker->tape.emplace(model_.bank(), worker->packs ? *worker->packs : model_.packs(), dtype_);
    worker->tape->SetInt8Training(int8_training_);
    worker->tape->SetProfiling(profiling_);
    if (workers_.empty()) worker->memory.push_back(nullptr);
    workers_.push_back(std::move(worker));
  }
}

GradientsApart* LeafSums::Push(Worker& worker) {
  if (worker.held == worker.memory.size()) worker.memory.push_back(std::make_unique<GradientsApart>(model_.bank()));
  return worker.memory[worker.held++].get();
}

void LeafSums::Add(GradientsApart& right, GradientsApart* left) {
  if (left == nullptr) {
    right.MoveTo(model_.bank());
  } else {
    right.MoveTo(*left);
  }
}

void LeafSums::PassLeaf(int index, int leaf, const Pass& pass) {
  Worker& worker = *workers_[static_cast<size_t>(index)];
  GradientsApart* at = Push(worker);
  worker.tape->SetGradients(at);
  pass(*worker.tape, index, leaf);
  worker.nodes.push_back({leaf, leaf + 1});
  while (AddNeighbours(worker)) continue;
}

// The two nodes on top of a worker's stack become one, if they are the parts of one. The sum is where the left part
// was.
bool LeafSums::AddNeighbours(Worker& worker) {
  if (worker.nodes.size() < 2) return false;
  LeafRange &below = worker.nodes[worker.nodes.size() - 2], top = worker.nodes.back();
  const bool in_order = below.begin < top.begin;
  const LeafRange left = in_order ? below : top, right = in_order ? top : below;
  if (left.end != right.begin || !IsNode(leaves_, {left.begin, right.end})) return false;
  auto &at_below = worker.memory[worker.held - 2], &at_top = worker.memory[worker.held - 1];
  if (!in_order) std::swap(at_below, at_top);
  Add(*at_top, at_below.get());
  below = {left.begin, right.end};
  worker.nodes.pop_back();
  --worker.held;
  return true;
}

GradientsApart* LeafSums::Combine(LeafRange node, size_t& next) {
  if (sums_[next].leaves == node) return sums_[next++].at;
  const int cut = CutOf(node);
  GradientsApart* left = Combine({node.begin, cut}, next);
  Add(*Combine({cut, node.end}, next), left);
  return left;
}

// The next leaf for worker `index`: of its own the first, or else the last of whoever has most left. The first leaf of
// all is its own worker's in any case, whose sum lies in the bank.
std::optional<int> LeafSums::TakeLeaf(int index) {
  const std::lock_guard lock(mutex_);
  LeafRange& own = left_[static_cast<size_t>(index)];
  if (own.count() > 0) return own.begin++;
  const auto spare = [this](LeafRange left) { return left.count() - (left.begin == first_ ? 1 : 0); };
  LeafRange& most =
      *std::max_element(left_.begin(), left_.end(), [&](LeafRange a, LeafRange b) { return spare(a) < spare(b); });
  if (spare(most) <= 0) return std::nullopt;
  return --most.end;
}

std::span<const GradientBlock> LeafSums::Run(int leaves, LeafRange range, const Pass& pass) {
  const int count = side_by_side_ ? std::min(ThreadCount(), range.count()) : 1;
  Prepare(static_cast<size_t>(count));
  leaves_ = leaves;
  first_ = range.begin;
  left_.clear();
  for (int i = 0; i < count; ++i) left_.push_back(Within(range, i, count));
  const auto work = [&](int64_t i) {
    const auto index = static_cast<int>(i);
    try {
      while (const std::optional<int> leaf = TakeLeaf(index)) PassLeaf(index, *leaf, pass);
    } catch (...) {
      workers_[static_cast<size_t>(i)]->failure = std::current_exception();
    }
  };
  if (side_by_side_) {
    ParallelPieces(count, work);
  } else {
    work(0);
  }
  CollectSums();
  blocks_.clear();
  NodesWithin(leaves, range, nodes_);
  size_t next = 0;
  for (const LeafRange& node : nodes_) {
    GradientsApart* at = Combine(node, next);
    blocks_.push_back({node, at == nullptr ? model_.bank().gradients() : at->data()});
    if (at != nullptr) outside_.push_back(at);
  }
  return blocks_;
}

void LeafSums::CollectSums() {
  sums_.clear();
  std::exception_ptr failure;
  for (const auto& worker : workers_) {
    if (worker->failure) failure = std::exchange(worker->failure, nullptr);
    for (size_t n = 0; n < worker->nodes.size(); ++n) sums_.push_back({worker->nodes[n], worker->memory[n].get()});
    worker->nodes.clear();
    worker->held = 0;
  }
  if (failure) std::rethrow_exception(failure);
  std::sort(sums_.begin(), sums_.end(), [](const Sum& a, const Sum& b) { return a.leaves.begin < b.leaves.begin; });
}

void LeafSums::Clear() {
  for (GradientsApart* at : outside_) at->Clear();
  outside_.clear();
}

void LeafSums::SetProfiling(bool on) {
  profiling_ = on;
  for (const auto& worker : workers_) worker->tape->SetProfiling(on);
}

int LeafSums::CopiesFor(int leaves) const {
  const int workers = side_by_side_ ? std::min(ThreadCount(), leaves) : 1;
  int copies = 0;
  for (int i = 0; i < workers; ++i) {
    copies += std::bit_width(static_cast<unsigned>(ShareOf(leaves, i, workers).count()));
  }
  return copies;
}

}  // namespace flashlm
