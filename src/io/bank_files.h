// A parameter bank on disk: its values (model.safetensors) and what its optimiser remembers (optimizer.safetensors).
#pragma once

#include <string>

#include "io/safetensors.h"
#include "tensor/param_bank.h"
#include "tensor/param_state.h"

namespace flashlm {

// One tensor per parameter, in the bank's order, without its alignment padding.
void SaveValues(const std::string& path, const ParamBank& bank, const TextMap& metadata = {});

bool AllFinite(const float* values, int64_t size);
// Throws Error naming the parameter and `path`, which would be written, if a value is not finite.
void RefuseInfinite(const std::string& path, const ParamBank& bank);

// Every parameter must be in the file with its shape and nothing else may be; the error names what is
// missing, unexpected or of another shape. Exception: when the output head is tied to `embed.weight`, a
// `head.weight` with the same values is ignored (other software stores both). F32, BF16 and F16 are read.
// After an error the values are unspecified.
void LoadValues(const std::string& path, ParamBank& bank);

// Tensors `<array>.<parameter>`, as `m.norm.gain`, for every array of `state` and every parameter that has it: of the
// parameter's shape, or of one dimension if the array has a float per line.
void SaveState(const std::string& path, const ParamBank& bank, const ParamState& state);
// Tensors of parameters that do not have that state any more are ignored: earlier versions saved `v.` of all of them.
void LoadState(const std::string& path, const ParamBank& bank, ParamState& state);

}  // namespace flashlm
