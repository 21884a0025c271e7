#include "infer/session.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/parallel.h"
#include "models/predict.h"

namespace flashlm {
namespace {

// Bounds the activations of a long prompt.
constexpr unsigned kLongestPiece = 512;

// Longer pieces are multiplied in blocks of rows that are filled up, so prompts are read in pieces of powers of two,
// which need no filling up, then the rest.
int PieceLength(int left) {
  const auto tokens = static_cast<unsigned>(left);
  if (left <= kernels::kFewRows) return left;
  return static_cast<int>(std::min(kLongestPiece, std::bit_floor(tokens)));
}

}  // namespace

Session::Session(Model& model, DType dtype, int rows)
    : model_(model), tape_(model.bank(), model.packs(), dtype), state_(rows), vocab_(model.vocab()) {}

Prediction Session::FeedPiece(std::span<const int32_t> tokens, int begin, int count) {
  const int length = static_cast<int>(tokens.size()) / rows();
  piece_.resize(static_cast<size_t>(rows()) * count);
  for (int r = 0; r < rows(); ++r) {
    std::copy_n(tokens.begin() + int64_t{r} * length + begin, count, piece_.begin() + int64_t{r} * count);
  }
  tape_.BeginInference(rows(), count, &state_);
  const Prediction prediction = model_.Predict(tape_, piece_.data());
  state_.Advance(count);
  return prediction;
}

const float* Session::Feed(std::span<const int32_t> tokens) {
  const int length = static_cast<int>(tokens.size()) / rows();
  FLASHLM_CHECK(length > 0 && tokens.size() == static_cast<size_t>(rows() * length), "{} tokens for {} streams",
                tokens.size(), rows());
  // Before anything is read: a refused token leaves the stream as it was.
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocab_) {
      throw Error(fmt::format("token id {} outside the model's vocabulary of {}", token, vocab_));
    }
  }
  const float* log_probs = nullptr;
  const auto read = [&] { log_probs = Read(tokens, length); };
  if (int64_t{rows()} * length <= kernels::kFewRows) {
    Team::Run(read);  // many short loops
  } else {
    read();
  }
  return log_probs;
}

const float* Session::Read(std::span<const int32_t> tokens, int length) {
  Prediction prediction;
  int count = 0;
  for (int begin = 0; begin < length; begin += count) {
    count = PieceLength(length - begin);
    prediction = FeedPiece(tokens, begin, count);
  }
  if (prediction.value_count > 0) {
    const Tensor& values = prediction.values[prediction.value_count - 1];  // [rows * count, 1]
    values_.resize(static_cast<size_t>(rows()));
    for (int r = 0; r < rows(); ++r) values_[static_cast<size_t>(r)] = values.f32()[(r + 1) * count - 1];
  }
  return LastLogProbabilities(tape_, prediction).f32();
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
