// The gradient of a step from its passes, added up in the tree of cluster/leaf_tree.h: threads side by side pass leaves
// forward and backward, the next leaf whoever is done with one, so that a core that another program uses does not hold
// up the step. Two sums that are the parts of a node become one as soon as both are there, and the memory of one of
// them is free for the next leaf: what is kept grows with the logarithm of the leaves. Where other ranks wait for the
// sums this is done part by part of the bank, each as soon as a pass adds nothing to it any more, and a part whose sums
// are there is on its way while the backward pass goes on.
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
  // What adds the gradient of a piece of leaf `leaf` to where the tape's gradients go. Leaves of different workers run
  // side by side.
  using Pass = std::function<void(Tape& tape, int worker, int leaf, int piece)>;

  // `side_by_side`: every leaf is passed by one thread, as many at a time as there are threads, and its bits do not
  // depend on their number. Else one leaf after the other, each on all threads.
  LeafSums(Model& model, DType dtype, bool int8_training, bool side_by_side);
  ~LeafSums();
  LeafSums(const LeafSums&) = delete;
  LeafSums& operator=(const LeafSums&) = delete;

  // Before the first Run: who is handed the sums of each part as soon as they are there. No Run after its end.
  void SendTo(GradientExchange& exchange);

  // Passes the leaves of `range`, of `leaves` in all, each in `pieces` one after the other. Their sums, by the largest
  // nodes of the tree, in order; the first lies in the bank's gradients, which must be zero before. They stay until
  // Clear.
  std::span<const GradientBlock> Run(int leaves, int pieces, LeafRange range, const Pass& pass);
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
  struct Memory {
    GradientsApart gradients;
    int added = 0;  // parts that have been added to another; when all have, it is free
  };
  // The sum of a node's leaves, all of it or one part.
  struct Sum {
    LeafRange leaves;
    Memory* at;  // null: the bank, which has that of the first leaf
  };
  // Who hears of a leaf's parts.
  class Watch;
  struct Worker {
    std::optional<Tape> tape;
    std::unique_ptr<Watch> watch;  // none without other ranks
    std::exception_ptr failure;
  };
  struct Sides {  // of a node
    Sum left, right;
  };

  void Prepare(size_t workers);
  // Passes leaves until none is left.
  void Work(int index, int pieces, const Pass& pass);
  // The next leaf, and zeroed memory for its gradient.
  std::optional<Sum> Begin();
  // Of a leaf that has been passed: takes in the parts that have not been.
  void End(const Sum& leaf, Watch* watch);
  // Takes in a sum of this part and adds what can be added to it. Whether all leaves are in the part's sums now.
  bool TakeIn(size_t part, Sum sum);
  // The same of one that others wait for, and sends them if they are.
  void TakeInAndSend(size_t part, const Sum& sum);
  // `sum` and the other side of the node that it is a side of, taken out of sums_, if it is there.
  std::optional<Sides> TakeSides(size_t part, const Sum& sum);
  // Their sum, where the left one was.
  Sum Add(size_t part, const Sides& sides);
  // One more part of it has been added to another.
  void Release(Memory* memory);
  void RethrowFailure();
  // Where there is one part: adds up what there is of `node`, whose first sum is that of index `next`.
  Sum Combine(LeafRange node, size_t& next);
  static void SortByLeaves(std::vector<Sum>& sums);
  GradientBlock BlockOf(const Sum& sum) const;

  Model& model_;
  DType dtype_;
  bool int8_training_, side_by_side_, profiling_ = false;
  GradientExchange* exchange_ = nullptr;
  std::vector<int64_t> cuts_;  // of the parts
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;                    // of what follows, while leaves are passed
  int leaves_ = 0;                      // of the step
  LeafRange range_, left_;              // of this process; those of it that nobody has begun
  int passing_ = 0;                     // how many are being passed
  std::vector<std::vector<Sum>> sums_;  // by part: that nobody adds to
  std::vector<Memory*> free_;
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<LeafRange> nodes_;
  std::vector<GradientBlock> blocks_;
  std::vector<Memory*> outside_;  // of these, what lies not in the bank
};

}  // namespace flashlm
