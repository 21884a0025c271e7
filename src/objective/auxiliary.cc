// What the model itself adds, already weighted (Prediction::auxiliary), as a balancing loss.
#include "objective/term.h"

namespace flashlm {
namespace {

class Auxiliary final : public Term {
 public:
  double Weight(int64_t, double) const override { return 1; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"auxiliary"};
    return kParts;
  }
  double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult&, double,
             std::span<double> parts) const override {
    const Tensor& auxiliary = inputs.prediction.auxiliary;
    if (auxiliary.data == nullptr) return 0;
    tape.Seed(auxiliary, static_cast<float>(inputs.share));
    return parts[0] = *auxiliary.f32();
  }
};

FLASHLM_REGISTER_TERM("auxiliary", Auxiliary);

}  // namespace
}  // namespace flashlm
