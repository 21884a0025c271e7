// A stream of tokens through a model: what it has read is kept as state, so a further token costs the same
// however long the stream is.
#pragma once

#include <cstdint>
#include <span>

#include "infer/stream_reader.h"

namespace flashlm {

// For one thread at a time; sessions of one model may run side by side.
class Session {
 public:
  // `rows` streams that advance together. dtype: what matrix products read (kernels/gemm/precision.h).
  Session(Model& model, DType dtype, int rows = 1) : reader_(model, dtype), state_(rows) {}

  // Reads tokens [rows, T], T >= 1, and returns the log-probabilities [rows, V] of what follows the last of
  // each row. They live in the session until the next call. Throws Error for an id outside the vocabulary.
  const float* Feed(std::span<const int32_t> tokens);
  const float* Feed(int32_t token) { return Feed({&token, 1}); }

  // After Feed: what the last layer's value head predicts, the mean nats of the next tokens.
  bool has_values() const { return reader_.has_values(); }
  float value(int row = 0) const { return reader_.value(row); }

  int rows() const { return state_.rows(); }
  int vocab() const { return reader_.vocab(); }
  // Tokens that each row has read; of the first, where rows were begun anew apart.
  int64_t position() const { return state_.position(0); }

  // To branch: keep a copy of the state, read on, come back. A state fits any session of the same model and
  // rows.
  const State& state() const { return state_; }
  void Restore(const State& state);
  void Swap(State& state);
  void Reset() { state_.Reset(); }
  // One row is at the beginning again; the others go on.
  void ResetRow(int row);

 private:
  StreamReader reader_;
  State state_;
};

}  // namespace flashlm
