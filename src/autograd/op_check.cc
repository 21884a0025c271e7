#include "autograd/op_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "autograd/complete_gradients.h"
#include "base/rng.h"

namespace flashlm {
namespace {

// How a case's inputs are set up.
struct Setting {
  bool one_tensor = false;  // inputs of one shape are one tensor
  bool columns = false;     // inputs are columns of wider tensors
  bool prefilled = false;   // their gradients hold something, and so do the parameters'
};

// Columns of a wider tensor before and after those that an input looks into.
constexpr int kBefore = 3, kAfter = 2;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// NaN counts as the worst error.
double Deviation(double ours, double expected) {
  const double error = std::abs(ours - expected) / (1 + std::abs(expected));
  return std::isfinite(error) ? error : HUGE_VAL;
}

// Of input i, the first that is the same tensor.
size_t OwnerOf(const OpCase& op_case, size_t i, bool one_tensor) {
  const auto& inputs = op_case.inputs;
  const auto is_tensor = [&](size_t k) { return !inputs[k].parameter && !inputs[k].table; };
  if (!one_tensor || !is_tensor(i)) return i;
  for (size_t j = 0; j < i; ++j) {
    if (is_tensor(j) && inputs[j].rows == inputs[i].rows && inputs[j].cols == inputs[i].cols) return j;
  }
  return i;
}

// A case's values, drawn at random, and what must come out.
struct Expected {
  std::vector<RefTensor<double>> values;
  RefTensor<double> output;
  std::vector<double> weights;                 // of the scalar sum(weights * output), whose gradient is checked
  std::vector<std::vector<double>> gradients;  // by input; of inputs that are one tensor, at its owner
};

void DrawValues(const OpCase& op_case, bool one_tensor, Expected& expected) {
  Rng rng(7, Purpose::kTest);
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    const OpInput& input = op_case.inputs[i];
    RefTensor<double> value{input.rows, input.cols, {}};
    for (int e = 0; e < input.rows * input.cols; ++e) {
      value.v.push_back(static_cast<float>(input.offset + input.scale * rng.Normal()));
    }
    const size_t owner = OwnerOf(op_case, i, one_tensor);
    expected.values.push_back(owner < i ? expected.values[owner] : std::move(value));
  }
}

void Differentiate(const OpCase& op_case, bool one_tensor, Expected& expected) {
  constexpr double kStep = 1e-30;
  std::vector<RefTensor<std::complex<double>>> inputs;
  for (const auto& value : expected.values) {
    inputs.push_back({value.rows, value.cols, {value.v.begin(), value.v.end()}});
    expected.gradients.emplace_back(value.v.size(), 0.0);
  }
  const size_t outputs = expected.output.v.size();
  RefTensor<std::complex<double>> result{expected.output.rows, expected.output.cols, {}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<double>& gradient = expected.gradients[OwnerOf(op_case, i, one_tensor)];
    for (size_t e = 0; e < inputs[i].v.size(); ++e) {
      inputs[i].v[e] += std::complex<double>(0, kStep);
      result.v.assign(outputs, 0);
      op_case.complex_reference(inputs, result);
      inputs[i].v[e] = inputs[i].v[e].real();
      for (size_t o = 0; o < outputs; ++o) gradient[e] += expected.weights[o] * result.v[o].imag() / kStep;
    }
  }
}

// A case set up on a tape: parameters in a bank, activations wrapped.
class CaseRun {
 public:
  // `expected.values` must be drawn.
  CaseRun(const OpCase& op_case, const Setting& setting, const Expected& expected)
      : case_(op_case), setting_(setting), expected_(expected), packs_(bank_) {
    for (const OpInput& input : op_case.inputs) {
      Operand operand;
      if (input.parameter) {
        operand.param = bank_.Add(
            {fmt::format("p{}", operands_.size()), {input.rows, input.cols}, Role::kMatrix, {}, 1, input.quantization});
      }
      if (input.table) {
        operand.table = &bank_.AddTable(fmt::format("p{}", operands_.size()), input.rows, input.cols, Init::Zero());
      }
      operands_.push_back(operand);
    }
    bank_.Allocate(true);
    tape_ = std::make_unique<Tape>(bank_, packs_, DType::kF32);
    SpoilMemory();
    complete_.emplace(bank_);
    tape_->SetWatch(&*complete_);
    tape_->BeginTraining(op_case.batch, op_case.length, 1, 1);
    for (size_t i = 0; i < operands_.size(); ++i) SetInput(i);
    output_ = op_case.run(*tape_, operands_);
  }

  const Tensor& output() const { return output_; }
  // True for losses, which seed themselves with 1.
  bool seeded() const { return tape_->HasGradient(output_); }

  double ForwardError() const {
    double worst = 0;
    for (size_t i = 0; i < expected_.output.v.size(); ++i) {
      const auto row = static_cast<int64_t>(i) / output_.cols, col = static_cast<int64_t>(i) % output_.cols;
      worst = std::max(worst, Deviation(output_.matrix().Row<float>(row)[col], expected_.output.v[i]));
    }
    return worst;
  }

  double GradientError() {
    if (!seeded()) {
      const std::vector<float> weights(expected_.weights.begin(), expected_.weights.end());
      tape_->Seed(output_, weights.data());
    }
    if (setting_.prefilled) Prefill();
    tape_->Backward();
    FLASHLM_CHECK(complete_->Changed().empty(), "the gradient of {} changed after it was complete",
                  complete_->Changed());
    double worst = 0;
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (OwnerOf(case_, i, setting_.one_tensor) == i) worst = std::max(worst, GradientErrorOf(i));
    }
    return worst;
  }

 private:
  // Memory that is not written before it is read shall show, as it does in debug builds.
  void SpoilMemory() {
    constexpr int kRows = 512, kCols = 256;
    tape_->BeginTraining(1, 1, 1, 1);
    float* values = tape_->Keep<float>(int64_t{kRows} * kCols);
    std::fill_n(values, kRows * kCols, kNaN);
    tape_->Seed(tape_->Wrap(values, kRows, kCols), values);
    std::fill_n(tape_->Scratch(int64_t{kRows} * kCols), kRows * kCols, kNaN);
  }

  // The tensor that input i is, or looks into.
  Tensor Whole(size_t i) const {
    Tensor whole = operands_[i].tensor;
    whole.data = whole.f32() - whole.column;
    whole.column = 0;
    whole.cols = whole.stride;
    return whole;
  }

  void SetInput(size_t i) {
    const RefTensor<double>& value = expected_.values[i];
    if (case_.inputs[i].parameter) {
      std::copy(value.v.begin(), value.v.end(), bank_.Value(operands_[i].param));
      return;
    }
    if (case_.inputs[i].table) {
      std::copy(value.v.begin(), value.v.end(), operands_[i].table->values());
      return;
    }
    const size_t owner = OwnerOf(case_, i, setting_.one_tensor);
    if (owner < i) {
      operands_[i] = operands_[owner];
      return;
    }
    const int before = setting_.columns ? kBefore : 0, cols = before + value.cols + (setting_.columns ? kAfter : 0);
    float* data = tape_->Keep<float>(int64_t{value.rows} * cols);
    std::fill_n(data, int64_t{value.rows} * cols, kNaN);
    operands_[i].tensor = Tape::Columns(tape_->Wrap(data, value.rows, cols), before, value.cols);
    for (int r = 0; r < value.rows; ++r) {
      std::copy_n(value.v.begin() + int64_t{r} * value.cols, value.cols, operands_[i].tensor.matrix().Row<float>(r));
    }
  }

  void Prefill() {
    Rng rng(9, Purpose::kTest);
    prefill_.resize(operands_.size());
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (OwnerOf(case_, i, setting_.one_tensor) < i) continue;
      const OpInput& input = case_.inputs[i];
      const bool activation = !input.parameter && !input.table;
      const Tensor whole = activation ? Whole(i) : Tensor{};
      const int64_t size = activation ? int64_t{whole.rows} * whole.cols : int64_t{input.rows} * input.cols;
      for (int64_t e = 0; e < size; ++e) prefill_[i].push_back(rng.Normal());
      if (input.parameter) {
        std::copy(prefill_[i].begin(), prefill_[i].end(), bank_.Gradient(operands_[i].param));
      } else if (input.table) {
        PrefillRows(*operands_[i].table, prefill_[i]);
      } else {
        tape_->Seed(whole, prefill_[i].data());
      }
    }
  }

  // In an order that is not that of the rows.
  static void PrefillRows(SparseTable& table, std::vector<float>& gradient) {
    for (int row = table.rows() - 1; row >= 0; --row) {
      float* of_row = gradient.data() + int64_t{row} * table.cols();
      table.AddGradient(&row, {of_row, DType::kF32, 1, table.cols(), table.cols()});
    }
  }

  double GradientErrorOf(size_t i) {
    const RefTensor<double>& value = expected_.values[i];
    const bool activation = !case_.inputs[i].parameter && !case_.inputs[i].table;
    const Tensor& input = operands_[i].tensor;
    const int cols = activation ? input.stride : value.cols, begin = activation ? input.column : 0;
    std::vector<float> of_table;
    if (case_.inputs[i].table) of_table = operands_[i].table->DenseGradient();
    const float* ours = activation                  ? static_cast<float*>(tape_->GradientOf(Whole(i)).data)
                        : case_.inputs[i].parameter ? bank_.Gradient(operands_[i].param)
                                                    : of_table.data();
    double worst = 0;
    for (int r = 0; r < value.rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        const int64_t at = int64_t{r} * cols + c;
        const bool inside = c >= begin && c < begin + value.cols;
        const double expected =
            inside ? expected_.gradients[i][static_cast<size_t>(int64_t{r} * value.cols + c - begin)] : 0.0;
        const double before = setting_.prefilled ? prefill_[i][static_cast<size_t>(at)] : 0.0;
        worst = std::max(worst, Deviation(ours[at] - before, expected));
      }
    }
    return worst;
  }

  const OpCase& case_;
  const Setting setting_;
  const Expected& expected_;
  ParamBank bank_;
  WeightPacks packs_;
  std::unique_ptr<Tape> tape_;
  std::optional<CompleteGradients> complete_;
  std::vector<Operand> operands_;
  std::vector<std::vector<float>> prefill_;
  Tensor output_;
};

Expected Expect(const OpCase& op_case, bool one_tensor) {
  Expected expected;
  DrawValues(op_case, one_tensor, expected);
  const CaseRun run(op_case, {.one_tensor = one_tensor}, expected);  // which knows the output's shape
  const Tensor& output = run.output();
  const size_t outputs = static_cast<size_t>(output.rows) * static_cast<size_t>(output.cols);
  expected.output = {output.rows, output.cols, std::vector<double>(outputs)};
  op_case.reference(expected.values, expected.output);
  Rng rng(8, Purpose::kTest);
  for (size_t i = 0; i < outputs; ++i) expected.weights.push_back(run.seeded() ? 1.0 : rng.Normal());
  Differentiate(op_case, one_tensor, expected);
  return expected;
}

}  // namespace

OpCheck CheckOp(const OpDef& op, const OpCase& op_case) {
  OpCheck check{fmt::format("{}, {}", op.name, op_case.name), 0, 0};
  bool twins = false;
  for (size_t i = 0; i < op_case.inputs.size(); ++i) twins |= OwnerOf(op_case, i, true) < i;
  for (const bool one_tensor : {false, true}) {
    if (one_tensor && !twins) continue;
    const Expected expected = Expect(op_case, one_tensor);
    for (const bool columns : {false, true}) {
      for (const bool prefilled : {false, true}) {
        CaseRun run(op_case, {one_tensor, columns, prefilled}, expected);
        check.forward_error = std::max(check.forward_error, run.ForwardError());
        check.gradient_error = std::max(check.gradient_error, run.GradientError());
      }
    }
  }
  return check;
}

}  // namespace flashlm
