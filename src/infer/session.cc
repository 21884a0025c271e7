#include "infer/session.h"

#include <utility>

#include "base/error.h"

namespace flashlm {

const float* Session::Feed(std::span<const int32_t> tokens) {
  reader_.Read(state_, tokens);
  return reader_.log_probs();
}

void Session::Restore(const State& state) {
  FLASHLM_CHECK(state.rows() == rows(), "a state of {} streams in a session of {}", state.rows(), rows());
  state_ = state;
}

void Session::ResetRow(int row) {
  FLASHLM_CHECK(row >= 0 && row < rows(), "stream {} of {}", row, rows());
  state_.ResetRow(row);
}

void Session::Swap(State& state) {
  FLASHLM_CHECK(state.rows() == rows(), "a state of {} streams in a session of {}", state.rows(), rows());
  std::swap(state_, state);
}

}  // namespace flashlm
