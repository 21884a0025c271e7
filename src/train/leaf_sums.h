// The gradient of a step from its passes, added up in the tree of cluster/leaf_tree.h: threads side by side pass leaves
// forward and backward, the next leaf whoever is done with one, so that a core that another program uses does not hold
// up the step. Two sums that are the parts of a node become one as soon as both are there, and the memory of one of
// them is free for the next leaf: what is kept grows with the logarithm of the leaves.
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
  // About how many gradients of the whole bank so many leaves take, the bank's own among them: exactly if they are all
  // of a step and nobody is held up.
  int CopiesFor(int leaves) const;
  // How many there are.
  int copies() const { return 1 + static_cast<int>(memory_.size()); }

 private:
  struct Worker {
    std::unique_ptr<WeightPacks> packs;  // of the first none: it has the model's own
    std::optional<Tape> tape;
    std::exception_ptr failure;
  };
  // The sum of a node's leaves.
  struct Sum {
    LeafRange leaves;
    GradientsApart* at;  // null: the bank, which has that of the first leaf
  };

  struct Parts {  // of a node
    Sum left, right;
  };

  void Prepare(size_t workers);
  // Passes leaves until none is left.
  void Work(int index, const Pass& pass);
  // The next leaf, and zeroed memory for its gradient.
  std::optional<Sum> Begin();
  // Takes in a sum, and adds what can be added to it.
  void End(Sum sum);
  // `sum` and the other part of the node that it is a part of, taken out of sums_, if it is there.
  std::optional<Parts> TakeParts(const Sum& sum);
  // Their sum, where the left one was; the memory of the right one is free.
  Sum Add(const Parts& parts);
  void RethrowFailure();
  // Adds up what there is of `node`, whose first sum is sums_[next].
  Sum Combine(LeafRange node, size_t& next);

  Model& model_;
  DType dtype_;
  bool int8_training_, side_by_side_, profiling_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;            // of what follows, while leaves are passed
  int leaves_ = 0, first_ = 0;  // of the step; of this process
  LeafRange left_;              // those that nobody has begun
  int passing_ = 0;             // how many are being passed
  std::vector<Sum> sums_;       // that nobody adds to
  std::vector<GradientsApart*> free_;
  std::vector<std::unique_ptr<GradientsApart>> memory_;
  std::vector<LeafRange> nodes_;
  std::vector<GradientBlock> blocks_;
  std::vector<GradientsApart*> outside_;  // of these, what lies not in the bank
};

}  // namespace flashlm
