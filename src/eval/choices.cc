#include "eval/choices.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "eval/scorer.h"

namespace flashlm {
namespace {

struct Item {
  std::vector<std::string> choices;
  size_t right = 0;
  std::string category = "", field = "", term = "";  // "": none is named
};

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

Item ReadPair(const Line& line) {
  const bool blimp = !line.json.contains("good") && line.json.contains("sentence_good");
  Item item;
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

Item ReadCloze(const Line& line) {
  Item item;
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

std::vector<Item> ReadItems(const std::string& path, const char* hint, Item (*read)(const Line&)) {
  const MappedFile file = OpenInput(path);
  const std::string_view content = file.text();
  std::vector<Item> items;
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

ChoiceResult JudgeAll(Model& model, DType dtype, const Tokenizer& tokenizer, const std::vector<Item>& items) {
  std::vector<TokenIds> texts;
  for (const Item& item : items) {
    for (const std::string& choice : item.choices) texts.push_back(tokenizer.Encode(choice));
  }
  const auto nats = Scorer(model, dtype).Score(texts);
  std::vector<double> scores(texts.size(), 0.0);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const float n : nats[i]) scores[i] -= n;
  }
  ChoiceResult result;
  size_t next = 0;
  for (const Item& item : items) {
    const double right = RightShare(std::span(scores).subspan(next, item.choices.size()), item.right);
    next += item.choices.size();
    result.all.Add(right);
    if (!item.category.empty()) result.by_category[item.category].Add(right);
    if (!item.field.empty()) result.by_field[item.field].Add(right);
    if (!item.term.empty()) result.by_term[item.term].Add(right);
  }
  return result;
}

Json ToJson(const ChoiceCount& count) {
  return {{"pairs", count.items}, {"accuracy", count.accuracy()}, {"stderr", count.stderr_accuracy()}};
}

std::string Describe(const std::string& name, const ChoiceCount& count) {
  return fmt::format("{}: {:.1f} % ± {:.1f} of {}\n", name, 100 * count.accuracy(), 100 * count.stderr_accuracy(),
                     count.items);
}

}  // namespace

double ChoiceCount::stderr_accuracy() const {
  if (items < 2) return 0;
  const auto n = static_cast<double>(items);
  return std::sqrt(std::max(0.0, squares / n - accuracy() * accuracy()) / (n - 1));
}

double RightShare(std::span<const double> scores, size_t right) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  if (scores[right] < highest) return 0;
  return 1.0 / static_cast<double>(std::count(scores.begin(), scores.end(), highest));
}

ChoiceResult EvaluatePairs(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path) {
  return JudgeAll(model, dtype, tokenizer, ReadItems(path, kPairHint, ReadPair));
}

ChoiceResult EvaluateCloze(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& path) {
  return JudgeAll(model, dtype, tokenizer, ReadItems(path, kClozeHint, ReadCloze));
}

Json PairsToJson(const ChoiceResult& result) {
  Json json = ToJson(result.all);
  for (const auto& [name, count] : result.by_field) json["by_field"][name] = ToJson(count);
  for (const auto& [name, count] : result.by_term) json["by_linguistics_term"][name] = ToJson(count);
  return json;
}

std::string DescribePairs(const ChoiceResult& result) {
  std::string text = Describe("pairs", result.all);
  for (const auto& [name, count] : result.by_field) text += Describe("  " + name, count);
  // A file of one phenomenon, as BLiMP's own are, would say the same twice.
  if (result.by_term.size() < 2) return text;
  for (const auto& [name, count] : result.by_term) text += Describe("    " + name, count);
  return text;
}

Json ClozeToJson(const ChoiceResult& result) {
  Json categories = Json::object();
  for (const auto& [name, count] : result.by_category) categories[name] = count.accuracy();
  return {{"items", result.all.items}, {"accuracy", result.all.accuracy()}, {"accuracy_by_category", categories}};
}

}  // namespace flashlm
