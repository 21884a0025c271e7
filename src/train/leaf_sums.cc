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

GradientsApart* LeafSums::SumOf(int index, LeafRange node, const Pass& pass) {
  Worker& worker = *workers_[static_cast<size_t>(index)];
  if (node.count() == 1) {
    GradientsApart* at = Push(worker);
    worker.tape->SetGradients(at);
    pass(*worker.tape, index, node.begin);
    return at;
  }
  const int cut = CutOf(node);
  GradientsApart* left = SumOf(index, {node.begin, cut}, pass);
  Add(*SumOf(index, {cut, node.end}, pass), left);
  --worker.held;
  return left;
}

GradientsApart* LeafSums::Combine(LeafRange node, size_t& next) {
  if (sums_[next].leaves == node) return sums_[next++].at;
  const int cut = CutOf(node);
  GradientsApart* left = Combine({node.begin, cut}, next);
  Add(*Combine({cut, node.end}, next), left);
  return left;
}

std::span<const GradientBlock> LeafSums::Run(int leaves, LeafRange range, const Pass& pass) {
  const int count = side_by_side_ ? std::min(ThreadCount(), range.count()) : 1;
  Prepare(static_cast<size_t>(count));
  sums_.clear();
  blocks_.clear();
  for (int i = 0; i < count; ++i) {
    NodesWithin(leaves, Within(range, i, count), workers_[static_cast<size_t>(i)]->nodes);
  }
  const auto work = [&](int64_t i) {
    Worker& worker = *workers_[static_cast<size_t>(i)];
    try {
      for (const LeafRange& node : worker.nodes) SumOf(static_cast<int>(i), node, pass);
    } catch (...) {
      worker.failure = std::current_exception();
    }
  };
  if (side_by_side_) {
    ParallelPieces(count, work);
  } else {
    work(0);
  }
  for (int i = 0; i < count; ++i) {
    Worker& worker = *workers_[static_cast<size_t>(i)];
    worker.held = 0;
    if (worker.failure) std::rethrow_exception(std::exchange(worker.failure, nullptr));
    for (size_t n = 0; n < worker.nodes.size(); ++n) sums_.push_back({worker.nodes[n], worker.memory[n].get()});
  }
  NodesWithin(leaves, range, nodes_);
  size_t next = 0;
  for (const LeafRange& node : nodes_) {
    GradientsApart* at = Combine(node, next);
    blocks_.push_back({node, at == nullptr ? model_.bank().gradients() : at->data()});
    if (at != nullptr) outside_.push_back(at);
  }
  return blocks_;
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
