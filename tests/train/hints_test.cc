// What the program tells people to set must be there to be set.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "base/files.h"
#include "models/extras.h"
#include "models/registry.h"
#include "nn/ngram_tables.h"
#include "train/config.h"

namespace flashlm {
namespace {

// First words of the lines of FieldsHelp.
std::set<std::string> NamesIn(const std::string& section, const std::string& help) {
  std::set<std::string> names;
  const std::regex line(R"((?:^|\n)  ([a-z0-9_]+) )");
  for (std::sregex_iterator it(help.begin(), help.end(), line), end; it != end; ++it) {
    names.insert(section + "." + (*it)[1].str());
  }
  return names;
}

std::set<std::string> KnownKeys() {
  std::set<std::string> keys = NamesIn("train", FieldsHelp<TrainConfig>());
  keys.merge(NamesIn("optim", FieldsHelp<OptimConfig>()));
  for (const ModelEntry& entry : RegisteredModels()) keys.merge(NamesIn("model", entry.help()));
  // What stands beside every architecture's own, and the pattern of some.
  keys.merge(NamesIn("model", FieldsHelp<ModelExtras>()));
  keys.merge(NamesIn("model", FieldsHelp<NgramTablesConfig>()));
  keys.insert({"model.architecture", "model.table_", "train.own_"});
  // Files, a key of tokenizer.json, and the pattern of an override.
  keys.insert({"model.safetensors", "train.txt", "model.merges", "model.key"});
  return keys;
}

TEST(Hints, NameKeysThatExist) {
  const std::set<std::string> known = KnownKeys();
  ASSERT_TRUE(known.contains("train.sequence_length"));
  const std::regex text(R"re("(?:[^"\\\n]|\\.)*")re"), key(R"(\b(?:train|optim|model)\.[a-z][a-z0-9_]*)");
  int found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(FLASHLM_SOURCE_DIR "/src")) {
    if (entry.path().extension() != ".cc" && entry.path().extension() != ".h") continue;
    if (entry.path().parent_path().filename() == "exchange") continue;  // other programs' names for tensors
    const std::string source = std::regex_replace(ReadFile(entry.path().string()), std::regex("#include[^\n]*"), "");
    for (std::sregex_iterator it(source.begin(), source.end(), text), end; it != end; ++it) {
      const std::string literal = it->str();
      for (std::sregex_iterator hit(literal.begin(), literal.end(), key); hit != end; ++hit) {
        ++found;
        EXPECT_TRUE(known.contains(hit->str())) << entry.path() << " says " << hit->str();
      }
    }
  }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace flashlm
