// Every operation against its own definition: forward values, and gradients by complex-step differentiation.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "base/rng.h"

namespace flashlm {
namespace {

struct NamedCase {
  const OpDef* op;
  OpCase op_case;
};

std::vector<NamedCase> AllCases() {
  std::vector<NamedCase> all;
  for (const OpDef* op : AllOps()) {
    for (OpCase& op_case : op->cases()) all.push_back({op, std::move(op_case)});
  }
  return all;
}

// Runs a case in f32 on a tape of its own.
struct CaseRun {
  explicit CaseRun(const OpCase& op_case) : packs(bank) {
    for (const OpInput& input : op_case.inputs) {
      Operand operand;
      if (input.parameter) {
        const std::string name = "p" + std::to_string(operands.size());
        operand.param = bank.Add({name, {input.rows, input.cols}, Role::kMatrix, {}});
      }
      operands.push_back(operand);
    }
    bank.Allocate(true);
    tape = std::make_unique<Tape>(bank, packs, DType::kF32);
    tape->BeginTraining(op_case.batch, op_case.length, 1, 1);
    Rng rng(7, Purpose::kTest);
    for (size_t i = 0; i < operands.size(); ++i) {
      const OpInput& input = op_case.inputs[i];
      values.push_back({input.rows, input.cols, {}});
      for (int e = 0; e < input.rows * input.cols; ++e) {
        values.back().v.push_back(static_cast<float>(input.offset + input.scale * rng.Normal()));
      }
      float* target = input.parameter ? bank.Value(operands[i].param)
                                      : tape->Keep<float>(int64_t{input.rows} * input.cols);
      std::copy(values.back().v.begin(), values.back().v.end(), target);
      if (!input.parameter) operands[i].tensor = tape->Wrap(target, input.rows, input.cols);
    }
    output = op_case.run(*tape, operands);
  }

  ParamBank bank;
  WeightPacks packs;
  std::unique_ptr<Tape> tape;
  std::vector<Operand> operands;
  std::vector<RefTensor<double>> values;
  Tensor output;
};

class OpTest : public testing::TestWithParam<NamedCase> {};

TEST_P(OpTest, ForwardEqualsReference) {
  const OpCase& op_case = GetParam().op_case;
  const CaseRun run(op_case);
  RefTensor<double> expected{run.output.rows, run.output.cols, {}};
  expected.v.resize(static_cast<size_t>(run.output.rows) * run.output.cols);
  op_case.reference(run.values, expected);
  for (size_t i = 0; i < expected.v.size(); ++i) {
    EXPECT_NEAR(run.output.f32()[i], expected.v[i], 2e-5 * (1 + std::abs(expected.v[i]))) << i;
  }
}

TEST_P(OpTest, BackwardEqualsComplexStep) {
  const OpCase& op_case = GetParam().op_case;
  CaseRun run(op_case);
  // A scalar of the output: sum of weights * output. Loss operations have seeded themselves with 1.
  const size_t outputs = static_cast<size_t>(run.output.rows) * run.output.cols;
  std::vector<double> weights(outputs, 1.0);
  if (!run.tape->HasGradient(run.output)) {
    Rng rng(8, Purpose::kTest);
    bool accumulate;
    const kernels::Matrix gradient = run.tape->GradientFor(run.output, &accumulate);
    for (size_t i = 0; i < outputs; ++i) {
      weights[i] = static_cast<float>(rng.Normal());
      static_cast<float*>(gradient.data)[i] = static_cast<float>(weights[i]);
    }
  }
  run.tape->Backward();

  constexpr double kStep = 1e-30;
  std::vector<RefTensor<std::complex<double>>> inputs;
  for (const auto& value : run.values) inputs.push_back({value.rows, value.cols, {value.v.begin(), value.v.end()}});
  RefTensor<std::complex<double>> result{run.output.rows, run.output.cols, {}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    const float* gradient =
        op_case.inputs[i].parameter
            ? run.bank.Gradient(run.operands[i].param)
            : static_cast<const float*>(run.tape->GradientOf(run.operands[i].tensor).data);
    for (size_t e = 0; e < inputs[i].v.size(); ++e) {
      inputs[i].v[e] += std::complex<double>(0, kStep);
      result.v.assign(outputs, 0);
      op_case.complex_reference(inputs, result);
      double expected = 0;
      for (size_t o = 0; o < outputs; ++o) expected += weights[o] * result.v[o].imag() / kStep;
      inputs[i].v[e] = inputs[i].v[e].real();
      EXPECT_NEAR(gradient[e], expected, 5e-5 * (1 + std::abs(expected))) << "input " << i << ", element " << e;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpTest, testing::ValuesIn(AllCases()), [](const auto& info) {
  std::string name = fmt::format("{}_{}", info.index, info.param.op->name);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace flashlm
