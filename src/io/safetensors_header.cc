#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "io/quoted_name.h"

namespace flashlm {
namespace {

// Not base's Json: that one finds a key by walking all of them, and a damaged or hostile header may have
// millions.
using SortedJson = nlohmann::json;

struct ElementType {
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<ElementType, 15> kElementTypes = {{{"F32", 4},
                                                        {"BF16", 2},
                                                        {"F16", 2},
                                                        {"F64", 8},
                                                        {"I64", 8},
                                                        {"I32", 4},
                                                        {"I16", 2},
                                                        {"I8", 1},
                                                        {"U64", 8},
                                                        {"U32", 4},
                                                        {"U16", 2},
                                                        {"U8", 1},
                                                        {"BOOL", 1},
                                                        {"F8_E4M3", 1},
                                                        {"F8_E5M2", 1}}};

class HeaderReader {
 public:
  HeaderReader(std::string_view file, const std::string& path) : file_(file), path_(path) {}

  SafetensorsHeader Read() {
    const SortedJson json = Parse(Text());
    for (const auto& [name, value] : json.items()) {
      if (name == kSafetensorsMetadata) {
        ReadMetadata(value);
      } else {
        header_.tensors.emplace(name, ReadTensor(name, value));
      }
    }
    CheckLayout();
    return std::move(header_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(fmt::format("'{}' is not a sound safetensors file: {}", path_, what),
                "the file is damaged, incomplete or of another kind");
  }

  // The JSON text; sets where the data begins.
  std::string_view Text() {
    uint64_t length;
    if (file_.size() < sizeof length) Fail(fmt::format("it has only {} bytes", file_.size()));
    std::memcpy(&length, file_.data(), sizeof length);
    if (length > kMaxSafetensorsHeader) Fail(fmt::format("its header would have {} bytes", length));
    if (length > file_.size() - sizeof length) {
      Fail(fmt::format("its header has {} bytes, the whole file {}", length, file_.size()));
    }
    header_.data_begin = sizeof length + length;
    const std::string_view text = file_.substr(sizeof length, length);
    if (text.empty() || text.front() != '{') Fail("its header does not start with '{'");
    return text;
  }

  SortedJson Parse(std::string_view text) const {
    NameWatch names;
    const auto watch = [&](int depth, SortedJson::parse_event_t event, const SortedJson& parsed) {
      using Event = SortedJson::parse_event_t;
      if (names(event, parsed)) Fail(fmt::format("its header has {} twice", QuotedName(names.doubled())));
      constexpr int kDeepest = 2;  // a list within a tensor
      const bool opens = event == Event::object_start || event == Event::array_start;
      if (opens && depth > kDeepest) Fail("its header is nested too deeply");
      return true;
    };
    try {
      return SortedJson::parse(text, watch);
    } catch (const SortedJson::parse_error& e) {
      Fail(fmt::format("its header is not valid JSON at byte {}", e.byte));
    } catch (const SortedJson::exception&) {
      Fail("its header is not valid JSON (a number out of range)");
    }
  }

  void ReadMetadata(const SortedJson& value) {
    if (!value.is_object()) Fail("its metadata is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) Fail(fmt::format("the metadata entry {} is not a text", QuotedName(key)));
      header_.metadata[key] = text.get<std::string>();
    }
  }

  StoredTensor ReadTensor(const std::string& name, const SortedJson& value) const {
    const auto fail = [&](const std::string& what) { Fail(fmt::format("tensor {} {}", QuotedName(name), what)); };
    if (!value.is_object()) fail("is not described by an object");
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (!value.contains(key)) fail(fmt::format("lacks \"{}\"", key));
    }
    StoredTensor tensor;
    if (!value["dtype"].is_string()) fail("has a dtype that is not a text");
    tensor.dtype = value["dtype"].get<std::string>();
    const auto* type = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                    [&](const ElementType& known) { return known.name == tensor.dtype; });
    if (type == kElementTypes.end()) fail(fmt::format("has the unknown dtype {}", QuotedName(tensor.dtype)));

    if (!value["shape"].is_array()) fail("has a shape that is not a list");
    uint64_t bytes = type->bytes;
    for (const SortedJson& item : value["shape"]) {
      const uint64_t n = item.is_number_unsigned() ? item.get<uint64_t>() : std::numeric_limits<uint64_t>::max();
      if (n > std::numeric_limits<int>::max()) fail(fmt::format("has a dimension of {}", QuotedName(item.dump())));
      if (__builtin_mul_overflow(bytes, n, &bytes)) fail("has a shape whose size overflows");
      tensor.shape.push_back(static_cast<int>(n));
    }

    const SortedJson& offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      fail("has data_offsets that are not two offsets");
    }
    tensor.begin = offsets[0].get<uint64_t>();
    tensor.end = offsets[1].get<uint64_t>();
    if (tensor.begin > tensor.end) fail("ends before it begins");
    if (tensor.end - tensor.begin != bytes) {
      fail(fmt::format("has {} bytes, its shape asks for {}", tensor.end - tensor.begin, bytes));
    }
    return tensor;
  }

  // The tensors must tile the data section.
  void CheckLayout() const {
    using Item = std::pair<const std::string, StoredTensor>;
    std::vector<const Item*> order;
    for (const Item& item : header_.tensors) order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
      return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
    });
    const uint64_t available = file_.size() - header_.data_begin;
    uint64_t covered = 0;
    for (const Item* item : order) {
      const auto& [name, tensor] = *item;
      if (tensor.begin != covered) {
        Fail(fmt::format("tensor {} begins at {}, the data before it ends at {}", QuotedName(name), tensor.begin,
                         covered));
      }
      if (tensor.end > available) {
        Fail(fmt::format("it is truncated: tensor {} ends at {}, the data at {}", QuotedName(name), tensor.end,
                         available));
      }
      covered = tensor.end;
    }
    if (covered != available) Fail(fmt::format("{} bytes follow its last tensor", available - covered));
  }

  std::string_view file_;
  const std::string& path_;
  SafetensorsHeader header_;
};

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::string_view file, const std::string& path) {
  return HeaderReader(file, path).Read();
}

}  // namespace flashlm
