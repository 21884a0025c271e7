// The header of a safetensors file: parsing and every check that makes the rest of the file safe to use.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/safetensors.h"

namespace flashlm {

// The format's own limits and names.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // bytes
inline constexpr char kSafetensorsMetadata[] = "__metadata__";

struct SafetensorsHeader {
  uint64_t data_begin = 0;  // bytes from the start of the file
  TextMap metadata;
  std::map<std::string, StoredTensor> tensors;
};

// `file` is the whole file. Accepts what the reference implementation accepts: one JSON object, no name
// twice, types with a known size, and tensors that cover the data section from its first to its last byte
// without gap or overlap. Throws Error naming `path`.
SafetensorsHeader ParseSafetensorsHeader(std::string_view file, const std::string& path);

}  // namespace flashlm
