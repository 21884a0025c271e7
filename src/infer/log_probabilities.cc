#include "infer/log_probabilities.h"

#include <algorithm>

#include "base/error.h"
#include "models/predict.h"

namespace flashlm {
namespace {

constexpr size_t kPiece = 256;  // bounds the activations, which hold as many rows of logits

}  // namespace

void ReadLogProbabilities(Model& model, DType dtype, std::span<const int32_t> tokens, float* log_probs) {
  const int vocab = model.vocab();
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocab) {
      throw Error(fmt::format("token id {} outside the model's vocabulary of {}", token, vocab));
    }
  }
  Tape tape(model.bank(), model.packs(), dtype);
  State state(1);
  for (size_t begin = 0; begin < tokens.size(); begin += kPiece) {
    const int count = static_cast<int>(std::min(kPiece, tokens.size() - begin));
    tape.BeginInference(1, count, &state, kernels::RowGroups::kBlocks);
    const Prediction prediction = model.Predict(tape, tokens.data() + begin);
    const Tensor piece = LogProbabilities(tape, prediction);  // [count,V]
    log_probs = std::copy_n(piece.f32(), int64_t{count} * vocab, log_probs);
    state.Advance(count);
  }
}

}  // namespace flashlm
