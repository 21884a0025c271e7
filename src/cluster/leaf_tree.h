// The tree in which the gradient of a step is summed. Its leaves are the passes of the step, numbered; a node of n
// leaves is cut behind the largest power of two below n, and its sum is that of the left part plus that of the right.
// Whoever computes which leaf, on however many threads and ranks, the sum has the same bits.
#pragma once

#include <vector>

namespace flashlm {

// Leaves [begin, end).
struct LeafRange {
  int begin = 0, end = 0;

  int count() const { return end - begin; }
  bool operator==(const LeafRange&) const = default;
};

// Where a node of more than one leaf is cut: the left part is [begin, cut).
int CutOf(LeafRange node);

// Whether the tree over `leaves` has this node.
bool IsNode(int leaves, LeafRange node);

// The largest nodes of the tree over `leaves` that lie in `range`, in order: sums that can be made without knowing of
// any other leaf. Replaces what is in `nodes`.
void NodesWithin(int leaves, LeafRange range, std::vector<LeafRange>& nodes);

// The leaves of member `index` of `members`: neighbours, as evenly as can be.
LeafRange ShareOf(int leaves, int index, int members);

// How to add up the whole tree from blocks that are nodes of it, on a stack of sums.
struct SumOp {
  int block;  // pushed; -1: the top of the stack is added to what lies below it, and taken off
};
// `blocks`: in order, together all leaves. Replaces what is in `ops`; returns the most sums that are on the stack.
int SumOrder(int leaves, const std::vector<LeafRange>& blocks, std::vector<SumOp>& ops);

}  // namespace flashlm
