#include "compare/comparison_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "compare/report_parts.h"
#include "report/chart_sheet.h"
#include "report/page.h"

namespace flashlm {
namespace {

// --- words --------------------------------------------------------------------------------------------------------

struct Column {
  const char* heading;
  std::string (*cell)(const Aggregate& row);
  bool words = false;  // not numbers
};

const Column kColumns[] = {
    {"seeds",
     [](const Aggregate& a) {
       const size_t done = a.seeds.size();
       return a.failed == 0 ? fmt::format("{}", done)
                            : fmt::format("{} of {}", done, done + static_cast<size_t>(a.failed));
     }},
    {"parameters", [](const Aggregate& a) { return Grouped(a.params); }},
    {"ternary", [](const Aggregate& a) { return fmt::format("{:.1f} %", 100 * a.ternary_share); }},
    {"tokens", [](const Aggregate& a) { return FormatCount(a.tokens); }},
    {"trained", [](const Aggregate& a) { return fmt::format("{:.0f} s", a.seconds); }},
    {"tokens/s", [](const Aggregate& a) { return Grouped(a.tok_per_sec); }},
    {"memory", [](const Aggregate& a) { return fmt::format("{:.0f} MB", a.peak_rss_mb); }},
    {"bits per byte", [](const Aggregate& a) { return fmt::format("{:.4f}", a.bits_per_byte.mean); }},
    {"± seeds",
     [](const Aggregate& a) { return a.bits_per_byte.count < 2 ? "" : fmt::format("{:.4f}", a.bits_per_byte.error); }},
    {"± documents",
     [](const Aggregate& a) { return a.stderr_documents > 0 ? fmt::format("{:.4f}", a.stderr_documents) : ""; }},
    {"decoded tokens/s", [](const Aggregate& a) { return Grouped(a.decode_tokens_per_s); }},
    {"verdict", [](const Aggregate& a) { return a.verdict ? ToString(*a.verdict) : ""; }, true},
};

std::string BudgetText(const Budget& budget) {
  return budget.kind == "time" ? FormatDuration(budget.amount) + " of training"
                               : FormatCount(budget.amount) + " " + budget.kind;
}

std::string RunText(const Comparison& comparison, const ComparisonRow& row) {
  return comparison.settings.seeds > 1 ? fmt::format("{}, seed {}", row.name, row.result.seed) : row.name;
}

// What is equal for all rows, and which models the figures are of.
std::string Circumstances(const Comparison& comparison) {
  const CompareSettings& settings = comparison.settings;
  std::string line = fmt::format("Each run: {} on {}, ", BudgetText(settings.budget), settings.data);
  line += settings.seeds > 1
              ? fmt::format("seeds {} to {}", settings.seed, settings.seed + static_cast<uint64_t>(settings.seeds) - 1)
              : fmt::format("seed {}", settings.seed);
  for (const std::string& set : settings.sets) line += ", " + set;
  std::string earlier;
  bool first = true;
  for (const ComparisonRow& row : comparison.rows) {
    if (row.failed()) continue;
    const RunResult& result = row.result;
    if (first) {
      line += fmt::format("; {}, {} threads, {}", result.cpu, result.threads, result.precision);
      line += settings.text.empty() ? "; bits per byte on the test part of its validation text"
                                    : "; bits per byte on " + settings.text;
      first = false;
    }
    if (result.measured_step != result.steps) {
      earlier += fmt::format("{}{} (step {} of {})", earlier.empty() ? "" : ", ", RunText(comparison, row),
                             result.measured_step, result.steps);
    }
  }
  line += ". Bits per byte, sample and decoding speed are those of each run's best model on the dev part";
  return line + (earlier.empty() ? "." : ", which is not the last one for " + earlier + ".");
}

// What the columns with a ± and the verdict mean.
std::string Reading(const Comparison& comparison) {
  std::string text = "± documents: standard error over the documents of the text, which another text would change";
  if (comparison.settings.seeds == 1) {
    return text + ". Nothing is known about other seeds: --seeds 3 trains with three.";
  }
  return text +
         fmt::format(
             " (mean over seeds). ± seeds: standard error of the mean over seeds, which other seeds would change. "
             "Verdicts compare a row with the best one, the best with the second, by their differences seed by seed "
             "(two-sided t-test, p < {}).",
             Verdict::kLevel);
}

// Said where not all runs were scored on the same documents: those of slow models are fewer.
std::string UnevenDocuments(const std::vector<ComparisonRow>& rows) {
  int64_t fewest = std::numeric_limits<int64_t>::max(), most = 0;
  for (const ComparisonRow& row : rows) {
    if (row.failed()) continue;
    fewest = std::min(fewest, row.result.documents_evaluated);
    most = std::max(most, row.result.documents_evaluated);
  }
  if (fewest >= most) return "";
  return fmt::format(
      "runs were scored on the first {} to {} documents, as train.eval_share left time for: --text FILE is read whole "
      "by all",
      fewest, most);
}

// One line for each variant: its settings; and for each run that failed where others of its row did not.
std::vector<std::string> Notes(const Comparison& comparison) {
  std::vector<std::string> notes;
  std::set<std::string> told;
  for (const Contender& contender : comparison.settings.contenders) {
    if (contender.variant.empty()) continue;
    const std::string sets =
        contender.sets.empty() ? "nothing changed" : fmt::format("{}", fmt::join(contender.sets, " "));
    const std::string note = contender.variant + ": " + sets;
    if (told.insert(note).second) notes.push_back(note);
  }
  if (const std::string uneven = UnevenDocuments(comparison.rows); !uneven.empty()) notes.push_back(uneven);
  for (const Aggregate& one : comparison.aggregates) {
    if (one.without_result() || one.failed == 0) continue;
    for (const ComparisonRow& row : comparison.rows) {
      if (row.name == one.name && row.failed()) {
        notes.push_back(fmt::format("{} failed: {}", RunText(comparison, row), row.error));
      }
    }
  }
  return notes;
}

// The run that a contender's sample is of: its first.
const ComparisonRow* SampleOf(const Comparison& comparison, const Aggregate& one) {
  for (const ComparisonRow& row : comparison.rows) {
    if (row.name == one.name && !row.failed()) return &row;
  }
  return nullptr;
}

// --- the page -----------------------------------------------------------------------------------------------------

// Bits per byte over tokens and over minutes: a curve for each run, in the colour of its contender.
std::string Curves(const Comparison& comparison, ChartSheet& sheet) {
  Chart chart{.unit = "bits per byte"};
  double best = HUGE_VAL;
  for (const Aggregate& one : comparison.aggregates) {
    const size_t owner = sheet.AddOwner(one.name);
    for (const ComparisonRow& row : comparison.rows) {
      if (row.name != one.name || row.curve.empty()) continue;
      const bool several = comparison.settings.seeds > 1;
      Series series{owner, several ? fmt::format("seed {}", row.result.seed) : "", {}, {}};
      for (const CurvePoint& point : row.curve) {
        series.at.push_back({0, std::llround(point.tokens), point.seconds});
        series.values.push_back(point.bits_per_byte);
      }
      best = std::min(best, series.values.back());
      chart.lines.push_back({sheet.AddSeries(series)});
    }
  }
  // Where the curves end is what is compared: the first steps would take most of the height.
  if (std::isfinite(best)) chart.highest = 3 * best;
  std::string html;
  for (const char* over : {"tokens", "minutes"}) {
    chart.title = fmt::format("Over {}", over);
    chart.over = over;
    html += sheet.AddChart(chart);
  }
  return html;
}

std::string TableHtml(const std::vector<Aggregate>& rows) {
  std::string html = "<div class=\"wide\"><table>\n<tr><th>run</th>";
  for (const Column& column : kColumns) html += fmt::format("<th>{}</th>", column.heading);
  html += "</tr>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    html += fmt::format("<tr><td><span class=\"swatch {}\"></span>{}</td>", StyleClass(i), ForHtml(rows[i].name));
    if (rows[i].without_result()) {
      html += fmt::format("<td class=\"words error\" colspan=\"{}\">failed: {}</td>", std::size(kColumns),
                          ForHtml(rows[i].error));
    } else {
      for (const Column& column : kColumns) {
        html += fmt::format("<td{}>{}</td>", column.words ? " class=\"words\"" : "", ForHtml(column.cell(rows[i])));
      }
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string ComparisonMarkdown(const Comparison& comparison) {
  std::string markdown = "| run |", rule = "|---|";
  for (const Column& column : kColumns) {
    markdown += fmt::format(" {} |", column.heading);
    rule += column.words ? "---|" : "---:|";
  }
  markdown += fmt::format("\n{}\n", rule);
  for (const Aggregate& row : comparison.aggregates) {
    markdown += fmt::format("| {} |", ForMarkdown(row.name));
    for (const Column& column : kColumns) {
      markdown += row.without_result()
                      ? (&column == kColumns ? fmt::format(" failed: {} |", ForMarkdown(row.error)) : " |")
                      : fmt::format(" {} |", ForMarkdown(column.cell(row)));
    }
    markdown += "\n";
  }
  markdown += fmt::format("\n{} {}\n", ForMarkdown(Circumstances(comparison)), ForMarkdown(Reading(comparison)));
  const std::vector<std::string> notes = Notes(comparison);
  if (!notes.empty()) markdown += "\n";
  for (const std::string& note : notes) markdown += fmt::format("- {}\n", ForMarkdown(note));
  for (const Aggregate& one : comparison.aggregates) {
    const ComparisonRow* row = SampleOf(comparison, one);
    if (row == nullptr) continue;
    markdown +=
        fmt::format("\n**{}**: *{}*{}\n", ForMarkdown(one.name), ForMarkdown(row->prompt), ForMarkdown(row->sample));
  }
  return markdown;
}

std::string ComparisonHtml(const Comparison& comparison) {
  std::string html = fmt::format("<h1>Comparison</h1>\n<p class=\"soft\">{}</p>\n", ForHtml(Circumstances(comparison)));
  html += TableHtml(comparison.aggregates);
  html += fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(Reading(comparison)));
  for (const std::string& note : Notes(comparison)) html += fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(note));
  ChartSheet sheet;
  const std::string curves = Curves(comparison, sheet);
  if (!curves.empty()) {
    html += "<h2>Bits per byte of the training text</h2>\n<div class=\"charts\">\n" + curves + "</div>\n";
  }
  html += "<h2>What they write</h2>\n";
  for (const Aggregate& one : comparison.aggregates) {
    const ComparisonRow* row = SampleOf(comparison, one);
    if (row == nullptr) continue;
    html += fmt::format("<b>{}</b><blockquote><i>{}</i>{}</blockquote>\n", ForHtml(one.name), ForHtml(row->prompt),
                        ForHtml(row->sample));
  }
  return PageHtml("comparison", html, ToText(sheet.Data()));
}

}  // namespace flashlm
