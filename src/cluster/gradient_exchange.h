// The sum of a step's gradient over ranks, in the order of its tree (cluster/leaf_tree.h). Every rank sums one segment
// of the parameters, from what the others send it, and sends the result to all: each byte of a gradient travels twice,
// whatever the number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "cluster/leaf_tree.h"
#include "cluster/ranks.h"

namespace flashlm {

// The sum of the gradients of neighbouring leaves that are a node of the tree.
struct GradientBlock {
  LeafRange leaves;
  const float* sum = nullptr;  // [size]
};

class GradientExchange {
 public:
  // Gradients of `size` floats. `type`: what travels, f32 or bf16; sums are in f32, and with f32 on the wire the result
  // has the bits of one process. In bf16 each rank's blocks are rounded, and the result.
  GradientExchange(Ranks& ranks, int64_t size, DType type);

  // `own`: the blocks of this rank's share (ShareOf) of `leaves`, in order. result [size]: the same on all ranks; may
  // be the array of a block of one's own, which is lost then.
  void Sum(int leaves, std::span<const GradientBlock> own, float* result);

 private:
  struct Segment {
    int64_t begin, end;
    int64_t count() const { return end - begin; }
  };
  struct Source {  // of a block's values in this rank's segment: one of the two
    const float* floats = nullptr;
    const BFloat16* halves = nullptr;
  };

  Segment SegmentOf(int rank) const;
  void Plan(int leaves);
  void SendBlocks(std::span<const GradientBlock> own);
  void SumSegment(float* result);
  void ShareSegments(float* result);

  Ranks& ranks_;
  int64_t size_;
  DType type_;
  // Of the tree with `planned_` leaves: all blocks in order, where each rank's begin among them, and how to add them
  // up.
  int planned_ = 0;
  std::vector<LeafRange> blocks_;
  std::vector<size_t> first_block_;  // [ranks + 1]
  std::vector<SumOp> order_;
  int depth_ = 0;
  std::vector<Source> sources_;                // by block
  std::vector<float> floats_;                  // received: by block of others, this rank's segment
  std::vector<BFloat16> halves_, own_halves_;  // the same in bf16; and this rank's blocks, whole
};

}  // namespace flashlm
