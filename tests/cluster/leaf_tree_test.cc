#include "cluster/leaf_tree.h"

#include <gtest/gtest.h>

#include <string>

namespace flashlm {
namespace {

// The definition: "((0+1)+(2+3))+4".
std::string Written(int begin, int end) {
  if (end - begin == 1) return std::to_string(begin);
  int left = 1;
  while (2 * left < end - begin) left *= 2;
  return "(" + Written(begin, begin + left) + "+" + Written(begin + left, end) + ")";
}

TEST(LeafTree, IsCutBehindTheLargestPowerOfTwo) {
  EXPECT_EQ(Written(0, 5), "(((0+1)+(2+3))+4)");
  for (int n = 2; n < 40; ++n) {
    int left = 1;
    while (2 * left < n) left *= 2;
    EXPECT_EQ(CutOf({7, 7 + n}), 7 + left) << n;
  }
}

TEST(LeafTree, KnowsItsNodes) {
  constexpr int kLeaves = 11;  // (((0+1)+(2+3))+((4+5)+(6+7)))+((8+9)+10)
  std::vector<LeafRange> nodes;
  for (int begin = 0; begin < kLeaves; ++begin) {
    for (int end = begin + 1; end <= kLeaves; ++end) {
      NodesWithin(kLeaves, {begin, end}, nodes);
      EXPECT_EQ(IsNode(kLeaves, {begin, end}), nodes.size() == 1) << begin << " " << end;
    }
  }
}

// Blocks of any ranks, added up in SumOrder, are the tree.
TEST(LeafTree, IsTheSameWhoeverSumsWhichPart) {
  for (int leaves = 1; leaves <= 24; ++leaves) {
    for (int ranks = 1; ranks <= leaves; ++ranks) {
      std::vector<LeafRange> blocks, nodes;
      int next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const LeafRange share = ShareOf(leaves, rank, ranks);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(share.count(), (leaves + ranks - 1) / ranks);
        EXPECT_GE(share.count(), leaves / ranks);
        next = share.end;
        NodesWithin(leaves, share, nodes);
        blocks.insert(blocks.end(), nodes.begin(), nodes.end());
      }
      EXPECT_EQ(next, leaves);
      std::vector<SumOp> order;
      const int depth = SumOrder(leaves, blocks, order);
      std::vector<std::string> stack;
      size_t deepest = 0;
      for (const SumOp& op : order) {
        if (op.block >= 0) {
          const LeafRange block = blocks[static_cast<size_t>(op.block)];
          stack.push_back(Written(block.begin, block.end));
        } else {
          const std::string right = stack.back();
          stack.pop_back();
          stack.back() = "(" + stack.back() + "+" + right + ")";
        }
        deepest = std::max(deepest, stack.size());
      }
      ASSERT_EQ(stack.size(), 1u);
      EXPECT_EQ(stack[0], Written(0, leaves)) << ranks << " ranks";
      EXPECT_EQ(static_cast<int>(deepest), depth);
    }
  }
}

TEST(LeafTree, RanksThatDivideTheLeavesIntoPowersOfTwoSendOneBlockEach) {
  std::vector<LeafRange> nodes;
  for (const auto& [leaves, ranks] : {std::pair{4, 2}, {4, 4}, {8, 2}, {16, 4}, {3, 3}, {12, 3}, {2, 2}}) {
    for (int rank = 0; rank < ranks; ++rank) {
      NodesWithin(leaves, ShareOf(leaves, rank, ranks), nodes);
      EXPECT_EQ(nodes.size(), 1u) << leaves << " leaves, " << ranks << " ranks";
    }
  }
  NodesWithin(6, {0, 3}, nodes);
  EXPECT_EQ(nodes, (std::vector<LeafRange>{{0, 2}, {2, 3}}));
  NodesWithin(6, {2, 2}, nodes);
  EXPECT_TRUE(nodes.empty());
}

}  // namespace
}  // namespace flashlm
