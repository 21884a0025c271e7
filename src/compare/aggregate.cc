#include "compare/aggregate.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace flashlm {
namespace {

using RowsOfOne = std::vector<const ComparisonRow*>;

// By name, in the order in which the names come.
std::vector<RowsOfOne> RowsByRun(const std::vector<ComparisonRow>& rows) {
  std::vector<RowsOfOne> groups;
  for (const ComparisonRow& row : rows) {
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const RowsOfOne& group) { return group.front()->name == row.name; });
    (same == groups.end() ? groups.emplace_back() : *same).push_back(&row);
  }
  return groups;
}

template <class Figure>
double MeanOf(const RowsOfOne& rows, Figure figure) {
  double sum = 0;
  for (const ComparisonRow* row : rows) sum += static_cast<double>(figure(*row));
  return sum / static_cast<double>(rows.size());
}

Aggregate AggregateOf(const RowsOfOne& group) {
  Aggregate all;
  const ComparisonRow& first = *group.front();
  all.name = first.name;
  all.preset = first.preset;
  all.recipe = first.recipe;
  all.variant = first.variant;
  RowsOfOne done;
  std::vector<double> bits;
  for (const ComparisonRow* row : group) {
    if (row->failed()) {
      if (all.failed++ == 0) all.error = row->error;
      continue;
    }
    done.push_back(row);
    all.seeds.push_back(row->result.seed);
    bits.push_back(row->result.val_bits_per_byte);
  }
  if (done.empty()) return all;
  all.bits_per_byte = SpreadOf(bits);
  all.stderr_documents = MeanOf(done, [](const auto& r) { return r.result.stderr_bits_per_byte; });
  all.params = MeanOf(done, [](const auto& r) { return r.result.params; });
  all.ternary_share = MeanOf(done, [](const auto& r) { return r.ternary_share; });
  all.tokens = MeanOf(done, [](const auto& r) { return r.result.tokens; });
  all.seconds = MeanOf(done, [](const auto& r) { return r.result.seconds; });
  all.tok_per_sec = MeanOf(done, [](const auto& r) { return r.result.tok_per_sec; });
  all.peak_rss_mb = MeanOf(done, [](const auto& r) { return r.result.peak_rss_mb; });
  all.decode_tokens_per_s = MeanOf(done, [](const auto& r) { return r.decode_tokens_per_s; });
  return all;
}

using BitsOfSeeds = std::map<uint64_t, double>;

BitsOfSeeds BitsOf(const std::vector<ComparisonRow>& rows, const std::string& name) {
  BitsOfSeeds bits;
  for (const ComparisonRow& row : rows) {
    if (row.name == name && !row.failed()) bits[row.result.seed] = row.result.val_bits_per_byte;
  }
  return bits;
}

// Over the seeds that both have.
Verdict JudgePair(const BitsOfSeeds& own, const BitsOfSeeds& other, const std::string& against) {
  std::vector<double> mine, theirs;
  for (const auto& [seed, bits] : own) {
    const auto found = other.find(seed);
    if (found == other.end()) continue;
    mine.push_back(bits);
    theirs.push_back(found->second);
  }
  return Judge(mine, theirs, against);
}

}  // namespace

std::vector<Aggregate> AggregateRows(const std::vector<ComparisonRow>& rows) {
  std::vector<Aggregate> all;
  for (const RowsOfOne& group : RowsByRun(rows)) all.push_back(AggregateOf(group));
  const auto key = [](const Aggregate& one) {
    return std::isnan(one.bits_per_byte.mean) ? HUGE_VAL : one.bits_per_byte.mean;
  };
  std::stable_sort(all.begin(), all.end(), [&](const Aggregate& a, const Aggregate& b) {
    return a.without_result() != b.without_result() ? b.without_result() : key(a) < key(b);
  });
  for (size_t i = 0; i < all.size() && all.size() > 1; ++i) {
    const Aggregate& other = all[i == 0 ? 1 : 0];
    if (all[i].without_result() || other.without_result()) continue;
    all[i].verdict = JudgePair(BitsOf(rows, all[i].name), BitsOf(rows, other.name), other.name);
  }
  return all;
}

Json ToJson(const Aggregate& all) {
  Json json = {{"name", all.name}, {"preset", all.preset}, {"recipe", all.recipe}, {"variant", all.variant}};
  json["seeds"] = all.seeds;
  json["failed"] = all.failed;
  if (all.failed > 0) json["error"] = all.error;
  if (all.without_result()) return json;
  json["val_bits_per_byte"] = all.bits_per_byte.mean;
  json["stderr_seeds"] = all.bits_per_byte.error;
  json["stderr_documents"] = all.stderr_documents;
  json["params"] = all.params;
  json["ternary_share"] = all.ternary_share;
  json["tokens"] = all.tokens;
  json["seconds"] = all.seconds;
  json["tok_per_sec"] = all.tok_per_sec;
  json["peak_rss_mb"] = all.peak_rss_mb;
  json["decode_tokens_per_s"] = all.decode_tokens_per_s;
  json["verdict"] = all.verdict ? ToJson(*all.verdict) : Json();
  return json;
}

}  // namespace flashlm
