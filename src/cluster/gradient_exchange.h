// The sum of a step's gradient over ranks, in the order of its tree (cluster/leaf_tree.h), and what is updated with it.
// The parameters are cut into parts, which ranks have in turns. Every rank sums its parts, from what the others send
// it, updates them, and sends the new values to all: what a rank has summed travels once, values once, whatever the
// number of ranks, and no update is made twice. Each part's gradient travels as soon as it is there, while the backward
// pass goes on, and its new values while others are updated.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/progress.h"
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
  // Arrays of cuts.back() floats, of which part i are those from cuts[i] to cuts[i + 1] and is updated by rank
  // i % ranks.size(). Who updates where a block of `block` floats begins gets the gradient of all of it. `type`: what
  // travels, f32 or bf16; sums are in f32, and with f32 on the wire they have the bits of one process. In bf16 each
  // rank's sums are rounded before, and so is by how much an update changes a value, on all ranks alike.
  GradientExchange(Ranks& ranks, std::vector<int64_t> cuts, int64_t block, DType type);

  // Floats [begin, end).
  struct Segment {
    int64_t begin, end;
    int64_t count() const { return end - begin; }
  };
  std::span<const int64_t> cuts() const { return cuts_; }
  // In order.
  std::vector<Segment> UpdatedBy(int rank) const;
  // What it gets the gradient of: that, and what blocks have beyond it.
  std::vector<Segment> SummedBy(int rank) const;

  // --- a step of `leaves` passes; what fails between its beginning and its end is the job's end ---
  void Begin(int leaves);
  // Each part once, when the sums in it are there, by any thread: `own` are the blocks of this rank's share (ShareOf)
  // of the leaves, in order. They stay as they are until Finish.
  void Send(int part, std::span<const GradientBlock> own);
  // Between computations, by any thread: moves on what is on its way. Takes a tenth of a thread's time at most, however
  // often it is called.
  void Progress();
  // Waits for the other ranks and writes what this rank sums of result [size], which may be the array of a block of
  // one's own: it is lost then.
  void Finish(float* result);

  // values [size], before this rank updates its part of them. From now on those of others arrive.
  void BeginUpdate(float* values);
  // Each part of this rank once, when it is updated, by any thread: to all. Nobody writes it until FinishUpdate.
  void SendUpdated(int part);
  // Waits for the other ranks: all values are the new ones.
  void FinishUpdate();

 private:
  struct Piece {  // of a part, that one rank sums
    int part;
    Segment floats;
    int to;
    size_t received = 0;  // of one's own: where it begins in what is received, block after block
  };

  int OwnerOf(int part) const { return part % ranks_.size(); }
  Segment SegmentOf(int part) const { return {cuts_[static_cast<size_t>(part)], cuts_[static_cast<size_t>(part) + 1]}; }
  // Of piece i, and of a part's new values. What is neither has channel 0.
  static int ChannelOf(size_t i) { return 1 + static_cast<int>(i); }
  int ChannelOfUpdated(int part) const { return ChannelOf(pieces_.size()) + part; }
  void AddPieces();
  void Plan(int leaves);
  void SumPiece(const Piece& piece, float* result);

  Ranks& ranks_;
  std::vector<int64_t> cuts_;
  int64_t block_;
  DType type_;
  std::vector<Piece> pieces_;  // of all parts
  // Of the tree with `planned_` leaves: all blocks in order, where each rank's begin among them, and how to add them
  // up.
  int planned_ = 0;
  std::vector<LeafRange> blocks_;
  std::vector<size_t> first_block_;  // [ranks + 1]
  std::vector<SumOp> order_;
  std::mutex mutex_;  // of messages and what follows, while passes are made
  Stopwatch since_progress_;
  double progress_pause_ = 0;                  // seconds
  std::vector<const float*> own_sums_;         // by block of this rank
  float* values_ = nullptr;                    // of the update that goes on
  std::vector<float> before_;                  // this rank's parts of them before it, where what travels is rounded
  std::vector<size_t> before_at_;              // by part, where it begins there
  std::vector<float> floats_;                  // received
  std::vector<BFloat16> halves_, own_halves_;  // the same in bf16; and this rank's blocks, whole
  std::vector<BFloat16> changes_;              // of all values
};

}  // namespace flashlm
