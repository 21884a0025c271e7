// What a comparison holds: its settings, a row for each run, and what the seeds of a contender come to together.
// Written as comparison.json, read by the reports.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compare/aggregate.h"
#include "compare/row.h"
#include "train/config.h"
#include "train/family.h"

namespace flashlm {

// The preset or recipe of a .toml file goes by the name of the file.
std::string NameOfToml(const std::string& name);

// What is trained, with one seed or several: a preset, a recipe, and settings on top.
struct Contender {
  std::string preset;             // name, or path of a .toml file
  std::string recipe;             // likewise; "": the preset's own
  std::string variant;            // what `sets` are called; "": there are none
  std::vector<std::string> sets;  // section.key=value, after those of all contenders

  // PRESET, PRESET+RECIPE, PRESET+VARIANT or PRESET+RECIPE+VARIANT, as a file can be called: what its rows are named.
  std::string Name() const;
  bool operator==(const Contender&) const = default;
};

// What is equal for all contenders, and who they are (settings.json).
struct CompareSettings {
  std::string data, data_fingerprint;  // as in RunConfig
  std::string text, text_sha256;       // evaluated at the end; "": the test part of the data's validation text
  Budget budget;
  uint64_t seed = 1;  // each contender is trained with `seeds` of them: seed, seed + 1, ...
  int seeds = 1;
  std::vector<std::string> sets;
  // Of matrix products, measured once, so that all runs get the same.
  std::string train_precision, train_products, train_update_products, decode_precision;
  std::map<std::string, SizeChoice> sizes;  // what takes a family's place, by the family's name
  std::vector<Contender> contenders;
};
Json ToJson(const CompareSettings& settings);
// Throws Error for settings of another version: its figures do not compare with this one's.
CompareSettings CompareSettingsFromJson(const Json& json, const std::string& where);

struct Comparison {
  CompareSettings settings;
  std::vector<ComparisonRow> rows;    // one for each run: in the order of `aggregates`, then by seed
  std::vector<Aggregate> aggregates;  // one for each contender: best first, failures last
};
// `rows` may be in any order.
Comparison Conclude(CompareSettings settings, std::vector<ComparisonRow> rows);
Json ToJson(const Comparison& comparison);

}  // namespace flashlm
