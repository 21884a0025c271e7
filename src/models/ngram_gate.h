// The counted model's part in a prediction: at every position p = (1 - g) softmax + g p_ngram, where the gate g is
// learned from the last hidden state and from what the n-grams know of the context (ngram/features.h):
//
//   g = sigmoid(w . hidden + u . features),   one of the features being 1
#pragma once

#include <memory>

#include "autograd/ops.h"
#include "ngram/left_out.h"
#include "ngram/ngram_model.h"

namespace flashlm {

// Of every position of a prediction; without a counted model `model` is null.
struct NGramOpinion {
  const NGramModel* model = nullptr;
  Tensor gates;                            // f32 [N,1], before the sigmoid
  const NGramContext* contexts = nullptr;  // [N], what was read up to each position; null if left_out has all of them
  const LeftOut* left_out = nullptr;       // in training on the stream that was counted
  const int64_t* positions = nullptr;      // [N], there

  // Whether the counts know position n's own document, so that it has to be left out.
  bool Counted(int n) const { return left_out != nullptr && positions[n] < left_out->size(); }
  // log p_ngram(target) at position n.
  float LogProbability(int n, int32_t target) const;
};

class NGramGate {
 public:
  // Declares its parameters. width: of the hidden state.
  NGramGate(ParamBank& bank, int order, int vocab, int width);

  int order() const { return model_->order(); }
  const NGramModel& model() const { return *model_; }
  void Set(std::shared_ptr<const NGramModel> model, std::shared_ptr<const LeftOut> left_out);

  // tokens: [N]; positions: as Model::Predict has them. The stream's last tokens are kept in its state.
  NGramOpinion Listen(Tape& tape, const int32_t* tokens, const int64_t* positions, const Tensor& hidden) const;

 private:
  const NGramContext* Contexts(Tape& tape, const int32_t* tokens) const;

  std::shared_ptr<const NGramModel> model_;
  std::shared_ptr<const LeftOut> left_out_;
  Param weight_, features_;
};

}  // namespace flashlm
