// Test cases of an operation: every OpDef carries some, and tests/autograd/ops_test.cc runs them all. The reference is
// the operation's definition in scalar code, templated on the number type: with double it checks the forward pass, with
// complex numbers it gives exact gradients (complex-step differentiation).
#pragma once

#include <complex>
#include <functional>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace flashlm {

template <class S>
struct RefTensor {
  int rows = 0, cols = 0;
  std::vector<S> v;
  const S* data() const { return v.data(); }
  S* data() { return v.data(); }
};

struct OpInput {
  int rows = 0, cols = 0;
  bool parameter = false;          // lives in the bank
  double scale = 1, offset = 0;    // values are offset + scale * normal
  Quantization quantization = {};  // of a parameter
  bool table = false;              // a sparse table of the bank
};

// What `run` receives for each OpInput: one of the three is set.
struct Operand {
  Tensor tensor;
  Param param;
  SparseTable* table = nullptr;
};

struct OpCase {
  template <class S>
  using Reference = std::function<void(const std::vector<RefTensor<S>>&, RefTensor<S>&)>;

  std::string name;
  int batch = 1, length = 1;
  std::vector<OpInput> inputs;
  std::function<Tensor(Tape&, const std::vector<Operand>&)> run;
  Reference<double> reference;
  Reference<std::complex<double>> complex_reference;

  // `definition` is generic: [](const auto& inputs, auto& output) { ... }; output.rows/cols are set, output.v sized.
  template <class Run, class Definition>
  static OpCase Make(std::string name, int batch, int length, std::vector<OpInput> inputs, Run run,
                     Definition definition) {
    return {std::move(name), batch, length, std::move(inputs), run, definition, definition};
  }
};

}  // namespace flashlm
