// Temporal activation regularisation (Merity et al., "Revisiting Activation Regularization for Language RNNs", 2017):
// the mean squared difference between the last hidden states of successive tokens. It is here to show what a new term
// of the objective takes (CONTRIBUTING.md): its gradient is two lines, so it needs no operation of its own.
#include "base/parallel.h"
#include "objective/term.h"

namespace flashlm {
namespace {

class SteadyStates final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("steady_states_weight", weight_, 0, 100, "weight of the difference between successive hidden states");
  }
  double Weight(int64_t, double) const override { return weight_; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"steady_states"};
    return {kParts, weight_ > 0 ? std::size(kParts) : 0};
  }

  double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult&, double weight,
             std::span<double> parts) const override {
    const Tensor& hidden = inputs.prediction.hidden;  // [N,C]
    const int batch = tape.batch(), length = tape.length(), width = hidden.cols;
    const double count = static_cast<double>(batch) * (length - 1) * width;
    if (count == 0) return 0;
    const auto slope = static_cast<float>(2 * weight * inputs.share / count);
    const int64_t size = int64_t{hidden.rows} * width;
    float* gradient = tape.Keep<float>(size);
    double* sums = tape.Keep<double>(batch);
    std::fill_n(gradient, size, 0.0f);
    ParallelFor(batch, [&](int64_t b) {  // one sequence each, so that sums do not depend on the threads
      sums[b] = 0;
      for (int64_t n = b * length; n < (b + 1) * length - 1; ++n) {
        for (int c = 0; c < width; ++c) {
          const float difference = At(hidden, n + 1, c) - At(hidden, n, c);
          sums[b] += difference * difference;
          gradient[n * width + c] -= slope * difference;
          gradient[(n + 1) * width + c] += slope * difference;
        }
      }
    });
    tape.Seed(hidden, gradient);
    for (int b = 0; b < batch; ++b) parts[0] += sums[b] / count;
    return parts[0];
  }

 private:
  static float At(const Tensor& x, int64_t n, int c) {
    const int64_t i = n * x.stride + c;
    return x.dtype == DType::kBF16 ? ToFloat(static_cast<const BFloat16*>(x.data)[i]) : x.f32()[i];
  }

  double weight_ = 0;
};

FLASHLM_REGISTER_TERM("steady-states", SteadyStates);

}  // namespace
}  // namespace flashlm
