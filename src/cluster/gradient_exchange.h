// The sum of a step's gradient over ranks, in the order of its tree (cluster/leaf_tree.h), and what is updated with it.
// Every rank sums one segment of the parameters, from what the others send it, updates it, and sends the new values to
// all: a gradient travels once, values once, whatever the number of ranks, and no update is made twice.
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
  // Arrays of cuts.back() floats, of which rank r updates those from cuts[r] to cuts[r + 1]; it gets the gradient of
  // whole blocks of `block` floats, as far as they meet these. `type`: what travels, f32 or bf16; sums are in f32, and
  // with f32 on the wire they have the bits of one process. In bf16 each rank's sums are rounded before, and so is by
  // how much an update changes a value, on all ranks alike.
  GradientExchange(Ranks& ranks, std::vector<int64_t> cuts, int64_t block, DType type);

  // Floats [begin, end).
  struct Segment {
    int64_t begin, end;
    int64_t count() const { return end - begin; }
  };
  // What a rank updates, and what it gets the gradient of.
  Segment UpdatedBy(int rank) const;
  Segment SummedBy(int rank) const;

  // `own`: the blocks of this rank's share (ShareOf) of `leaves`, in order. Writes what this rank sums of result
  // [size], which may be the array of a block of one's own: it is lost then.
  void Sum(int leaves, std::span<const GradientBlock> own, float* result);
  // values [size], before this rank updates its part of them.
  void BeginUpdate(const float* values);
  // After it: each rank's part to all.
  void ShareValues(float* values);

 private:
  struct Source {  // of a block's values in this rank's segment: one of the two
    const float* floats = nullptr;
    const BFloat16* halves = nullptr;
  };

  void Plan(int leaves);
  void ReceiveBlocks();
  void SendBlocks(std::span<const GradientBlock> own);
  void SumSegment(float* result);
  void ExchangeParts(void* all);  // an array of `type_` like the values: each rank's part of it to all

  Ranks& ranks_;
  std::vector<int64_t> cuts_;
  int64_t block_;
  DType type_;
  // Of the tree with `planned_` leaves: all blocks in order, where each rank's begin among them, and how to add them
  // up.
  int planned_ = 0;
  std::vector<LeafRange> blocks_;
  std::vector<size_t> first_block_;  // [ranks + 1]
  std::vector<SumOp> order_;
  std::vector<Source> sources_;                // by block
  std::vector<float> before_;                  // of this rank's part, an update, where what travels is rounded
  std::vector<float> floats_;                  // received: by block, this rank's segment
  std::vector<BFloat16> halves_, own_halves_;  // the same in bf16; and this rank's blocks, whole
  std::vector<BFloat16> changes_;              // of all values
};

}  // namespace flashlm
