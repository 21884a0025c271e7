#include "stories/grammar.h"

#include <algorithm>

#include "base/error.h"

namespace flashlm {
namespace {

// Reads one alternative: nested choices and references into nodes.
class SequenceParser {
 public:
  SequenceParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  GrammarSequence Parse() {
    GrammarSequence sequence = ParseUntil("");
    if (at_ != text_.size()) throw Error(fmt::format("grammar rule '{}': stray '{}'", where_, text_[at_]));
    return sequence;
  }

 private:
  GrammarSequence ParseUntil(std::string_view stops) {
    GrammarSequence sequence;
    std::string plain;
    const auto flush = [&] {
      if (plain.empty()) return;
      sequence.emplace_back();
      sequence.back().text = plain;
      plain.clear();
    };
    while (at_ < text_.size() && stops.find(text_[at_]) == std::string_view::npos) {
      const char c = text_[at_];
      if (c == '[') {
        flush();
        sequence.push_back(ParseChoice());
      } else if (c == '{') {
        flush();
        sequence.push_back(ParseReference());
      } else if (c == ']' || c == '}') {
        throw Error(fmt::format("grammar rule '{}': '{}' without its partner", where_, c));
      } else if (c == '\\' && text_.substr(at_, 2) == "\\n") {
        plain += '\n';
        at_ += 2;
      } else {
        plain += c;
        ++at_;
      }
    }
    flush();
    return sequence;
  }

  GrammarNode ParseChoice() {
    GrammarNode node;
    node.kind = GrammarNode::Kind::kChoice;
    do {
      ++at_;  // '[' or '|'
      node.options.push_back(ParseUntil("|]"));
      if (at_ == text_.size()) throw Error(fmt::format("grammar rule '{}': '[' without ']'", where_));
    } while (text_[at_] == '|');
    ++at_;
    return node;
  }

  // Keeps the name in `text` until the rules are all known.
  GrammarNode ParseReference() {
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) throw Error(fmt::format("grammar rule '{}': '{{' without '}}'", where_));
    GrammarNode node;
    node.kind = GrammarNode::Kind::kReference;
    node.text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return node;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

// Cuts at `mark` outside of brackets.
std::vector<std::string_view> CutOutsideBrackets(std::string_view text, std::string_view mark) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']') --depth;
    if (depth == 0 && text.substr(i, mark.size()) == mark) {
      parts.push_back(text.substr(start, i - start));
      start = i + mark.size();
    }
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  for (size_t i = 0; i < line.size();) {
    const size_t end = std::min(line.find(' ', i), line.size());
    if (end > i) words.emplace_back(line.substr(i, end - i));
    i = end + 1;
  }
  return words;
}

GrammarRule ReadHeader(std::string_view line) {
  const std::vector<std::string> words = Words(line.substr(1));
  if (words.empty()) throw Error("grammar: a rule without a name");
  GrammarRule rule;
  const size_t at = words[0].find('@');
  rule.name = words[0].substr(0, at);
  if (at != std::string::npos) rule.variant = words[0].substr(at + 1);
  rule.columns = {""};
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "once") {
      rule.once = true;
    } else if (words[i] == "unique") {
      rule.unique = true;
    } else if (words[i] == "zipf") {
      rule.zipf = true;
    } else if (words[i][0] == '.') {
      rule.columns.push_back(words[i].substr(1));
    } else {
      throw Error(fmt::format("grammar rule '{}': unknown word '{}'", rule.name, words[i]));
    }
  }
  return rule;
}

void AddAlternatives(std::string_view line, GrammarRule& rule) {
  for (const std::string_view alternative : CutOutsideBrackets(line, "|")) {
    std::vector<GrammarSequence> columns;
    if (rule.columns.size() == 1) {
      columns.push_back(SequenceParser(alternative, rule.name).Parse());
    } else {
      for (const std::string_view column : CutOutsideBrackets(alternative, " / ")) {
        columns.push_back(SequenceParser(column, rule.name).Parse());
      }
    }
    if (columns.size() != rule.columns.size()) {
      throw Error(fmt::format("grammar rule '{}': '{}' has {} columns, not {}", rule.name, alternative, columns.size(),
                              rule.columns.size()));
    }
    rule.alternatives.push_back(std::move(columns));
  }
}

}  // namespace

int GrammarRule::FindColumn(std::string_view column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

Grammar::Grammar(const std::vector<std::string_view>& texts, const std::string& root) {
  for (const std::string_view text : texts) ReadRules(text);
  for (const GrammarRule& rule : rules_) {
    if (rule.alternatives.empty()) throw Error(fmt::format("grammar rule '{}' is empty", rule.name));
    const bool known = std::find(variants_.begin(), variants_.end(), rule.variant) != variants_.end();
    if (!rule.variant.empty() && !known) variants_.push_back(rule.variant);
  }
  if (variants_.empty()) variants_.emplace_back();
  root_ = FindRule(root, "");
  if (root_ < 0) throw Error(fmt::format("the grammar has no rule '{}'", root));
  ResolveReferences();
}

void Grammar::ReadRules(std::string_view text) {
  std::string pending;
  const auto flush = [&] {
    if (pending.empty()) return;
    if (pending[0] == ':') {
      rules_.push_back(ReadHeader(pending));
    } else if (rules_.empty()) {
      throw Error(fmt::format("grammar: '{}' stands before the first rule", pending));
    } else {
      AddAlternatives(pending, rules_.back());
    }
    pending.clear();
  };
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (line.empty() || line[0] != ' ') flush();
    pending += line;
  }
  flush();
}

int Grammar::FindRule(std::string_view name, const std::string& variant) const {
  int found = -1;
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].name != name) continue;
    if (rules_[i].variant == variant) return static_cast<int>(i);
    if (rules_[i].variant.empty()) found = static_cast<int>(i);
  }
  return found;
}

void Grammar::ResolveReferences() {
  std::vector<bool> used(rules_.size(), false);
  used[root_] = true;
  for (GrammarRule& rule : rules_) {
    for (auto& alternative : rule.alternatives) {
      for (GrammarSequence& column : alternative) Resolve(column, rule.name, used);
    }
  }
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (!used[i]) throw Error(fmt::format("grammar rule '{}' is never used", rules_[i].name));
  }
}

void Grammar::Resolve(GrammarSequence& sequence, const std::string& where, std::vector<bool>& used) {
  for (GrammarNode& node : sequence) {
    for (GrammarSequence& option : node.options) Resolve(option, where, used);
    if (node.kind != GrammarNode::Kind::kReference) continue;
    const size_t dot = node.text.find('.');
    const std::string name = node.text.substr(0, dot);
    const std::string column = dot == std::string::npos ? "" : node.text.substr(dot + 1);
    for (const std::string& variant : variants_) {
      const int rule = FindRule(name, variant);
      const int index = rule < 0 ? -1 : rules_[rule].FindColumn(column);
      if (index < 0) throw Error(fmt::format("grammar rule '{}': nothing is called '{}'", where, node.text));
      node.rules.push_back(rule);
      node.column = index;
      used[rule] = true;
    }
  }
}

}  // namespace flashlm
