#include "audit/audit_report.h"

#include <flashlm/version.h>

#include <algorithm>
#include <cmath>

#include "audit/audit_figures.h"
#include "base/error.h"
#include "base/progress.h"
#include "report/page.h"

namespace flashlm {
namespace {

const AuditCase& CaseOf(const AuditResult& result) {
  const std::vector<AuditCase>& cases = AuditCases();
  const auto at = std::find_if(cases.begin(), cases.end(), [&](const AuditCase& c) { return c.name == result.name; });
  FLASHLM_CHECK(at != cases.end(), "no case '{}'", result.name);
  return *at;
}

double LnVocab() { return std::log(ToyTask::kVocab); }

Json ToJson(const Reading& reading, const std::string& prefix) {
  return {{prefix + "perplexity", std::exp(reading.nats_per_token)},
          {prefix + "nats_per_token", reading.nats_per_token},
          {prefix + "bits_per_byte", reading.bits_per_byte},
          {prefix + "stderr_bits_per_byte", reading.stderr_bits_per_byte},
          {prefix + "tokens_scored", reading.tokens},
          {prefix + "bytes_scored", reading.bytes}};
}

Reading ReadingFromJson(const Json& json, const std::string& prefix) {
  return {json.at(prefix + "nats_per_token").get<double>(), json.at(prefix + "bits_per_byte").get<double>(),
          json.at(prefix + "stderr_bits_per_byte").get<double>(), json.at(prefix + "tokens_scored").get<int64_t>(),
          json.at(prefix + "bytes_scored").get<int64_t>()};
}

// A column of the table after the first, which has the model's title.
struct Column {
  std::string heading;
  std::string (*cell)(const AuditResult&);
  bool words = false;
};

const std::vector<Column>& Columns() {
  static const std::vector<Column> columns = {
      {"published in", [](const AuditResult& r) { return CaseOf(r).published; }, true},
      {"it reports: perplexity",
       [](const AuditResult& r) { return fmt::format("{:.2f}", std::exp(r.reported.nats_per_token)); }},
      {"true perplexity", [](const AuditResult& r) { return fmt::format("{:.2f}", std::exp(r.truth.nats_per_token)); }},
      {"it reports: bits per byte",
       [](const AuditResult& r) { return fmt::format("{:.3f}", r.reported.bits_per_byte); }},
      {"true bits per byte",
       [](const AuditResult& r) {
         return fmt::format("{:.3f} ± {:.3f}", r.truth.bits_per_byte, r.truth.stderr_bits_per_byte);
       }},
      {fmt::format("random tokens (ln {} = {:.3f})", ToyTask::kVocab, LnVocab()),
       [](const AuditResult& r) { return fmt::format("{:.3f}{}", r.random.nats, r.below_chance() ? ": a leak" : ""); }},
      {"the future moves the past by",
       [](const AuditResult& r) { return r.leak == 0 ? "0" : fmt::format("{:.2g}", r.leak); }},
      {"0 1 2 3 goes on", [](const AuditResult& r) { return fmt::format("{}", fmt::join(r.counted, " ")); }, true},
  };
  return columns;
}

// What is equal for all rows.
std::string Circumstances(const Audit& audit) {
  const AuditPlan& plan = audit.plan;
  const AuditResult& first = audit.results.front();
  return fmt::format(
      "Each model: {} parameters, the same {} tokens in the same order ({}), scored on {} tokens of held-out text; {} "
      "steps on random tokens. All of it planned for {} on {}; flashlm {}.",
      Grouped(static_cast<double>(first.parameters)), FormatCount(static_cast<double>(first.tokens)), audit.source,
      Grouped(static_cast<double>(first.truth.tokens)), plan.random_steps, FormatDuration(plan.seconds), audit.machine,
      Version());
}

constexpr char kReading[] =
    "It reports: every sequence in one pass, against the target that it was trained on, as the published code "
    "evaluated. True: the next token after each prefix, of which the model is given nothing else (± standard error "
    "over "
    "sequences). Random tokens: training loss in nats where nothing can be predicted; who is below the logarithm of "
    "their number has seen them. The future moves the past by: the largest change of a log-probability when a later "
    "token is changed. 0 1 2 3 goes on: what a small model writes that has learnt to count from 0 to 15.";

std::string TableHtml(const Audit& audit) {
  std::string html = "<div class=\"wide\"><table>\n<tr><th>model</th>";
  for (const Column& column : Columns()) html += fmt::format("<th>{}</th>", ForHtml(column.heading));
  html += "</tr>\n";
  for (size_t i = 0; i < audit.results.size(); ++i) {
    const AuditResult& result = audit.results[i];
    html +=
        fmt::format("<tr><td><span class=\"swatch {}\"></span>{}</td>", StyleClass(i), ForHtml(CaseOf(result).title));
    for (const Column& column : Columns()) {
      html += fmt::format("<td{}>{}</td>", column.words ? " class=\"words\"" : "", ForHtml(column.cell(result)));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

}  // namespace

bool AuditResult::below_chance() const { return random.nats < LnVocab() - ToyTask::kMargin; }

bool AuditResult::counts() const {
  for (size_t i = 0; i < counted.size(); ++i) {
    if (counted[i] != static_cast<int32_t>((4 + i) % ToyTask::kCycle)) return false;
  }
  return true;
}

std::vector<std::string> AuditResult::CaughtBy() const {
  std::vector<std::string> tests;
  if (below_chance()) tests.emplace_back("random tokens");
  if (leak > 0) tests.emplace_back("causality");
  if (!counts()) tests.emplace_back("counting");
  return tests;
}

Json ToJson(const AuditResult& result) {
  const AuditCase& one = CaseOf(result);
  Json json = {{"name", one.name},
               {"title", one.title},
               {"published", one.published},
               {"defects", one.defects.Names()},
               {"parameters", result.parameters},
               {"tokens", result.tokens},
               {"training_seconds", result.seconds}};
  json.update(ToJson(result.reported, "reported_"));
  json["reported_target_offset"] = result.reported_offset;
  json.update(ToJson(result.truth, "true_"));
  json.update({{"random_nats", result.random.nats},
               {"random_steps", result.random.steps},
               {"random_below_chance", result.below_chance()},
               {"leak", result.leak},
               {"counted", result.counted},
               {"counts", result.counts()},
               {"caught_by", result.CaughtBy()},
               {"prompt", result.prompt},
               {"sample", result.sample},
               {"curve", ToJson(result.curve)},
               {"random_curve", ToJson(result.random.curve)}});
  return json;
}

AuditResult AuditResultFromJson(const Json& json, const std::string& where) {
  try {
    AuditResult result;
    result.name = json.at("name").get<std::string>();
    CaseOf(result);
    result.parameters = IntegerAt(json, "parameters");
    result.tokens = IntegerAt(json, "tokens");
    result.seconds = json.at("training_seconds").get<double>();
    result.reported = ReadingFromJson(json, "reported_");
    result.reported_offset = static_cast<int>(IntegerAt(json, "reported_target_offset"));
    result.truth = ReadingFromJson(json, "true_");
    result.random.nats = json.at("random_nats").get<double>();
    result.random.steps = static_cast<int>(IntegerAt(json, "random_steps"));
    result.random.curve = LossCurveFromJson(json.at("random_curve"));
    result.leak = json.at("leak").get<double>();
    result.counted = json.at("counted").get<std::vector<int32_t>>();
    result.prompt = json.at("prompt").get<std::string>();
    result.sample = json.at("sample").get<std::string>();
    result.curve = LossCurveFromJson(json.at("curve"));
    return result;
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' is damaged: {}", where, e.what()), "remove it: that model is then measured again");
  }
}

Json ToJson(const Audit& audit) {
  Json rows = Json::array();
  for (const AuditResult& result : audit.results) rows.push_back(ToJson(result));
  return {{"version", Version()},
          {"plan", ToJson(audit.plan)},
          {"source", audit.source},
          {"machine", audit.machine},
          {"random", {{"vocab", ToyTask::kVocab}, {"length", ToyTask::kLength}, {"ln_vocab", LnVocab()}}},
          {"rows", rows}};
}

std::string AuditMarkdown(const Audit& audit) {
  std::string markdown = "| model |", rule = "|---|";
  for (const Column& column : Columns()) {
    markdown += fmt::format(" {} |", ForMarkdown(column.heading));
    rule += column.words ? "---|" : "---:|";
  }
  markdown += fmt::format("\n{}\n", rule);
  for (const AuditResult& result : audit.results) {
    markdown += fmt::format("| {} |", ForMarkdown(CaseOf(result).title));
    for (const Column& column : Columns()) markdown += fmt::format(" {} |", ForMarkdown(column.cell(result)));
    markdown += "\n";
  }
  markdown += "\n![Bits per byte that each model reports, and the true ones](audit.svg)\n";
  markdown += fmt::format("\n{}\n\n{}\n", ForMarkdown(Circumstances(audit)), ForMarkdown(kReading));
  for (const AuditResult& result : audit.results) {
    markdown += fmt::format("\n**{}**: *{}*{}\n", ForMarkdown(CaseOf(result).title), ForMarkdown(result.prompt),
                            ForMarkdown(result.sample));
  }
  return markdown;
}

std::string AuditHtml(const Audit& audit) {
  std::string html = fmt::format("<h1>Audit</h1>\n<p class=\"soft\">{}</p>\n", ForHtml(Circumstances(audit)));
  html += TableHtml(audit) + fmt::format("<p class=\"soft\">{}</p>\n", ForHtml(kReading));
  ChartSheet sheet;
  html += "<div class=\"charts\">\n" + AuditCharts(audit, sheet) + "</div>\n<h2>What they write</h2>\n";
  html += "<div class=\"samples\">\n";
  for (size_t i = 0; i < audit.results.size(); ++i) {
    const AuditResult& result = audit.results[i];
    html += fmt::format(
        "<section><h3><span class=\"swatch {}\"></span>{}</h3>\n<blockquote><i>{}</i>{}</blockquote></section>\n",
        StyleClass(i), ForHtml(CaseOf(result).title), ForHtml(result.prompt), ForHtml(result.sample));
  }
  html += "</div>\n<noscript><p>The charts need JavaScript; the table does not.</p></noscript>\n";
  return PageHtml("audit", html, ToText(sheet.Data()));
}

}  // namespace flashlm
