// Readers of text: tokenizer.json, documents, items of --pairs and --cloze, presets.
#include <algorithm>

#include "base/json.h"
#include "data/documents.h"
#include "eval/choice_items.h"
#include "models/presets.h"
#include "models/registry.h"
#include "tests/fuzz/fuzz_target.h"
#include "text/tokenizer.h"
#include "train/config.h"

namespace flashlm {
namespace {

// Whatever tokenizer.json is read encodes any bytes and gives them back, and is the same when it is written and read.
FLASHLM_FUZZ_TARGET(tokenizer_json) {
  const Tokenizer tokenizer = Tokenizer::FromJson(std::string(bytes), "input");
  const std::string_view text = bytes.substr(0, 2000);
  const std::vector<uint16_t> ids = tokenizer.Encode(text);
  Expect(tokenizer.Decode(ids) == text, "the text is not what was encoded");
  const Tokenizer again = Tokenizer::FromJson(tokenizer.ToJson(), "again");
  Expect(again.Encode(text) == ids, "the tokenizer is not what was written");
}

FLASHLM_FUZZ_TARGET(documents) {
  const DocumentFile file(FileWith(bytes));
  int64_t whole = 0, cut = 0;
  for (const std::string_view document : file.documents()) {
    Expect(!document.empty(), "an empty document");
    Expect(document.find('\0') == std::string_view::npos, "a zero in a document");
    whole += std::ssize(document);
  }
  Expect(whole > 0 && whole <= std::ssize(bytes), "documents that are more than their text");
  DocumentSplitter pieces(bytes, /*cut_long=*/true);
  for (std::string_view piece; pieces.Next(piece);) cut += std::ssize(piece);
  Expect(cut <= std::ssize(bytes), "pieces that are more than their text");
}

void ExpectItems(const std::vector<ChoiceItem>& items) {
  for (const ChoiceItem& item : items) {
    Expect(item.choices.size() >= 2 && item.right < item.choices.size(), "an item without its right choice");
    for (const std::string& choice : item.choices) Expect(!choice.empty(), "an empty choice");
  }
}

FLASHLM_FUZZ_TARGET(pairs) { ExpectItems(ReadPairs(FileWith(bytes))); }
FLASHLM_FUZZ_TARGET(cloze) { ExpectItems(ReadClozes(FileWith(bytes))); }

// Of sizes that fit into any memory: that a model may be huge is not the reader's fault.
bool IsSmall(const Json& model) {
  if (!model.is_object()) return true;
  return std::all_of(model.begin(), model.end(), [](const Json& value) {
    return !value.is_number() || (value.get<double>() >= -100 && value.get<double>() <= 100);
  });
}

FLASHLM_FUZZ_TARGET(preset_toml) {
  const Json document = LoadPreset(FileWith(bytes, "preset.toml"));
  RefuseFamily(document, "input");
  RunConfig config = RunConfig::FromDocument(document, "preset.toml");
  if (!IsSmall(config.model)) return;
  // What a run writes down is read as the same.
  config.model = MakeModel(config.model, /*for_training=*/false)->config();
  const Json written = config.ToJson();
  const Json read = RunConfig::FromJson(ParseToml(ToToml(written), "again")).ToJson();
  Expect(nlohmann::json(read) == nlohmann::json(written), "the run is not what was written");  // in whatever order
}

FLASHLM_FUZZ_TARGET(config_json) {
  const Json config = ParseJson(std::string(bytes), "input");
  if (!IsSmall(config)) return;
  const std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/false);
  Expect(MakeModel(model->config(), false)->config() == model->config(), "the configuration is not what was written");
}

}  // namespace
}  // namespace flashlm
