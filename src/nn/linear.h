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

// Parameters NAME.weight [rows, in] one after another; the handle covers all of them.
inline Param AddLinear(ParamBank& bank, const std::vector<LinearPart>& parts, int in) {
  Param all;
  for (const LinearPart& part : parts) {
    const bool first = all.offset < 0;
    const Param one =
        bank.Add({part.name + ".weight", {part.rows, in}, Role::kMatrix, part.init, part.stacked}, !first);
    if (first) {
      all = one;
    } else {
      all.rows += one.rows;
    }
  }
  return all;
}

inline Param AddGain(ParamBank& bank, const std::string& name, int width) {
  return bank.Add({name + ".weight", {width}, Role::kVector, Init::Constant(1.0f)});
}

}  // namespace flashlm
