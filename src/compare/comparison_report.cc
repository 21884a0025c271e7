#include "compare/comparison_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "base/progress.h"

namespace flashlm {
namespace {

// --- words --------------------------------------------------------------------------------------------------------

// 6566400 -> "6,566,400".
std::string Grouped(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

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
    {"± documents", [](const Aggregate& a) { return fmt::format("{:.4f}", a.stderr_documents); }},
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

// A table's cell and a paragraph are one line; a bar would end a cell.
std::string ForMarkdown(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '*' || c == '_' || c == '`') line += '\\';
    line += c == '\n' ? ' ' : c;
  }
  return line;
}

std::string ForHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// --- loss curves --------------------------------------------------------------------------------------------------

// In the units of the SVG's viewBox: at this size its letters are readable on a phone too.
constexpr double kWidth = 480, kHeight = 320, kLeft = 44, kRight = 8, kTop = 10, kBottom = 34;

struct Range {
  double low = HUGE_VAL, high = -HUGE_VAL;
  void Include(double v) {
    if (!std::isfinite(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
};

// 1, 2 or 5 times a power of ten, about a fifth of the range.
double TickStep(double span) {
  const double raw = span / 5, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

std::string TickText(double value, double step) {
  if (value >= 1e6) return fmt::format("{:g} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:g} k", value / 1e3);
  return fmt::format("{:.{}f}", value, std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 3));
}

// Colours tell eight apart, dashes the rest.
std::string StyleClass(size_t index) {
  static constexpr const char* kDashes[] = {"", " d1", " d2", " d3"};
  return fmt::format("c{}{}", index % 8, kDashes[index / 8 % 4]);
}

class Chart {
 public:
  Chart(const std::vector<ComparisonRow>& rows, double CurvePoint::*key, double unit, std::string axis)
      : key_(key), unit_(unit), axis_(std::move(axis)) {
    x_.Include(0);
    double best = HUGE_VAL;
    for (const ComparisonRow& row : rows) {
      for (const CurvePoint& point : row.curve) {
        x_.Include(X(point));
        y_.Include(point.bits_per_byte);
      }
      if (!row.curve.empty()) best = std::min(best, row.curve.back().bits_per_byte);
    }
    // Where the curves end is what is compared: the first steps would take most of the height.
    if (std::isfinite(best)) y_.high = std::min(y_.high, 3 * best);
    empty_ = !(x_.high > x_.low) || !(y_.high > y_.low);
  }

  // A line for each run, in the style of its contender.
  std::string Svg(const Comparison& comparison) const {
    if (empty_) return "";
    std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bits per byte over {}\">\n",
                                  kWidth, kHeight, axis_);
    svg += Grid();
    for (size_t i = 0; i < comparison.aggregates.size(); ++i) {
      for (const ComparisonRow& row : comparison.rows) {
        if (row.name == comparison.aggregates[i].name && !row.curve.empty())
          svg += Line(row, RunText(comparison, row), i);
      }
    }
    return svg + "</svg>\n";
  }

 private:
  double X(const CurvePoint& point) const { return point.*key_ / unit_; }
  double PixelX(double x) const { return kLeft + (kWidth - kLeft - kRight) * (x - x_.low) / (x_.high - x_.low); }
  double PixelY(double y) const { return kTop + (kHeight - kTop - kBottom) * (y_.high - y) / (y_.high - y_.low); }

  std::string Grid() const {
    std::string svg;
    const double step_x = TickStep(x_.high - x_.low), step_y = TickStep(y_.high - y_.low);
    for (double y = std::ceil(y_.low / step_y) * step_y; y <= y_.high; y += step_y) {
      svg += fmt::format(
          "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" class=\"right\">{}</text>\n", kLeft,
          PixelY(y), kWidth - kRight, kLeft - 5, PixelY(y) + 4, TickText(y, step_y));
    }
    for (double x = 0; x <= x_.high; x += step_x) {
      svg += fmt::format(
          "<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" class=\"middle\">{4}</text>\n",
          PixelX(x), kTop, kHeight - kBottom, kHeight - kBottom + 15, TickText(x, step_x));
    }
    return svg + fmt::format("<text x=\"{}\" y=\"{}\" class=\"middle\">{}</text>\n", kLeft + (kWidth - kLeft) / 2,
                             kHeight - 3, axis_);
  }

  std::string Line(const ComparisonRow& row, const std::string& title, size_t index) const {
    std::string path;
    for (const CurvePoint& point : row.curve) {
      const double y = point.bits_per_byte;
      if (!std::isfinite(y) || !std::isfinite(X(point)) || y > y_.high) continue;
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", PixelX(X(point)), PixelY(y));
    }
    return fmt::format("<path class=\"line {}\" d=\"{}\"><title>{}</title></path>\n", StyleClass(index), path,
                       ForHtml(title));
  }

  double CurvePoint::*key_;
  double unit_;
  std::string axis_;
  Range x_, y_;
  bool empty_ = true;
};

// --- the page -----------------------------------------------------------------------------------------------------

constexpr char kHead[] = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FlashLM: comparison</title>
<style>
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --soft: #667; --rule: #d8dbe0;
  --c0: #1f6fd0; --c1: #d1551b; --c2: #1d8a4a; --c3: #a036b5; --c4: #a87b00; --c5: #c2255c; --c6: #0b8793; --c7: #6b5b4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --soft: #9aa3ad; --rule: #343a42;
  --c0: #6aaeff; --c1: #ff9a5c; --c2: #5fd08c; --c3: #d98cf0; --c4: #e3bd4a; --c5: #ff7fa8; --c6: #4fd0dc; --c7: #bfae9f; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
td.words { text-align: left; white-space: normal; min-width: 14rem; } .error { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; } svg.key { width: 1.8rem; height: .8rem; margin-right: .4rem; }
svg text { font-size: 12px; fill: var(--soft); } .right { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--rule); fill: none; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); } .c7 { stroke: var(--c7); }
.d1 { stroke-dasharray: 6 3; } .d2 { stroke-dasharray: 2 3; } .d3 { stroke-dasharray: 8 3 2 3; }
blockquote { margin: .3rem 0 1rem; padding-left: .8rem; border-left: 3px solid var(--rule); white-space: pre-wrap; }
</style>
</head>
<body>
<h1>Comparison</h1>
)";

std::string TableHtml(const std::vector<Aggregate>& rows) {
  std::string html = "<div class=\"wide\"><table>\n<tr><th>run</th>";
  for (const Column& column : kColumns) html += fmt::format("<th>{}</th>", column.heading);
  html += "</tr>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    html += fmt::format(
        "<tr><td><svg class=\"key\" viewBox=\"0 0 28 12\"><path class=\"line {}\" d=\"M0 6H28\"/></svg>{}</td>",
        StyleClass(i), ForHtml(rows[i].name));
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
  std::string html = kHead;
  html += fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(Circumstances(comparison)));
  html += TableHtml(comparison.aggregates);
  html += fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(Reading(comparison)));
  for (const std::string& note : Notes(comparison)) html += fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(note));
  html += "<h2>Bits per byte of the training text</h2>\n<div class=\"charts\">\n";
  html += Chart(comparison.rows, &CurvePoint::tokens, 1, "tokens").Svg(comparison);
  html += Chart(comparison.rows, &CurvePoint::seconds, 60, "minutes").Svg(comparison);
  html += "</div>\n<h2>What they write</h2>\n";
  for (const Aggregate& one : comparison.aggregates) {
    const ComparisonRow* row = SampleOf(comparison, one);
    if (row == nullptr) continue;
    html += fmt::format("<b>{}</b><blockquote><i>{}</i>{}</blockquote>\n", ForHtml(one.name), ForHtml(row->prompt),
                        ForHtml(row->sample));
  }
  return html + "</body>\n</html>\n";
}

}  // namespace flashlm
