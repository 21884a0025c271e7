// A probabilistic grammar in text form, and what it means.
//
//   :NAME[@VARIANT] [once] [unique] [zipf] [.COLUMN ...]     starts a rule; one alternative per line or
//   between '|' first column / second column                             columns of one alternative text
//   [inner|alternatives] {rule} {rule.column} \n        inside an alternative; \n is a line break
//
// once: drawn at the first mention in a story and then remembered, column by column. unique: no alternative
// comes twice in a story. zipf: earlier alternatives are likelier, as words in a language are. @VARIANT: this
// rule stands in for NAME in stories of that variant only. A line that starts with a space continues the line
// before.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

struct GrammarNode;
using GrammarSequence = std::vector<GrammarNode>;

struct GrammarNode {
  enum class Kind { kText, kChoice, kReference };
  Kind kind = Kind::kText;
  std::string text;                      // kText
  std::vector<GrammarSequence> options;  // kChoice, equally likely
  std::vector<int> rules;                // kReference: the rule to expand, for each variant
  int column = 0;
};

struct GrammarRule {
  std::string name;
  std::string variant;  // "" for all
  bool once = false, unique = false, zipf = false;
  std::vector<std::string> columns;  // the first has no name
  std::vector<std::vector<GrammarSequence>> alternatives;

  // -1 if there is none.
  int FindColumn(std::string_view column) const;
};

class Grammar {
 public:
  // Throws Error naming the rule for syntax errors, unknown and never used rules, and rows that lack a
  // column. `root` is where stories start.
  Grammar(const std::vector<std::string_view>& texts, const std::string& root);

  const std::vector<GrammarRule>& rules() const { return rules_; }
  // The variants in use, at least one ("").
  const std::vector<std::string>& variants() const { return variants_; }
  int root() const { return root_; }

 private:
  void ReadRules(std::string_view text);
  void ResolveReferences();
  void Resolve(GrammarSequence& sequence, const std::string& where, std::vector<bool>& used);
  int FindRule(std::string_view name, const std::string& variant) const;

  std::vector<GrammarRule> rules_;
  std::vector<std::string> variants_;
  int root_ = -1;
};

}  // namespace flashlm
