// Declaring linear maps. Several maps that read the same input are declared together: they lie side by side in the
// bank, so one matrix product serves them all, while each keeps its own name and shape in the file.
#pragma once

#include <string>
#include <vector>

#include "autograd/ops.h"

namespace flashlm {

struct LinearPart {
  std::string name;  // without ".weight"
  int rows = 0;      // outputs
  Init init;
  int stacked = 1;  // independent maps stacked in the rows
};

// Parameters NAME.weight [rows, in] one after another; the handle covers all of them. Ternary parts have a
// scale each.
inline Param AddLinear(ParamBank& bank, const std::vector<LinearPart>& parts, int in, Quantization quantization = {}) {
  Param all;
  for (const LinearPart& part : parts) {
    const bool first = all.offset < 0;
    const Param one = bank.Add(
        {part.name + ".weight", {part.rows, in}, Role::kMatrix, part.init, part.stacked, quantization}, !first);
    if (first) {
      all = one;
    } else {
      all.rows += one.rows;
    }
  }
  return all;
}

// A token table [vocab, width], starting from normals of deviation `std`, or, if that is 0, like the model's maps.
inline Param AddTokenTable(ParamBank& bank, const std::string& name, int vocab, int width, double std,
                           const Init& maps) {
  return bank.Add({name, {vocab, width}, Role::kEmbedding, std > 0 ? Init::Normal(static_cast<float>(std)) : maps});
}

inline Param AddGain(ParamBank& bank, const std::string& name, int width) {
  return bank.Add({name + ".weight", {width}, Role::kVector, Init::Constant(1.0f)});
}

// Vectors of one width that one operation reads together, one after another: the handle is [names, width].
inline Param AddVectors(ParamBank& bank, const std::vector<std::string>& names, int width, float value) {
  Param all;
  for (const std::string& name : names) {
    const Param one = bank.Add({name, {width}, Role::kVector, Init::Constant(value)}, all.offset >= 0);
    if (all.offset < 0) {
      all = one;
    } else {
      all.rows += one.rows;
    }
  }
  return all;
}

// A layer norm's gain and bias: NAME.weight, NAME.bias.
struct GainBias {
  Param gain, bias;
};
inline GainBias AddGainBias(ParamBank& bank, const std::string& name, int width) {
  return {AddGain(bank, name, width), bank.Add({name + ".bias", {width}, Role::kVector, Init::Zero()})};
}
// Of several norms side by side in one tensor, which are one norm in as many groups.
inline GainBias AddGainBiases(ParamBank& bank, const std::vector<std::string>& names, int width) {
  std::vector<std::string> gains, biases;
  for (const std::string& name : names) {
    gains.push_back(name + ".weight");
    biases.push_back(name + ".bias");
  }
  GainBias both{AddVectors(bank, gains, width, 1.0f), AddVectors(bank, biases, width, 0.0f)};
  for (Param* p : {&both.gain, &both.bias}) *p = {p->offset, 1, p->rows * p->cols};
  return both;
}
inline Tensor LayerNorm(Tape& tape, const Tensor& x, const GainBias& affine, int groups = 1) {
  return LayerNorm(tape, x, affine.gain, affine.bias, groups);
}

}  // namespace flashlm
