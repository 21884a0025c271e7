// Readers of models from elsewhere: packed files, and what `import` reads as JSON.
#include <algorithm>
#include <cstring>

#include "base/files.h"
#include "exchange/native_layout.h"
#include "exchange/shallow_json.h"
#include "exchange/token_order.h"
#include "io/packed_file.h"
#include "io/packed_layout.h"
#include "tests/fuzz/fuzz_target.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// What follows the header, after two bytes that say how long the table is. The header is made to fit: its checks, which
// no fuzzer passes, are tested apart (tests/io/packed_file_test.cc).
std::string Framed(std::string_view bytes) {
  uint64_t table = 0;
  if (bytes.size() >= 2) {
    uint16_t length;
    std::memcpy(&length, bytes.data(), sizeof length);
    table = packed::Aligned(length);
    bytes.remove_prefix(2);
  }
  std::string body(bytes);
  body.resize(packed::Aligned(std::max<uint64_t>(body.size(), table)), '\0');
  std::string file(packed::kHeader, '\0');
  const uint32_t version[2] = {packed::kVersion, packed::kAlignment};
  const uint64_t sizes[2] = {table, packed::kHeader + body.size()};
  std::memcpy(file.data(), packed::kMagic, 8);
  std::memcpy(file.data() + 8, version, sizeof version);
  std::memcpy(file.data() + 16, sizes, sizeof sizes);
  file.replace(packed::kChecksumAt, 64, Sha256(body));
  return file + body;
}

// As the model that the sound ones of the corpus are of.
FLASHLM_FUZZ_TARGET(packed_model) {
  ParamBank bank;
  bank.Add({"embed.weight", {5, 16}, Role::kEmbedding, Init::Zero()});
  bank.Add(
      {.name = "map.weight", .shape = {3, 7}, .init = Init::Zero(), .quantization = {kernels::Ternary::kRow, true}});
  bank.Add({"gain", {4}, Role::kVector, Init::Zero()});
  bank.Allocate(false);
  PackedFile(FileWith(Framed(bytes), "packed")).Load(bank);
}

FLASHLM_FUZZ_TARGET(hf_config) {
  NativeTensorsOf(FromNativeConfig(ParseShallow<Json>(std::string(bytes), "config.json"), "config.json"));
}

// Five bytes, eos, pad + 1, bos + 1 and the rows of the embedding, then tokenizer.json.
FLASHLM_FUZZ_TARGET(hf_tokenizer) {
  constexpr size_t kIds = 5;
  if (bytes.size() < kIds) throw Error("too short");
  const auto at = [&](size_t i) { return static_cast<int>(static_cast<uint8_t>(bytes[i])); };
  const TheirTokens tokens{at(0), at(1) - 1, at(2) - 1, at(3) + 256 * (at(4) % 8)};
  const RenumberedTokenizer renumbered = RenumberTokens(std::string(bytes.substr(kIds)), tokens, "tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::FromJson(renumbered.json, "tokenizer.json");
  constexpr std::string_view kText = "Once upon a time\n \xff";
  Expect(tokenizer.Decode(tokenizer.Encode(kText)) == kText, "decode(encode(text)) is not text");
}

}  // namespace
}  // namespace flashlm
