#include "models/ngram_gate.h"

#include <array>
#include <cmath>
#include <utility>

namespace flashlm {

float NGramOpinion::LogProbability(int n, int32_t target) const {
  return Counted(n) ? left_out->LogProbability(positions[n]) : std::log(model->Probability(contexts[n], target));
}

NGramGate::NGramGate(ParamBank& bank, int order, int vocab, int width)
    : model_(std::make_shared<NGramModel>(order, vocab)) {
  // From zero: at first half of every prediction is the counted model's, which then is far ahead of the network. Not at
  // the rate of gains, at which it opens and shuts within a dozen steps.
  constexpr double kRate = 0.5;
  ParamInfo weight{"ngram.gate.weight", {width}, Role::kVector, Init::Zero()};
  ParamInfo features{"ngram.gate.features", {1, FeatureColumns(order)}, Role::kVector, Init::Zero()};
  weight.lr_scale = features.lr_scale = kRate;
  weight_ = bank.Add(std::move(weight));
  features_ = bank.Add(std::move(features));
}

void NGramGate::Set(std::shared_ptr<const NGramModel> model, std::shared_ptr<const LeftOut> left_out) {
  model_ = std::move(model);
  left_out_ = std::move(left_out);
}

const NGramContext* NGramGate::Contexts(Tape& tape, const int32_t* tokens) const {
  const int memory = order() - 1;  // tokens that a context reaches back
  NGramContext* contexts = tape.Keep<NGramContext>(tape.rows());
  float* slot = tape.Slot(memory);  // [batch, memory]: the stream's last tokens plus 1, the newest first; 0: none
  for (int b = 0; b < tape.batch(); ++b) {
    NGramContext context = model_->Start();
    float* last = slot == nullptr ? nullptr : slot + int64_t{b} * memory;
    for (int i = memory - 1; last != nullptr && i >= 0; --i) {
      if (last[i] > 0) context = model_->Advance(context, static_cast<int32_t>(last[i]) - 1);
    }
    for (int t = 0; t < tape.length(); ++t) {
      const int64_t n = int64_t{b} * tape.length() + t;
      context = model_->Advance(context, tokens[n]);
      contexts[n] = context;
      if (last == nullptr) continue;
      for (int i = memory - 1; i > 0; --i) last[i] = last[i - 1];
      last[0] = static_cast<float>(tokens[n] + 1);
    }
  }
  return contexts;
}

NGramOpinion NGramGate::Listen(Tape& tape, const int32_t* tokens, const int64_t* positions,
                               const Tensor& hidden) const {
  const int rows = tape.rows(), columns = FeatureColumns(order());
  NGramOpinion opinion;
  opinion.model = model_.get();
  opinion.left_out = positions != nullptr ? left_out_.get() : nullptr;
  opinion.positions = positions;
  bool all_counted = true;
  for (int n = 0; n < rows && all_counted; ++n) all_counted = opinion.Counted(n);
  if (!all_counted) opinion.contexts = Contexts(tape, tokens);
  const Tensor features = tape.New(rows, columns, DType::kF32);
  for (int n = 0; n < rows; ++n) {
    std::array<ContextFeatures, kMaxNGramOrder - 1> of;
    if (!opinion.Counted(n)) model_->Features(opinion.contexts[n], of.data());
    ExpandFeatures(opinion.Counted(n) ? left_out_->Features(positions[n]) : of.data(), order(),
                   features.matrix().Row<float>(n));
  }
  const Tensor heard = Linear(tape, ToComputeType(tape, features), features_);  // [N,1]
  opinion.gates = AddDropout(tape, RowDot(tape, ToF32(tape, hidden), weight_), heard, 0.0);
  return opinion;
}

}  // namespace flashlm
