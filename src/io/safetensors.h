// The safetensors file format (github.com/huggingface/safetensors): an 8-byte little-endian length, that many
// bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {text:
// text}}, then the data.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace flashlm {

using TextMap = std::map<std::string, std::string>;

struct TensorToWrite {
  std::string name;
  std::vector<int> shape;  // row-major; empty for a scalar
  const float* data = nullptr;
};

// Writes the tensors as F32 in the given order, straight from their memory, and replaces `path` only when all
// is on disk. The data section starts at a multiple of 64 bytes. Throws Error if writing fails (nothing is
// left behind).
void WriteSafetensors(const std::string& path, std::span<const TensorToWrite> tensors, const TextMap& metadata = {});

struct StoredTensor {
  std::string dtype;  // as in the file: "F32", "BF16", "F16", "I32", ...
  std::vector<int> shape;
  uint64_t begin = 0, end = 0;  // bytes within the data section
};

// A memory-mapped file. The constructor checks all of its structure and throws an Error that names the file
// and what is wrong; afterwards no tensor can reach outside of it. Values are not checked.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const TextMap& metadata() const { return metadata_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }

  bool Has(const std::string& name) const { return tensors_.contains(name); }
  // Throws Error naming the nearest known tensor if there is none of that name.
  const std::vector<int>& Shape(const std::string& name) const { return Find(name).shape; }

  // Copies a tensor of type F32, BF16 or F16 to `to`, as float. Throws Error if name, shape or type do not
  // fit.
  void Read(const std::string& name, float* to, const std::vector<int>& expected_shape) const;
  // The same for I32 (token ids in golden states).
  void ReadInts(const std::string& name, int32_t* to, const std::vector<int>& expected_shape) const;

 private:
  const StoredTensor& Find(const std::string& name) const;
  // The tensor of that name; Error if it has another shape.
  const StoredTensor& Find(const std::string& name, const std::vector<int>& expected_shape) const;

  MappedFile file_;
  uint64_t data_begin_ = 0;
  TextMap metadata_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace flashlm
