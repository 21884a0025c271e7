#include "text/tokenizer_json.h"

#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/byte_level.h"
#include "text/pair_map.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Not base's Json: that one keeps the order of keys and therefore finds a key by walking all of them, which
// for a vocabulary of 65,536 keys takes seconds.
using SortedJson = nlohmann::json;

constexpr size_t kMaxEntries = 65536;
constexpr char kRetrainHint[] = "train a tokenizer with `flashlm tokenizer train`";
constexpr char kFormatHint[] =
    "only byte-level BPE is read: no normaliser, ByteLevel pre-tokenizer with add_prefix_space false";

std::string Quoted(const std::string& text) {
  return SortedJson(text.size() > 40 ? text.substr(0, 40) : text)
      .dump(-1, ' ', false, SortedJson::error_handler_t::replace);
}

// How an id is written in the file.
std::string Spelling(const BpeModel::Entry& entry) {
  return entry.bytes.empty() ? entry.name : SpellBytes(entry.bytes);
}

class Reader {
 public:
  Reader(const std::string& json, std::string where) : where_(std::move(where)) { Parse(json); }

  BpeModel Read() {
    const SortedJson& model = Section("model");
    CheckPipeline();
    CheckModelOptions(model);
    ReadVocab(model);
    ReadMerges(model);
    ReserveTheRest();
    CheckAddedTokens();
    return std::move(bpe_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what, const std::string& hint = kFormatHint) const {
    throw Error(fmt::format("{}: {}", where_, what), hint);
  }

  void Parse(const std::string& json);
  const SortedJson& Section(const char* name) const;
  void CheckPipeline() const;
  void CheckModelOptions(const SortedJson& model) const;
  void CheckAddedTokens() const;
  void ReadVocab(const SortedJson& model);
  void AddEntry(const std::string& name, const SortedJson& id);
  void ReadMerges(const SortedJson& model);
  std::pair<std::string, std::string> ReadMerge(const SortedJson& merge, size_t rank) const;
  uint16_t IdOf(const std::string& name, size_t rank) const;
  void ReserveTheRest();
  // The value `key` of `object`, or null.
  static const SortedJson& Get(const SortedJson& object, const char* key);

  std::string where_;
  SortedJson document_;
  BpeModel bpe_;
  std::vector<std::string> names_;  // as the file spells them, by id
  SortedJson ids_;                  // the file's vocabulary with the added tokens: an object, name to id
};

const SortedJson& Reader::Get(const SortedJson& object, const char* key) {
  static const SortedJson null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

void Reader::Parse(const std::string& json) {
  if (json.size() > kMaxTokenizerJsonBytes) {
    Fail(fmt::format("{} bytes, more than the {} a tokenizer.json may have", json.size(), kMaxTokenizerJsonBytes),
         "is this a tokenizer.json?");
  }
  // The parser takes any depth, but copying calls itself for each level.
  NameWatch names;
  const auto watch = [&](int depth, SortedJson::parse_event_t event, const SortedJson& parsed) {
    if (names(event, parsed)) Fail(names.Problem());
    constexpr int kDeepest = 100;
    if (depth > kDeepest) Fail(fmt::format("nested more than {} levels deep", kDeepest), "is this a tokenizer.json?");
    return true;
  };
  try {
    document_ = SortedJson::parse(json, watch);
  } catch (const SortedJson::parse_error& error) {
    Fail(fmt::format("not valid JSON at byte {} of {}", error.byte, json.size()),
         "the file is damaged or cut short; copy it again");
  } catch (const SortedJson::exception&) {
    Fail("not valid JSON (a number out of range)", "the file is damaged; copy it again");
  }
  if (!document_.is_object()) Fail("not a JSON object");
}

const SortedJson& Reader::Section(const char* name) const {
  const SortedJson& section = Get(document_, name);
  if (!section.is_object()) Fail(fmt::format("has no object \"{}\"", name));
  return section;
}

// Refuses what would change the ids of a text in the tokenizers package.
void Reader::CheckPipeline() const {
  const auto type_of = [&](const char* name) -> std::string {
    const SortedJson& section = Get(document_, name);
    if (section.is_null()) return "";
    const SortedJson& type = section.is_object() ? Get(section, "type") : section;
    return type.is_string() ? type.get<std::string>() : "?";
  };
  for (const char* name : {"normalizer", "truncation", "padding"}) {
    if (!Get(document_, name).is_null()) Fail(fmt::format("\"{}\" is set, which is not supported", name));
  }
  for (const char* name : {"post_processor", "decoder"}) {
    const std::string type = type_of(name);
    if (!type.empty() && type != "ByteLevel") Fail(fmt::format("{} {} is not supported", name, Quoted(type)));
  }
  if (type_of("pre_tokenizer") != "ByteLevel") {
    Fail(fmt::format("pre_tokenizer {} is not supported", Quoted(type_of("pre_tokenizer"))));
  }
  const SortedJson& splitter = Section("pre_tokenizer");
  if (Get(splitter, "add_prefix_space") != SortedJson(false)) {
    Fail("pre_tokenizer with add_prefix_space true is not supported: decoding would not give the text back",
         kRetrainHint);
  }
  const SortedJson& use_regex = Get(splitter, "use_regex");
  if (!use_regex.is_null() && use_regex != SortedJson(true))
    Fail("pre_tokenizer with use_regex false is not supported");
}

void Reader::CheckModelOptions(const SortedJson& model) const {
  const SortedJson& type = Get(model, "type");
  if (type != SortedJson("BPE")) {
    Fail(fmt::format("model type {} is not supported", Quoted(type.is_string() ? type.get<std::string>() : "?")));
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const SortedJson& value = Get(model, name);
    if (!value.is_null() && value != SortedJson("")) Fail(fmt::format("\"{}\" is set, which is not supported", name));
  }
  for (const char* name : {"byte_fallback", "ignore_merges"}) {
    const SortedJson& value = Get(model, name);
    if (!value.is_null() && value != SortedJson(false)) Fail(fmt::format("\"{}\" is on, which is not supported", name));
  }
  const SortedJson& dropout = Get(model, "dropout");
  if (!dropout.is_null() && dropout != SortedJson(0.0)) Fail("\"dropout\" is on, which is not supported");
}

void Reader::AddEntry(const std::string& name, const SortedJson& id) {
  if (!id.is_number_integer() || id < 0 || id >= kMaxEntries) {
    Fail(fmt::format("id of {} is not a number from 0 to {}", Quoted(name), kMaxEntries - 1), kRetrainHint);
  }
  const size_t index = id.get<size_t>();
  if (index >= names_.size()) names_.resize(index + 1);
  if (!names_[index].empty()) {
    Fail(fmt::format("id {} is both {} and {}", index, Quoted(names_[index]), Quoted(name)));
  }
  if (name.empty()) Fail(fmt::format("id {} is an empty text", index));
  names_[index] = name;
}

void Reader::ReadVocab(const SortedJson& model) {
  ids_ = Get(model, "vocab");
  if (!ids_.is_object()) Fail("has no object \"model.vocab\"");
  if (ids_.size() > kMaxEntries) {
    Fail(fmt::format("{} entries, more than {}", ids_.size(), kMaxEntries), kRetrainHint);
  }
  for (const auto& [name, id] : ids_.items()) AddEntry(name, id);

  const SortedJson& added = Get(document_, "added_tokens");
  if (!added.is_null() && !added.is_array()) Fail("\"added_tokens\" is not a list");
  for (const SortedJson& token : added) {
    if (!token.is_object() || !Get(token, "content").is_string()) Fail("an added token has no text \"content\"");
    const std::string name = Get(token, "content").get<std::string>();
    if (Get(token, "special") != SortedJson(true)) {
      Fail(fmt::format("added token {} is not special, which is not supported", Quoted(name)));
    }
    const auto [entry, is_new] = ids_.emplace(name, Get(token, "id"));
    if (is_new) {
      AddEntry(name, *entry);
    } else if (*entry != Get(token, "id")) {
      Fail(fmt::format("added token {} has another id in \"model.vocab\"", Quoted(name)));
    }
  }
  for (size_t id = 0; id < names_.size(); ++id) {
    if (names_[id].empty()) Fail(fmt::format("no entry has id {}, but one has {}", id, names_.size() - 1));
  }
  bpe_.entries.resize(names_.size());
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const auto found = ids_.find(SpellBytes(bytes));
    if (found == ids_.end()) {
      Fail(fmt::format("no entry for byte 0x{:02X}: not every text could be encoded", byte), kRetrainHint);
    }
    bpe_.entries[found->get<size_t>()].bytes = bytes;
  }
}

// ["a", "b"], or in older files "a b": a byte-level token holds no space.
std::pair<std::string, std::string> Reader::ReadMerge(const SortedJson& merge, size_t rank) const {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const std::string text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space != std::string::npos) return {text.substr(0, space), text.substr(space + 1)};
  }
  Fail(fmt::format("merge {} is not a pair of entries", rank));
}

uint16_t Reader::IdOf(const std::string& name, size_t rank) const {
  const auto found = ids_.find(name);
  if (found == ids_.end()) Fail(fmt::format("merge {} names {}, which is not in \"model.vocab\"", rank, Quoted(name)));
  return found->get<uint16_t>();
}

void Reader::ReadMerges(const SortedJson& model) {
  const SortedJson& merges = Get(model, "merges");
  if (!merges.is_array()) Fail("has no list \"model.merges\"");
  // Several merges may make one entry, so this is a bound against nonsense, not a tight one.
  if (merges.size() > 2 * kMaxEntries) Fail(fmt::format("{} merges, more than {}", merges.size(), 2 * kMaxEntries));
  std::unordered_map<uint32_t, size_t> ranks;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left_name, right_name] = ReadMerge(merges[rank], rank);
    const uint16_t left = IdOf(left_name, rank), right = IdOf(right_name, rank);
    const uint16_t result = IdOf(left_name + right_name, rank);
    const std::optional<std::string> bytes = ReadSpelling(names_[result]);
    if (!bytes) Fail(fmt::format("{} is not in the byte-level alphabet", Quoted(names_[result])));
    bpe_.entries[result].bytes = *bytes;
    bpe_.merges.push_back({left, right, result});
    const auto [earlier, is_new] = ranks.try_emplace(PairMap::Key(left, right), rank);
    if (!is_new) Fail(fmt::format("merge {} repeats merge {}", rank, earlier->second));
  }
}

void Reader::ReserveTheRest() {
  for (size_t id = 0; id < names_.size(); ++id) {
    if (bpe_.entries[id].bytes.empty()) bpe_.entries[id].name = names_[id];
  }
  for (size_t id = 0; id < Tokenizer::kSpecials; ++id) {
    if (bpe_.entries[id].name.empty()) {
      Fail(fmt::format("id {} is the text {}; ids 0 to 3 must be reserved: <pad>, <unk>, <bos>, <eos>", id,
                       Quoted(names_[id])),
           kRetrainHint);
    }
  }
}

// The package takes added tokens out of the text before splitting. Here they are never read from a text,
// which can be honoured only for those that no text makes by merging.
void Reader::CheckAddedTokens() const {
  for (const SortedJson& token : Get(document_, "added_tokens")) {
    const std::string name = token["content"].get<std::string>();
    if (bpe_.entries[IdOf(name, 0)].name.empty()) {
      Fail(fmt::format("added token {} is also an ordinary entry", Quoted(name)));
    }
  }
}

}  // namespace

std::string BpeToJson(const BpeModel& model) {
  std::string json = R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [],
  "normalizer": null,
  "pre_tokenizer": {
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  },
  "post_processor": null,
  "decoder": {
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  },
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {)";
  std::vector<std::string> names;  // as JSON strings
  for (const BpeModel::Entry& entry : model.entries) {
    names.push_back(SortedJson(Spelling(entry)).dump());
    json += fmt::format("{}\n      {}: {}", names.size() == 1 ? "" : ",", names.back(), names.size() - 1);
  }
  json += "\n    },\n    \"merges\": [";
  const char* separator = "";
  for (const auto& [left, right, result] : model.merges) {
    json += fmt::format("{}\n      [\n        {},\n        {}\n      ]", separator, names[left], names[right]);
    separator = ",";
  }
  json += model.merges.empty() ? "]\n  }\n}" : "\n    ]\n  }\n}";
  return json;
}

BpeModel BpeFromJson(const std::string& json, const std::string& where) { return Reader(json, where).Read(); }

}  // namespace flashlm
