// The gradient of a step from its passes, added up in the tree of cluster/leaf_tree.h: threads side by side pass leaves
// forward and backward, each with memory of its own. A thread has neighbouring leaves; when it is done with those it
// takes over what others have not begun, so that a core that another program uses does not hold up the step.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "cluster/gradient_exchange.h"
#include "cluster/leaf_tree.h"
#include "models/model.h"

namespace flashlm {

class LeafSums {
 public:
  // What adds the gradient of leaf `leaf` to where the tape's gradients go. Leaves of different workers run side by
  // side.
  using Pass = std::function<void(Tape& tape, int worker, int leaf)>;

  // `side_by_side`: every leaf is passed by one thread, as many at a time as there are threads, and its bits do not
  // depend on their number. Else one leaf after the other, each on all threads.
  LeafSums(Model& model, DType dtype, bool int8_training, bool side_by_side);

  // Passes the leaves of `range`, of `leaves` in all. Their sums, by the largest nodes of the tree, in order; the first
  // lies in the bank's gradients, which must be zero before. They stay until Clear.
  std::span<const GradientBlock> Run(int leaves, LeafRange range, const Pass& pass);
  // Zeroes what Run has left outside of the bank's gradients.
  void Clear();

  // For passes apart from steps.
  Tape& tape() { return *workers_[0]->tape; }
  int worker_count() const { return static_cast<int>(workers_.size()); }
  void SetProfiling(bool on);
  // Calls visit(tape) for each.
  template <class Visit>
  void ForEachTape(const Visit& visit) const {
    for (const auto& worker : workers_) visit(*worker->tape);
  }
  template <class Figure>
  Figure SumOverTapes(Figure (Tape::*figure)() const) const {
    Figure sum = 0;
    ForEachTape([&](const Tape& tape) { sum += (tape.*figure)(); });
    return sum;
  }
  // About how many gradients of the whole bank that takes, the bank's own among them.
  int CopiesFor(int leaves) const;

 private:
  // Sums of nodes that a worker has made, and what it makes them with.
  struct Worker {
    std::unique_ptr<WeightPacks> packs;  // of the first none: it has the model's own
    std::optional<Tape> tape;
    std::vector<std::unique_ptr<GradientsApart>> memory;  // a stack, of which `held` are in use; of the first worker
    size_t held = 0;                                      // the lowest is null, for the bank's own
    std::vector<LeafRange> nodes;                         // whose sums these are
    std::exception_ptr failure;
  };
  struct Sum {
    LeafRange leaves;
    GradientsApart* at;  // null: the bank
  };

  void Prepare(size_t workers);
  GradientsApart* Push(Worker& worker);
  std::optional<int> TakeLeaf(int index);
  void PassLeaf(int index, int leaf, const Pass& pass);
  bool AddNeighbours(Worker& worker);
  void CollectSums();
  // Adds up what the workers have of `node`, whose first sum is `next`.
  GradientsApart* Combine(LeafRange node, size_t& next);
  void Add(GradientsApart& right, GradientsApart* left);

  Model& model_;
  DType dtype_;
  bool int8_training_, side_by_side_, profiling_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::vector<LeafRange> left_;  // of every worker, what nobody has begun
  int leaves_ = 0, first_ = 0;   // of the step; of this process
  std::vector<Sum> sums_;        // of the workers, in order
  std::vector<LeafRange> nodes_;
  std::vector<GradientBlock> blocks_;
  std::vector<GradientsApart*> outside_;  // of these, what lies not in the bank
};

}  // namespace flashlm
