#include "report/run_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "base/progress.h"
#include "report/page.h"
#include "report/probes.h"
#include "report/run_progress.h"

namespace flashlm {
namespace {

constexpr size_t kMostDifferences = 100;

// A number as `format` writes it, nothing if it is not known.
template <class Format>
std::string Cell(double value, Format format) {
  return std::isfinite(value) ? format(value) : "";
}

std::string Decimals(double value, int digits) {
  return Cell(value, [&](double v) { return fmt::format("{:.{}f}", v, digits); });
}

double SecondsOf(const RunRecord& run) {
  const double seconds = NumberAt(run.results, "seconds");
  if (std::isfinite(seconds) || run.log.steps.moments().empty()) return seconds;
  return run.log.steps.moments().back().seconds;
}

double TokensOf(const RunRecord& run) {
  const double tokens = NumberAt(run.results, "tokens");
  if (std::isfinite(tokens) || run.log.steps.moments().empty()) return tokens;
  return static_cast<double>(run.log.steps.moments().back().tokens);
}

// Bits per byte on the dev part: the best evaluation's.
double BestOf(const RunRecord& run) {
  const double best = NumberAt(run.results, "best_bits_per_byte");
  const LogColumn* column = run.log.evaluations.Find("eval.bits_per_byte");
  if (std::isfinite(best) || column == nullptr) return best;
  double lowest = HUGE_VAL;
  for (const double value : column->values) lowest = std::isfinite(value) ? std::min(lowest, value) : lowest;
  return lowest;
}

std::string Plain(double value) {
  return Cell(value, [](double v) { return Grouped(v); });
}

struct Column {
  const char* heading;
  std::string (*cell)(const RunRecord& run);
  bool words = false;
};

const Column kColumns[] = {
    {"state", StateOf, true},
    {"architecture",
     [](const RunRecord& r) {
       const std::string name = TextAt(r.results, "architecture");
       return name.empty() ? TextAt(r.config, "model.architecture") : name;
     }},
    {"preset", [](const RunRecord& r) { return TextAt(r.config, "preset"); }},
    {"recipe", [](const RunRecord& r) { return TextAt(r.config, "recipe"); }},
    {"seed", [](const RunRecord& r) { return Plain(NumberAt(r.config, "seed")); }},
    {"parameters", [](const RunRecord& r) { return Plain(NumberAt(r.results, "params")); }},
    {"tokens", [](const RunRecord& r) { return Cell(TokensOf(r), FormatCount); }},
    {"epochs", [](const RunRecord& r) { return Decimals(NumberAt(r.results, "epochs"), 2); }},
    {"trained", [](const RunRecord& r) { return Cell(SecondsOf(r), FormatDuration); }},
    {"tokens/s", [](const RunRecord& r) { return Plain(TokensOf(r) / SecondsOf(r)); }},
    {"skipped steps",
     [](const RunRecord& r) { return r.log.skipped == 0 ? std::string() : fmt::format("{}", r.log.skipped); }},
    {"bits per byte", [](const RunRecord& r) { return Decimals(NumberAt(r.results, "val_bits_per_byte"), 4); }},
    {"± documents", [](const RunRecord& r) { return Decimals(NumberAt(r.results, "stderr"), 4); }},
    {"perplexity", [](const RunRecord& r) { return Decimals(NumberAt(r.results, "final_ppl"), 3); }},
    {"best on dev", [](const RunRecord& r) { return Decimals(BestOf(r), 4); }},
    {"memory",
     [](const RunRecord& r) {
       return Cell(NumberAt(r.results, "peak_rss_mb"), [](double v) { return fmt::format("{:.0f} MB", v); });
     }},
    {"where",
     [](const RunRecord& r) {
       if (!r.finished()) return std::string();
       return fmt::format("{}, {} threads, {}", TextAt(r.results, "cpu"), Plain(NumberAt(r.results, "threads")),
                          TextAt(r.results, "precision"));
     },
     true},
};

std::string Percent(double share) { return std::isfinite(share) ? fmt::format("{:.1f} %", 100 * share) : ""; }

std::string Interval(const ReportedProbe& probe) {
  return std::isfinite(probe.error) ? Percent(probe.low()) + " to " + Percent(probe.high()) : "";
}

void Flatten(const std::string& prefix, const Json& json, std::map<std::string, std::string>& settings) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) {
      Flatten(name, value, settings);
    } else {
      settings[name] = value.is_string() ? value.get<std::string>() : ToText(value);
    }
  }
}

// What a run is called in a table, with the colour of its curves.
std::string NameCell(const RunRecord& run, size_t index) {
  return fmt::format("<span class=\"swatch {}\"></span>{}", StyleClass(index), ForHtml(run.name));
}

}  // namespace

std::string StateOf(const RunRecord& run) {
  if (run.finished()) return "finished";
  const std::vector<Moment>& moments = run.log.steps.moments();
  if (moments.empty()) return "no step yet";
  const RunProgress progress = ProgressOf(run);
  const std::string state = fmt::format("unfinished: step {}", moments.back().step);
  return progress.budget.empty() ? state
                                 : state + fmt::format(", {:.0f} % of {}", 100 * progress.share, progress.budget);
}

std::string ResultsTable(std::span<const RunRecord> runs) {
  std::vector<const Column*> shown;  // that some run has something in
  for (const Column& column : kColumns) {
    if (std::any_of(runs.begin(), runs.end(), [&](const RunRecord& r) { return !column.cell(r).empty(); })) {
      shown.push_back(&column);
    }
  }
  std::string html = "<div class=\"wide\"><table>\n<tr><th>run</th>";
  for (const Column* column : shown) html += fmt::format("<th>{}</th>", column->heading);
  html += "</tr>\n";
  for (size_t i = 0; i < runs.size(); ++i) {
    html += fmt::format("<tr><td>{}</td>", NameCell(runs[i], i));
    for (const Column* column : shown) {
      html += fmt::format("<td{}>{}</td>", column->words ? " class=\"words\"" : "", ForHtml(column->cell(runs[i])));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string ProbesTable(std::span<const RunRecord> runs) {
  std::string rows;
  for (const std::string& category : ProbeCategories(runs)) {
    for (size_t i = 0; i < runs.size(); ++i) {
      const auto probe = ProbeOf(runs[i], category);
      if (!probe) continue;
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                          ForHtml(category), NameCell(runs[i], i), Percent(probe->accuracy), Interval(*probe),
                          Percent(probe->chance), Percent(probe->corrected()), Percent(probe->normalised));
      for (const char* control : {"untrained", "ngram", "no_context", "shuffled_context"}) {
        rows += fmt::format("<td>{}</td>", Percent(probe->Control(control)));
      }
      rows += fmt::format("<td>{}</td></tr>\n", Plain(probe->items));
    }
  }
  if (rows.empty()) return "";
  return "<div class=\"wide\"><table>\n<tr><th>category</th><th>run</th><th>accuracy</th><th>95 % interval</th>"
         "<th>chance</th><th>beyond chance</th><th>by length</th><th>untrained</th><th>n-grams</th>"
         "<th>no context</th><th>shuffled context</th><th>items</th></tr>\n" +
         rows + "</table></div>\n";
}

std::string DifferencesTable(std::span<const RunRecord> runs) {
  if (runs.size() < 2) return "";
  std::vector<std::map<std::string, std::string>> settings(runs.size());
  std::set<std::string> names;
  for (size_t i = 0; i < runs.size(); ++i) {
    Flatten("", runs[i].config, settings[i]);
    for (const auto& [name, value] : settings[i]) names.insert(name);
  }
  std::string rows;
  size_t count = 0;
  for (const std::string& name : names) {
    std::set<std::string> values;
    for (auto& one : settings) values.insert(one.contains(name) ? one[name] : "");
    if (values.size() < 2 || ++count > kMostDifferences) continue;
    rows += fmt::format("<tr><td>{}</td>", ForHtml(name));
    for (auto& one : settings) rows += fmt::format("<td>{}</td>", ForHtml(one.contains(name) ? one[name] : ""));
    rows += "</tr>\n";
  }
  if (rows.empty()) return "";
  std::string head = "<tr><th>setting</th>";
  for (size_t i = 0; i < runs.size(); ++i) head += fmt::format("<th>{}</th>", NameCell(runs[i], i));
  const std::string rest =
      count > kMostDifferences
          ? fmt::format("<p class=\"soft\">and {} settings more that differ</p>\n", count - kMostDifferences)
          : "";
  return "<div class=\"wide\"><table>\n" + head + "</tr>\n" + rows + "</table></div>\n" + rest;
}

}  // namespace flashlm
