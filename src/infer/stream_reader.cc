#include "infer/stream_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "models/predict.h"

namespace flashlm {
namespace {

// Bounds the activations of a long prompt.
constexpr int64_t kLongestPiece = 512;

}  // namespace

// Longer pieces are multiplied in blocks of rows that are filled up, so prompts are read in pieces of powers of two,
// which need no filling up, then the rest.
int PromptPiece(int64_t left) {
  if (left <= kernels::kFewRows) return static_cast<int>(left);
  return static_cast<int>(std::min<uint64_t>(kLongestPiece, std::bit_floor(static_cast<uint64_t>(left))));
}

StreamReader::StreamReader(Model& model, DType dtype)
    : model_(model), tape_(model.bank(), model.packs(), dtype), vocab_(model.vocab()) {}

Prediction StreamReader::ReadPiece(State& state, std::span<const int32_t> tokens, int begin, int count) {
  const int rows = state.rows(), length = static_cast<int>(tokens.size()) / rows;
  piece_.resize(static_cast<size_t>(rows) * static_cast<size_t>(count));
  for (int r = 0; r < rows; ++r) {
    std::copy_n(tokens.begin() + int64_t{r} * length + begin, count, piece_.begin() + int64_t{r} * count);
  }
  tape_.BeginInference(rows, count, &state);
  const Prediction prediction = model_.Predict(tape_, piece_.data());
  state.Advance(count);
  return prediction;
}

void StreamReader::ReadPieces(State& state, std::span<const int32_t> tokens, int length) {
  const int rows = state.rows();
  Prediction prediction;
  int count = 0;
  for (int begin = 0; begin < length; begin += count) {
    count = PromptPiece(length - begin);
    prediction = ReadPiece(state, tokens, begin, count);
  }
  const auto last_of = [&](const Tensor& column, int row) { return column.f32()[int64_t{row + 1} * count - 1]; };
  values_.resize(prediction.value_count > 0 ? static_cast<size_t>(rows) : 0);
  gates_.resize(prediction.ngram.model != nullptr ? static_cast<size_t>(rows) : 0);
  depths_.resize(prediction.reasoned.depths != nullptr ? static_cast<size_t>(rows) : 0);
  for (int r = 0; r < rows; ++r) {
    const auto row = static_cast<size_t>(r);
    if (!depths_.empty()) depths_[row] = prediction.reasoned.depths[int64_t{r + 1} * count - 1];
    if (!values_.empty()) values_[row] = last_of(prediction.values[prediction.value_count - 1], r);  // [N,1]
    if (!gates_.empty()) gates_[row] = 1 / (1 + std::exp(-last_of(prediction.ngram.gates, r)));      // [N,1]
  }
  log_probs_ = LastLogProbabilities(tape_, prediction).f32();
}

void StreamReader::Read(State& state, std::span<const int32_t> tokens) {
  const int rows = state.rows();
  FLASHLM_CHECK(rows > 0 && !tokens.empty() && tokens.size() % static_cast<size_t>(rows) == 0,
                "{} tokens for {} streams", tokens.size(), rows);
  // Before anything is read: a refused token leaves the stream as it was.
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocab_) {
      throw Error(fmt::format("token id {} outside the model's vocabulary of {}", token, vocab_));
    }
  }
  const auto read = [&] { ReadPieces(state, tokens, static_cast<int>(tokens.size()) / rows); };
  if (tokens.size() <= static_cast<size_t>(kernels::kFewRows)) {
    Team::Run(read);  // many short loops
  } else {
    read();
  }
}

}  // namespace flashlm
