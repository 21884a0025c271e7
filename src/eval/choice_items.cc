#include "eval/choice_items.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"

namespace flashlm {
namespace {

constexpr char kPairHint[] =
    R"(a line looks like {"good": "The cat sleeps.", "bad": "The cat sleep."}, or has BLiMP's names)";
constexpr char kClozeHint[] =
    R"(a line looks like {"context": "The cat drinks", "options": ["milk", "stones"], "answer": 0})";

// One line of the file, and where it stands.
struct Line {
  std::string where;
  const char* hint;
  Json json;

  [[noreturn]] void Refuse(const std::string& what) const { throw Error(fmt::format("{}: {}", where, what), hint); }
  std::string Text(const char* key) const {
    if (!json.contains(key) || !json[key].is_string()) Refuse(fmt::format("\"{}\" must be a text", key));
    return json[key].get<std::string>();
  }
  // "" if it is not there.
  std::string TextIfThere(const char* key) const { return json.contains(key) ? Text(key) : ""; }
  // What is scored must have tokens: nothing at all would be the likeliest choice.
  const std::string& NotEmpty(const char* key, const std::string& text) const {
    if (text.empty()) Refuse(fmt::format("\"{}\" holds an empty text", key));
    return text;
  }
};

ChoiceItem ReadPair(const Line& line) {
  const bool blimp = !line.json.contains("good") && line.json.contains("sentence_good");
  ChoiceItem item;
  for (const char* key : {blimp ? "sentence_good" : "good", blimp ? "sentence_bad" : "bad"}) {
    item.choices.push_back(line.NotEmpty(key, line.Text(key)));
  }
  item.field = line.TextIfThere("field");
  item.term = line.TextIfThere("linguistics_term");
  return item;
}

// ASCII only: other bytes belong to letters far more often than to blanks.
bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0; }

std::string Join(const std::string& context, const std::string& option) {
  const bool touching = !context.empty() && !option.empty() && IsWordByte(option.front()) &&
                        std::isspace(static_cast<unsigned char>(context.back())) == 0;
  return context + (touching ? " " : "") + option;
}

ChoiceItem ReadCloze(const Line& line) {
  ChoiceItem item;
  const std::string context = line.Text("context");
  const Json options = line.json.value("options", Json());
  if (!options.is_array() || options.size() < 2) line.Refuse("\"options\" must be a list of two texts or more");
  for (const Json& option : options) {
    if (!option.is_string()) line.Refuse("\"options\" must hold texts only");
    item.choices.push_back(Join(context, line.NotEmpty("options", option.get<std::string>())));
  }
  const Json answer = line.json.value("answer", Json());
  if (!answer.is_number_integer() || answer.get<int64_t>() < 0 || answer.get<int64_t>() >= std::ssize(item.choices)) {
    line.Refuse(fmt::format("\"answer\" must be an index from 0 to {}", item.choices.size() - 1));
  }
  item.right = answer.get<size_t>();
  item.category = line.TextIfThere("category");
  return item;
}

std::vector<ChoiceItem> ReadItems(const std::string& path, const char* hint, ChoiceItem (*read)(const Line&)) {
  const MappedFile file = OpenInput(path);
  const std::string_view content = file.text();
  std::vector<ChoiceItem> items;
  int64_t number = 0;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const std::string text(content.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", file.path(), number);
    const Line line{where, hint, ParseJson(text, where, hint)};
    if (!line.json.is_object()) line.Refuse("not a JSON object");
    items.push_back(read(line));
  }
  if (items.empty()) throw Error(fmt::format("'{}' holds no items", file.path()), hint);
  return items;
}

}  // namespace

std::vector<ChoiceItem> ReadPairs(const std::string& path) { return ReadItems(path, kPairHint, ReadPair); }
std::vector<ChoiceItem> ReadClozes(const std::string& path) { return ReadItems(path, kClozeHint, ReadCloze); }

}  // namespace flashlm
