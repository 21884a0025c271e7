// Where the engine's passes keep their rows.
//
// Tokens are worked on in blocks. In a block rows are sorted by depth, deepest first, so that the rows which still pass
// are always a prefix and a state's row keeps its index through all passes. In training the states of all passes stand
// one after another: the block's input, then what each pass made (as many rows as took it). Without a gradient two
// states alternate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/reasoning/reasoning.h"

namespace flashlm::kernels {

// Tokens of a block: few enough for its rows to stay in the second-level cache, many enough that the 16 operations'
// matrices are read for a tile of rows each.
constexpr int64_t kReasoningBlock = 256;

constexpr int64_t PadTo16(int64_t n) { return (n + 15) / 16 * 16; }

// Cuts aligned pieces off a piece of memory; with null it only counts.
class Carver {
 public:
  explicit Carver(void* memory) : base_(static_cast<char*>(memory)) {}
  template <class T>
  T* Take(int64_t n) {
    T* piece = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

// The rows of one pass of one block.
struct PassRows {
  int64_t count = 0;
  int64_t in = 0, out = 0;  // first row of its input and output among the block's states
  int64_t visit = 0;        // first row of what else it keeps
};

struct ReasoningPlan {
  ReasoningPlan(const ReasoningShape& shape, void* memory) : training(shape.training), int8(shape.int8) {
    block = std::min(shape.rows, kReasoningBlock);
    blocks = (shape.rows + block - 1) / block;
    passes = shape.depth > 0 ? shape.depth : kMaxReasoningDepth;
    r = PadTo16(shape.width), k = PadTo16(shape.operations), s = PadTo16(shape.slots);
    states_per_block = (training ? passes + 1 : 2) * block;
    visits_per_block = (training ? passes : 1) * block;
    offsets_per_block = (training ? passes : 1) * (k + 1);
    sums_per_block = 2 * k + s + r;
    Carver carver(memory);
    states = carver.Take<float>(blocks * states_per_block * r);
    quantized = int8 ? carver.Take<float>(blocks * states_per_block * r) : states;
    quantized_scales = int8 ? carver.Take<float>(blocks * states_per_block) : nullptr;
    mixed = carver.Take<float>(blocks * visits_per_block * r);
    normal = carver.Take<float>(blocks * visits_per_block * r);
    address = carver.Take<float>(blocks * visits_per_block * s);
    router = carver.Take<float>(blocks * visits_per_block * k);
    inverse = carver.Take<float>(blocks * visits_per_block);
    weights = carver.Take<float>(blocks * visits_per_block * 2);
    picks = carver.Take<int32_t>(blocks * visits_per_block * 2);
    list_rows = carver.Take<int32_t>(blocks * visits_per_block * 2);
    list_choice = carver.Take<int32_t>(blocks * visits_per_block * 2);
    list_weights = carver.Take<float>(blocks * visits_per_block * 2);
    list_offsets = carver.Take<int32_t>(blocks * offsets_per_block);
    order = carver.Take<int32_t>(blocks * block);
    choice = carver.Take<int32_t>(blocks * block);
    counts = carver.Take<int32_t>(blocks * (kMaxReasoningDepth + 1));
    blend = carver.Take<float>(blocks * block * kDepthChoices);
    exits = carver.Take<float>(blocks * block * r);
    values = carver.Take<float>(blocks * block * r);
    written = carver.Take<float>(blocks * block * r);
    write_address = carver.Take<float>(blocks * block * s);
    gates = carver.Take<float>(blocks * block);
    sums = carver.Take<float>(blocks * sums_per_block);
    bytes = carver.used();
  }

  PassRows Pass(int64_t b, int pass) const {
    const int32_t* count = counts + b * (kMaxReasoningDepth + 1);
    PassRows rows;
    rows.count = count[pass];
    if (!training) {
      rows.in = pass % 2 * block;
      rows.out = (pass + 1) % 2 * block;
      return rows;
    }
    rows.out = count[0];
    for (int p = 0; p < pass; ++p) {
      rows.in = rows.out;
      rows.visit += count[p];
      rows.out += count[p];
    }
    return rows;
  }
  // Rows by operation of a pass: entries [offsets[j], offsets[j+1]) of the lists, which start at 2 * visit.
  int32_t* Offsets(int64_t b, int pass) const {
    return list_offsets + b * offsets_per_block + (training ? pass : 0) * (k + 1);
  }

  bool training, int8;
  int64_t block, blocks, passes, r, k, s;
  int64_t states_per_block, visits_per_block, offsets_per_block, sums_per_block, bytes;
  float *states, *quantized, *quantized_scales;     // [states, r]; quantized: what ternary maps read
  float *mixed, *normal;                            // [visits, r]: o; the norm's result before gain and bias
  float *address, *router, *inverse;                // [visits, s], [visits, k]: softmaxes; [visits]: 1 / deviation
  float* weights;                                   // [visits, 2] of the chosen operations
  int32_t* picks;                                   // [visits, 2]
  int32_t *list_rows, *list_choice, *list_offsets;  // by operation: row of the pass, first or second choice
  float* list_weights;                              // [2 visits]
  int32_t *order, *choice, *counts;                 // row -> token of the block; by token; rows deeper than p
  float* blend;                                     // [tokens, 3]
  float *exits, *values, *written, *write_address, *gates;  // of the memory write, by row
  float* sums;                                              // [blocks, k + k + s + r]
};

}  // namespace flashlm::kernels
