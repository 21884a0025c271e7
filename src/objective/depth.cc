// Teaches the classifier of depths of a reasoning engine (nn/rcsm.h) what deeper passes are worth. Before some steps
// the nats of every target of a micro-batch are measured with all tokens at depth 1, 3 and 8 (train/step.cc); the
// classifier's logits l are to tell what a token's next prediction gains by each, less what the passes cost:
//
//   l_D - l_1 = nats_1 - nats_D - cost (D - 1),   by least squares, so that l is the mean of what is like it
//
// The most probable depth, which inference takes, is then the one that gains most at that price: a ponder cost in the
// sense of Adaptive Computation Time (Graves, 2016), with a gain that is measured instead of felt through a blend. No
// gradient reaches what the classifier reads: it predicts, and does not shape what it predicts from.
#include <cstring>

#include "base/error.h"
#include "objective/term.h"

namespace flashlm {
namespace {

constexpr auto kDepths = kernels::kReasoningDepths;

class Depth final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("depth_weight", weight_, 0, 1000,
           "weight of the loss that teaches the choice of depth what deeper passes gain");
    v.Int("depth_every", every_, 1, 1 << 30, "steps between those in which that is measured, on a micro-batch");
    v.Real("depth_cost", cost_, 0, 100, "nats that each further pass of a token must gain to be chosen");
  }
  std::string Lacks(const Json& model) const override {
    const bool engine = model.contains("d_reason") || model.value("rcsm_operations", 0) > 0;
    return engine ? "" : "reasoning engine";
  }
  void Validate(const Json& model) const override {
    if (const std::string lacking = Lacks(model); weight_ > 0 && !lacking.empty()) {
      throw UsageError(fmt::format("train.depth_weight = {}: the model has no {}", weight_, lacking),
                       "leave it out, or choose a model that has");
    }
  }
  double Weight(int64_t step, double) const override { return step % every_ == 0 ? weight_ : 0; }
  bool MeasuresDepths() const override { return true; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"nats_at_depth.1", "nats_at_depth.3", "nats_at_depth.8"};
    return {kParts, weight_ > 0 ? std::size(kParts) : 0};
  }

  double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult&, double weight,
             std::span<double> parts) const override {
    const Reasoned& reasoned = inputs.prediction.reasoned;
    if (inputs.depth_nats == nullptr || reasoned.depths == nullptr) return 0;
    const int rows = tape.rows();
    float* gains = tape.Keep<float>(int64_t{rows} * std::ssize(kDepths));
    for (int n = 0; n < rows; ++n) {
      for (size_t d = 0; d < kDepths.size(); ++d) {
        const double gain = inputs.depth_nats[0][n] - inputs.depth_nats[d][n] - cost_ * (kDepths[d] - kDepths[0]);
        gains[static_cast<size_t>(n) * kDepths.size() + d] = static_cast<float>(gain);
      }
    }
    const Tensor logits = ToF32(tape, Linear(tape, Apart(tape, reasoned.state), reasoned.classifier));  // [N,3]
    const GainLossResult loss = GainLoss(tape, logits, gains, weight * inputs.share / inputs.measured);
    // Means over what was measured, once they are averaged over all passes.
    for (size_t d = 0; d < kDepths.size(); ++d) parts[d] = MeanOf(inputs.depth_nats[d], rows, rows) / inputs.measured;
    return loss.squared_error / inputs.measured;
  }

 private:
  // The same values, through which no gradient goes back.
  static Tensor Apart(Tape& tape, const Tensor& x) {
    const Tensor copy = tape.New(x.rows, x.cols, x.dtype);
    const size_t bytes = static_cast<size_t>(x.cols) * SizeOf(x.dtype);
    for (int64_t n = 0; n < x.rows; ++n) {
      std::memcpy(static_cast<char*>(copy.data) + static_cast<size_t>(n * copy.stride) * SizeOf(x.dtype),
                  static_cast<const char*>(x.data) + static_cast<size_t>(n * x.stride) * SizeOf(x.dtype), bytes);
    }
    return copy;
  }

  double weight_ = 0, cost_ = 0.001;
  int every_ = 4;
};

FLASHLM_REGISTER_TERM("depth", Depth);

}  // namespace
}  // namespace flashlm
