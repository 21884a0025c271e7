// Readers of binary files: safetensors, token shards and the meta.json that lists them.

#include "base/json.h"
#include "data/shards.h"
#include "io/bank_files.h"
#include "io/safetensors.h"
#include "tests/fuzz/fuzz_target.h"

namespace flashlm {
namespace {

// Every tensor that the file says it has can be read to its last byte; and as the model that some of the corpus are of.
FLASHLM_FUZZ_TARGET(safetensors) {
  const std::string path = FileWith(bytes);
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : file.tensors()) {
    size_t size = 1;
    for (const int n : tensor.shape) size *= static_cast<size_t>(n);
    if (tensor.dtype == "I32") {
      std::vector<int32_t> values(size);
      file.ReadInts(name, values.data(), tensor.shape);
    } else if (tensor.dtype == "F32" || tensor.dtype == "BF16" || tensor.dtype == "F16") {
      std::vector<float> values(size);
      file.Read(name, values.data(), tensor.shape);
    }
  }
  ParamBank bank;
  bank.Add({"a.weight", {2, 3}, Role::kMatrix, Init::Normal(1)});
  bank.Add({"b.gain", {3}, Role::kVector, Init::Normal(1)});
  bank.Allocate(false);
  LoadValues(path, bank);
}

constexpr char kTokenizerHash[] = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8b";

void ReadAllTokens(const std::string& folder, Verify verify) {
  const TokenData data(folder, "train", verify);
  std::vector<int32_t> ids(static_cast<size_t>(data.size()));
  data.Copy(0, data.size(), ids.data());
  for (const int32_t id : ids) Expect(id >= 0 && id < data.vocab_size(), "an id outside the vocabulary");
}

// As train_00000.bin of a data set whose meta.json promises as many tokens as it has. The checksum, which a fuzzer does
// not guess, is looked at last.
FLASHLM_FUZZ_TARGET(token_shard) {
  const size_t tokens = bytes.size() < 64 ? 0 : (bytes.size() - 64) / 2;
  const Json split = {{"shards", {{{"file", "train_00000.bin"}, {"tokens", tokens}}}}, {"tokens", tokens}};
  const Json meta = {{"format", "flashlm-data"},
                     {"version", kDataVersion},
                     {"tokenizer", {{"vocab_size", 300}, {"sha256", kTokenizerHash}}},
                     {"train", split},
                     {"valid", split}};
  FileWith(meta.dump(), "token_shard/meta.json");
  FileWith("text", "token_shard/valid.txt");
  const std::string folder = FolderOf(FileWith(bytes, "token_shard/train_00000.bin"));
  DataFingerprint(folder);
  ReadAllTokens(folder, Verify::kHeaders);
  ReadAllTokens(folder, Verify::kChecksums);
}

// As meta.json beside a sound shard.
FLASHLM_FUZZ_TARGET(data_meta) {
  const std::string folder = FolderOf(FileWith(bytes, "data_meta/meta.json"));
  FileWith("text", "data_meta/valid.txt");
  static const bool written = [&] {
    const std::vector<uint16_t> ids = {5, 6, 7, 3, 8, 9, 3};
    ShardWriter writer(folder, "train", 300, kTokenizerHash);
    writer.Append(ids);
    writer.Finish();
    return true;
  }();
  static_cast<void>(written);
  ReadAllTokens(folder, Verify::kChecksums);
  DataFingerprint(folder);
}

}  // namespace
}  // namespace flashlm
