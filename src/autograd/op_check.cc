#include "autograd/op_check.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace flashlm {
namespace {

// A case set up on a tape: parameters in a bank, activations wrapped, values drawn at random.
class CaseRun {
 public:
  explicit CaseRun(const OpCase& op_case) : case_(op_case), packs_(bank_), tape_(nullptr) {
    for (const OpInput& input : op_case.inputs) {
      Operand operand;
      if (input.parameter) {
        operand.param = bank_.Add(
            {fmt::format("p{}", operands_.size()), {input.rows, input.cols}, Role::kMatrix, {}, 1, input.quantization});
      }
      operands_.push_back(operand);
    }
    bank_.Allocate(true);
    tape_ = std::make_unique<Tape>(bank_, packs_, DType::kF32);
    tape_->BeginTraining(op_case.batch, op_case.length, 1, 1);
    Rng rng(7, Purpose::kTest);
    for (size_t i = 0; i < operands_.size(); ++i) SetInput(i, rng);
    output_ = op_case.run(*tape_, operands_);
    outputs_ = static_cast<size_t>(output_.rows) * static_cast<size_t>(output_.cols);
  }

  double ForwardError() const {
    RefTensor<double> expected{output_.rows, output_.cols, std::vector<double>(outputs_)};
    case_.reference(values_, expected);
    double worst = 0;
    for (size_t i = 0; i < outputs_; ++i) worst = std::max(worst, Error(output_.f32()[i], expected.v[i]));
    return worst;
  }

  // Of the scalar sum(weights * output). Loss operations have seeded themselves with 1.
  double GradientError() {
    std::vector<double> weights(outputs_, 1.0);
    if (!tape_->HasGradient(output_)) SeedAtRandom(weights);
    tape_->Backward();
    constexpr double kStep = 1e-30;
    std::vector<RefTensor<std::complex<double>>> inputs;
    for (const auto& value : values_) inputs.push_back({value.rows, value.cols, {value.v.begin(), value.v.end()}});
    RefTensor<std::complex<double>> result{output_.rows, output_.cols, {}};
    double worst = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const float* gradient = GradientOfInput(i);
      for (size_t e = 0; e < inputs[i].v.size(); ++e) {
        inputs[i].v[e] += std::complex<double>(0, kStep);
        result.v.assign(outputs_, 0);
        case_.complex_reference(inputs, result);
        inputs[i].v[e] = inputs[i].v[e].real();
        double expected = 0;
        for (size_t o = 0; o < outputs_; ++o) expected += weights[o] * result.v[o].imag() / kStep;
        worst = std::max(worst, Error(gradient[e], expected));
      }
    }
    return worst;
  }

 private:
  // NaN counts as the worst error.
  static double Error(double ours, double expected) {
    const double error = std::abs(ours - expected) / (1 + std::abs(expected));
    return std::isfinite(error) ? error : HUGE_VAL;
  }

  void SetInput(size_t i, Rng& rng) {
    const OpInput& input = case_.inputs[i];
    RefTensor<double> value{input.rows, input.cols, {}};
    for (int e = 0; e < input.rows * input.cols; ++e) {
      value.v.push_back(static_cast<float>(input.offset + input.scale * rng.Normal()));
    }
    float* target =
        input.parameter ? bank_.Value(operands_[i].param) : tape_->Keep<float>(int64_t{input.rows} * input.cols);
    std::copy(value.v.begin(), value.v.end(), target);
    if (!input.parameter) operands_[i].tensor = tape_->Wrap(target, input.rows, input.cols);
    values_.push_back(std::move(value));
  }

  void SeedAtRandom(std::vector<double>& weights) {
    Rng rng(8, Purpose::kTest);
    bool accumulate;
    const kernels::Matrix gradient = tape_->GradientFor(output_, &accumulate);
    for (size_t i = 0; i < outputs_; ++i) {
      const float weight = rng.Normal();
      weights[i] = weight;
      static_cast<float*>(gradient.data)[i] = weight;
    }
  }

  const float* GradientOfInput(size_t i) {
    if (case_.inputs[i].parameter) return bank_.Gradient(operands_[i].param);
    return static_cast<const float*>(tape_->GradientOf(operands_[i].tensor).data);
  }

  const OpCase& case_;
  ParamBank bank_;
  WeightPacks packs_;
  std::unique_ptr<Tape> tape_;
  std::vector<Operand> operands_;
  std::vector<RefTensor<double>> values_;
  Tensor output_;
  size_t outputs_ = 0;
};

}  // namespace

OpCheck CheckOp(const OpDef& op, const OpCase& op_case) {
  CaseRun run(op_case);
  OpCheck check{fmt::format("{}, {}", op.name, op_case.name), 0, 0};
  check.forward_error = run.ForwardError();
  check.gradient_error = run.GradientError();
  return check;
}

}  // namespace flashlm
