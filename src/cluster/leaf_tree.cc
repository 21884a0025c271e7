#include "cluster/leaf_tree.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/error.h"

namespace flashlm {
namespace {

void AddNodes(LeafRange node, LeafRange range, std::vector<LeafRange>& nodes) {
  if (node.end <= range.begin || range.end <= node.begin) return;
  if (range.begin <= node.begin && node.end <= range.end) {
    nodes.push_back(node);
    return;
  }
  const int cut = CutOf(node);
  AddNodes({node.begin, cut}, range, nodes);
  AddNodes({cut, node.end}, range, nodes);
}

// Appends what sums `node`, whose first block is `next`; returns the depth of the stack that it needs.
int AddOps(LeafRange node, const std::vector<LeafRange>& blocks, int& next, std::vector<SumOp>& ops) {
  FLASHLM_CHECK(next < static_cast<int>(blocks.size()) && node.count() > 0, "leaves without a block");
  if (blocks[static_cast<size_t>(next)] == node) {
    ops.push_back({next++});
    return 1;
  }
  FLASHLM_CHECK(node.count() > 1, "blocks that are no nodes");
  const int cut = CutOf(node);
  const int left = AddOps({node.begin, cut}, blocks, next, ops), right = AddOps({cut, node.end}, blocks, next, ops);
  ops.push_back({-1});
  return std::max(left, right + 1);
}

}  // namespace

int CutOf(LeafRange node) {
  return node.begin + static_cast<int>(std::bit_floor(static_cast<unsigned>(node.count() - 1)));
}

bool IsNode(int leaves, LeafRange node) {
  LeafRange at{0, leaves};
  while (at != node) {
    if (node.begin < at.begin || at.end < node.end || at.count() <= 1) return false;
    const int cut = CutOf(at);
    at = node.end <= cut ? LeafRange{at.begin, cut} : LeafRange{cut, at.end};
  }
  return true;
}

void NodesWithin(int leaves, LeafRange range, std::vector<LeafRange>& nodes) {
  nodes.clear();
  if (range.count() > 0) AddNodes({0, leaves}, range, nodes);
}

LeafRange ShareOf(int leaves, int index, int members) {
  const auto at = [&](int i) { return static_cast<int>(int64_t{leaves} * i / members); };
  return {at(index), at(index + 1)};
}

int SumOrder(int leaves, const std::vector<LeafRange>& blocks, std::vector<SumOp>& ops) {
  ops.clear();
  int next = 0;
  const int depth = AddOps({0, leaves}, blocks, next, ops);
  FLASHLM_CHECK(next == static_cast<int>(blocks.size()), "blocks beyond the leaves");
  return depth;
}

}  // namespace flashlm
