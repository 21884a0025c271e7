#include "io/safetensors.h"

#include <bit>
#include <cstring>

#include "base/atomic_file.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/json.h"
#include "io/safetensors_header.h"

namespace flashlm {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian, and data is copied as it is");

constexpr uint64_t kAlignment = 64;

uint64_t BytesOf(const TensorToWrite& tensor) {
  uint64_t bytes = sizeof(float);
  for (int n : tensor.shape) {
    FLASHLM_CHECK(n >= 0, "tensor '{}' has a negative dimension", tensor.name);
    bytes *= static_cast<uint64_t>(n);
  }
  return bytes;
}

// Padded with spaces, so that the data section behind it is aligned.
std::string HeaderOf(std::span<const TensorToWrite> tensors, const TextMap& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    FLASHLM_CHECK(!header.contains(tensor.name) && tensor.name != kSafetensorsMetadata, "tensor '{}' written twice",
                  tensor.name);
    const uint64_t end = offset + BytesOf(tensor);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  const uint64_t used = sizeof(uint64_t) + text.size();
  text.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  FLASHLM_CHECK(text.size() <= kMaxSafetensorsHeader, "a safetensors header of {} bytes", text.size());
  return text;
}

float FromHalf(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormal numbers
    const float size = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -size : size;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

// `bytes` need not be aligned: other writers do not pad their headers to whole elements.
template <class Convert>
void Widen(const uint8_t* bytes, uint64_t n, float* to, const Convert& convert) {
  for (uint64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    to[i] = convert(bits);
  }
}

}  // namespace

void WriteSafetensors(const std::string& path, std::span<const TensorToWrite> tensors, const TextMap& metadata) {
  std::string header;
  try {
    header = HeaderOf(tensors, metadata);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("cannot write '{}': {}", path, e.what()), "names and metadata must be valid UTF-8");
  }
  AtomicFile file(path);
  const uint64_t length = header.size();
  file.Append(&length, sizeof length);
  file.Append(header);
  for (const TensorToWrite& tensor : tensors) file.Append(tensor.data, BytesOf(tensor));
  file.Commit();
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  SafetensorsHeader header = ParseSafetensorsHeader(file_.text(), path);
  data_begin_ = header.data_begin;
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
}

const StoredTensor& SafetensorsFile::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [other, tensor] : tensors_) known.push_back(other);
  throw Error(fmt::format("'{}' has no tensor '{}'", path(), name), NearestHint(name, known));
}

const StoredTensor& SafetensorsFile::Find(const std::string& name, const std::vector<int>& expected_shape) const {
  const StoredTensor& tensor = Find(name);
  if (tensor.shape == expected_shape) return tensor;
  throw Error(fmt::format("'{}': tensor '{}' has shape [{}] instead of [{}]", path(), name,
                          fmt::join(tensor.shape, ", "), fmt::join(expected_shape, ", ")),
              "the file belongs to another model");
}

void SafetensorsFile::Read(const std::string& name, float* to, const std::vector<int>& expected_shape) const {
  const StoredTensor& tensor = Find(name, expected_shape);
  const uint8_t* from = file_.data() + data_begin_ + tensor.begin;
  const uint64_t bytes = tensor.end - tensor.begin;
  if (tensor.dtype == "F32") {
    if (bytes > 0) std::memcpy(to, from, bytes);
  } else if (tensor.dtype == "BF16") {
    Widen(from, bytes / 2, to, [](uint16_t bits) { return ToFloat(BFloat16{bits}); });
  } else if (tensor.dtype == "F16") {
    Widen(from, bytes / 2, to, FromHalf);
  } else {
    throw Error(fmt::format("'{}': tensor '{}' has element type {}", path(), name, tensor.dtype),
                "F32, BF16 and F16 can be read; convert the file");
  }
}

void SafetensorsFile::ReadInts(const std::string& name, int32_t* to, const std::vector<int>& expected_shape) const {
  const StoredTensor& tensor = Find(name, expected_shape);
  if (tensor.dtype != "I32") {
    throw Error(fmt::format("'{}': tensor '{}' has element type {} instead of I32", path(), name, tensor.dtype));
  }
  const uint64_t bytes = tensor.end - tensor.begin;
  if (bytes > 0) std::memcpy(to, file_.data() + data_begin_ + tensor.begin, bytes);
}

}  // namespace flashlm
