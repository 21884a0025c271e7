// A model reading streams of tokens whose states the caller keeps: one at a time, or many side by side.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"

namespace flashlm {

// How many tokens of a prompt of which `left` are left are read at once. Where a text is cut decides its last bits, so
// whoever reads a prompt cuts it here.
int PromptPiece(int64_t left);

// Streams that one thread best reads side by side where there are many: the rows of one pass over a matrix. What more
// of them remember, some 100 KB a layer of each, leaves the cache before the next token
// (docs/lab-book/2026-11-serving.md).
constexpr int kRowsTogether = 6;

// For one thread at a time; readers of one model may run side by side.
class StreamReader {
 public:
  // dtype: what matrix products read (kernels/gemm/precision.h). The model outlives the reader.
  StreamReader(Model& model, DType dtype);

  // Every stream of `state` reads its row of tokens [rows, T], T >= 1, in pieces as PromptPiece has them. What a stream
  // becomes does not depend by a bit on the others (up to 32 of them; kernels::kFewRows). Throws Error for an id
  // outside the vocabulary; then nothing was read.
  void Read(State& state, std::span<const int32_t> tokens);

  // After Read, until the next one. Log-probabilities [rows, V] of what follows the last token of each row.
  const float* log_probs() const { return log_probs_; }
  std::span<const float> log_probs(int row) const {
    return {log_probs_ + int64_t{row} * vocab_, static_cast<size_t>(vocab_)};
  }
  // What the last layer's value head predicts, the mean nats of the next tokens.
  bool has_values() const { return !values_.empty(); }
  float value(int row) const { return values_[static_cast<size_t>(row)]; }
  // How much of the prediction is the counted n-grams', from 0 to 1.
  bool has_gates() const { return !gates_.empty(); }
  float gate(int row) const { return gates_[static_cast<size_t>(row)]; }

  // How often the token that was read last, and so the prediction, passed through the model's reasoning engine.
  bool has_depths() const { return !depths_.empty(); }
  int depth(int row) const { return depths_[static_cast<size_t>(row)]; }

  int vocab() const { return vocab_; }

 private:
  Prediction ReadPiece(State& state, std::span<const int32_t> tokens, int begin, int count);
  void ReadPieces(State& state, std::span<const int32_t> tokens, int length);

  Model& model_;
  Tape tape_;
  int vocab_;
  const float* log_probs_ = nullptr;
  std::vector<int32_t> piece_;         // [rows, count]
  std::vector<float> values_, gates_;  // [rows], empty without value heads, without n-grams
  std::vector<int32_t> depths_;        // [rows], empty without a reasoning engine
};

}  // namespace flashlm
