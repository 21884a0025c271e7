#include "report/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "report/page.h"
#include "report/probes.h"
#include "report/run_progress.h"
#include "report/run_tables.h"

namespace flashlm {
namespace {

// Points of all runs in a chart: more than a screen can show, and few enough that the page stays small.
constexpr size_t kPointsOfChart = 6000, kMostPoints = 1000, kFewestPoints = 60;
constexpr size_t kPointsToMeans = 4;     // so many steps drawn behind a mean line for one of its points
constexpr size_t kMostOfConfig = 20000;  // bytes

// Columns that have charts of their own, and those that are no curve: places, clocks, what follows from others.
constexpr std::string_view kKnown[] = {"step",         "eval_step",   "phase",           "tokens",
                                       "seconds",      "epoch",       "step_ms",         "lr",
                                       "lr_factor",    "grad_norm",   "bits_per_byte",   "cross_entropy",
                                       "tokens_per_s", "step_tokens", "sequence_length", "seconds_evaluating"};
constexpr std::string_view kTernary[] = {"ternary"};
// Words in the names of what says where tokens go in a model, and how often.
constexpr std::string_view kRouting[] = {"depth", "rout", "expert", "operation", "gate",
                                         "slot",  "halt", "ponder", "memory",    "ngram_weight"};

bool HasAny(std::string_view name, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return name.find(word) != std::string_view::npos; });
}

bool IsKnown(std::string_view name) {
  return std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown) || name.starts_with("eval.") ||
         name.starts_with("eval_raw.");
}

std::string Words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// "2: operations", where the configuration names it, or "phase 2".
std::string NameOf(const LoggedPhase& phase, const Json& config) {
  const Json phases = config.value("phases", Json());
  const auto index = static_cast<size_t>(phase.number - 1);
  const std::string name = phases.is_array() && index < phases.size() ? TextAt(phases[index], "name") : "";
  return name.empty() ? fmt::format("phase {}", phase.number) : fmt::format("{}: {}", phase.number, name);
}

class Report {
 public:
  explicit Report(std::span<const RunRecord> runs) : runs_(runs) {
    most_ = std::clamp(kPointsOfChart / std::max<size_t>(1, runs.size()), kFewestPoints, kMostPoints);
    for (size_t owner = 0; owner < runs.size(); ++owner) {
      sheet_.AddOwner(runs[owner].name);
      for (const LoggedPhase& phase : runs[owner].log.phases) {
        sheet_.AddBand({owner, NameOf(phase, runs[owner].config), phase.begin, phase.end});
      }
    }
    Losses("Bits per byte", "bits per byte", "bits_per_byte", "eval.bits_per_byte");
    Losses("Loss", "nats per token", "cross_entropy", "eval.nats_per_token");
    Optimisation();
    Others();
    Probes();
    Samples();
    Settings();
  }

  std::string Title() const { return runs_.size() == 1 ? runs_[0].name : fmt::format("{} runs", runs_.size()); }
  const Json& ChartData() const { return sheet_.Data(); }

  // `top`: HTML below the heading.
  std::string Body(const std::string& top) const {
    std::string body = fmt::format("<h1>{}</h1>\n{}", ForHtml(Title()), top);
    body += Notes() + "<h2>Results</h2>\n" + ResultsTable(runs_);
    body +=
        "<p class=\"soft\">Bits per byte and perplexity are the last model's on the test part of the validation text, "
        "± documents their standard error; best on dev is what the best model was chosen by. Of an unfinished run the "
        "figures are those so far.</p>\n";
    body += Key() + sections_;
    return body + "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n";
  }

  Json ForPrograms() const {
    Json runs = Json::array();
    for (const RunRecord& run : runs_) {
      Json one = {{"name", run.name}, {"folder", run.folder}, {"finished", run.finished()}, {"state", StateOf(run)}};
      one["notes"] = run.notes;
      one["results"] = run.results;
      one["probes"] = run.probes;
      runs.push_back(std::move(one));
    }
    return {{"runs", runs}, {"charts", sheet_.Data()}};
  }

 private:
  void Section(const std::string& title, const std::string& content) {
    if (!content.empty()) sections_ += fmt::format("<h2>{}</h2>\n{}", ForHtml(title), content);
  }
  void Charts(const std::string& title, const std::string& charts) {
    if (!charts.empty()) Section(title, "<div class=\"charts\">\n" + charts + "</div>\n");
  }

  // Every step of a column and their means.
  void AddNoisy(const Series& steps, std::vector<ChartLine>& lines) {
    if (steps.values.empty()) return;
    const Series means = Means(steps, most_ / kPointsToMeans);
    if (means.values.size() < steps.values.size()) {
      lines.push_back({sheet_.AddSeries(Thinned(steps, most_)), LineStyle::kFaint});
    }
    lines.push_back({sheet_.AddSeries(means)});
  }

  // Over tokens and over time, so that models of different speed are compared both ways.
  void Losses(const std::string& title, const std::string& unit, std::string_view training, std::string_view dev) {
    Chart chart{.unit = unit};
    double last = HUGE_VAL, highest = -HUGE_VAL;
    for (size_t owner = 0; owner < runs_.size(); ++owner) {
      const RunLogFile& log = runs_[owner].log;
      const Series steps = log.steps.Of(training, owner, "training");
      AddNoisy(steps, chart.lines);
      const Series means = Means(steps, most_ / kPointsToMeans);
      if (!means.values.empty()) last = std::min(last, means.values.back());
      for (const double value : steps.values) highest = std::max(highest, value);
      const Series evaluations = log.evaluations.Of(dev, owner, "dev part");
      if (evaluations.values.empty()) continue;
      chart.lines.push_back({sheet_.AddSeries(Thinned(evaluations, most_)), LineStyle::kPoints});
    }
    // Where the curves end is what is compared: the first steps would take most of the height.
    if (3 * last < highest) chart.highest = 3 * last;
    std::string charts;
    for (const char* over : {"tokens", "minutes"}) {
      chart.title = fmt::format("{} over {}", title, over);
      chart.over = over;
      charts += sheet_.AddChart(chart);
    }
    Charts(title, charts);
  }

  std::string Noisy(const std::string& title, const std::string& unit, std::string_view column, bool logarithmic) {
    Chart chart{.title = title, .unit = unit, .logarithmic = logarithmic};
    for (size_t owner = 0; owner < runs_.size(); ++owner) {
      AddNoisy(runs_[owner].log.steps.Of(column, owner, ""), chart.lines);
    }
    return sheet_.AddChart(chart);
  }

  // What is set, not measured: each value counts.
  std::string Planned(const std::string& title, const std::string& unit, std::string_view column) {
    Chart chart{.title = title, .unit = unit};
    for (size_t owner = 0; owner < runs_.size(); ++owner) {
      const Series series = runs_[owner].log.steps.Of(column, owner, "");
      if (!series.values.empty()) chart.lines.push_back({sheet_.AddSeries(Thinned(series, most_))});
    }
    return sheet_.AddChart(chart);
  }

  // Whether it changes in a run, or differs between runs.
  bool Varies(std::string_view column) const {
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (const RunRecord& run : runs_) {
      const LogColumn* found = run.log.steps.Find(column);
      if (found == nullptr) continue;
      for (const double value : found->values) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
    return low < high;
  }

  void Optimisation() {
    std::string charts = Planned("Learning rate", "", "lr") + Noisy("Gradient norm", "", "grad_norm", true) +
                         Noisy("Throughput", "tokens per second", "tokens_per_s", false);
    if (Varies("sequence_length")) charts += Planned("Sequence length", "tokens", "sequence_length");
    if (Varies("step_tokens")) charts += Planned("Tokens of a step", "tokens", "step_tokens");
    Charts("Optimisation", charts);
  }

  // Whatever else the lines of the runs have: a chart for each name, with a curve for each part of it ("depth.3").
  void Others() {
    std::vector<std::string> names;
    std::map<std::string, Chart> charts;
    for (size_t owner = 0; owner < runs_.size(); ++owner) {
      for (const LogTable* table : {&runs_[owner].log.steps, &runs_[owner].log.evaluations}) {
        for (const LogColumn& column : table->columns()) AddOther(*table, column, owner, names, charts);
      }
    }
    std::string ternary, routing, rest;
    for (const std::string& name : names) {
      std::string& html = HasAny(name, kTernary) ? ternary : HasAny(name, kRouting) ? routing : rest;
      html += sheet_.AddChart(charts[name]);
    }
    Charts("Beside the loss", rest);
    Charts("Ternary weights", ternary);
    Charts("Routing and depth", routing);
  }

  void AddOther(const LogTable& table, const LogColumn& column, size_t owner, std::vector<std::string>& names,
                std::map<std::string, Chart>& charts) {
    const size_t dot = column.name.rfind('.');
    const bool idle = dot == std::string::npos && std::all_of(column.values.begin(), column.values.end(),
                                                              [](double v) { return !std::isfinite(v) || v == 0; });
    if (idle || IsKnown(column.name)) return;
    const std::string name = column.name.substr(0, dot);
    const std::string part = dot == std::string::npos ? "" : column.name.substr(dot + 1);
    if (!charts.contains(name)) {
      names.push_back(name);
      charts[name].title = Words(name);
    }
    const Series means = Means(table.Of(column.name, owner, Words(part)), most_ / kPointsToMeans);
    charts[name].lines.push_back({sheet_.AddSeries(means)});
  }

  static BarChart::Bar BarOf(const ReportedProbe& probe) {
    return {100 * probe.accuracy, 100 * probe.low(), 100 * probe.high(), 100 * probe.chance};
  }

  // A category that has difficulties: accuracy by them.
  std::string ByK(const std::string& category) {
    BarChart chart{.title = Words(category) + " by difficulty", .unit = "%"};
    std::vector<std::map<int64_t, ReportedProbe>> probes;
    std::set<int64_t> all;
    for (const RunRecord& run : runs_) {
      probes.push_back(ProbesByK(run, category));
      for (const auto& [k, probe] : probes.back()) all.insert(k);
    }
    for (const int64_t k : all) chart.groups.push_back(fmt::format("k = {}", k));
    for (const auto& of_run : probes) {
      std::vector<BarChart::Bar>& bars = chart.bars.emplace_back();
      for (const int64_t k : all) bars.push_back(of_run.contains(k) ? BarOf(of_run.at(k)) : BarChart::Bar{});
    }
    return sheet_.AddBars(chart);
  }

  void Probes() {
    BarChart chart{.title = "Accuracy by category", .unit = "%"};
    const std::vector<std::string> categories = ProbeCategories(runs_);
    for (const std::string& category : categories) chart.groups.push_back(Words(category));
    for (const RunRecord& run : runs_) {
      std::vector<BarChart::Bar>& bars = chart.bars.emplace_back();
      for (const std::string& category : categories) {
        const std::optional<ReportedProbe> probe = ProbeOf(run, category);
        bars.push_back(probe ? BarOf(*probe) : BarChart::Bar{});
      }
    }
    const std::string table = ProbesTable(runs_);
    if (table.empty()) return;
    std::string charts = sheet_.AddBars(chart);
    for (const std::string& category : categories) charts += ByK(category);
    Charts("Probes", charts);
    sections_ +=
        table +
        "<p class=\"soft\">Whiskers: 95 % intervals; dotted: chance. Beyond chance is (accuracy - chance) / (1 "
        "- chance). By length: endings scored by their mean over their length. Controls, which should be near "
        "chance: an untrained model, n-grams, the question without its context, and with the context "
        "shuffled.</p>\n" +
        ProbesRead();
  }

  // What was asked is to be read beside what was trained on.
  std::string ProbesRead() const {
    std::string text;
    for (const RunRecord& run : runs_) {
      const std::optional<double> share = ShareOfProbesRead(run);
      if (!share) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", ForHtml(run.name),
                          *share > 0 ? fmt::format("{:.1f} %", 100 * *share) : "none");
    }
    return text.empty() ? "" : "<p class=\"soft\">Texts of probes among the training tokens: " + text + ".</p>\n";
  }

  void Samples() {
    std::string html;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const RunRecord& run = runs_[i];
      if (run.samples.empty()) continue;
      const auto text = [](const RunSample& sample) {
        return fmt::format("<p class=\"soft\">step {}</p>\n<blockquote>{}</blockquote>\n", sample.step,
                           ForHtml(sample.text));
      };
      html += fmt::format("<section><h3><span class=\"swatch {}\"></span>{}</h3>\n{}", StyleClass(i), ForHtml(run.name),
                          text(run.samples.back()));
      std::string earlier;
      for (size_t s = 0; s + 1 < run.samples.size(); ++s) earlier += text(run.samples[s]);
      const std::string left_out =
          run.samples_left_out > 0 ? fmt::format(" ({} more are in samples.txt)", run.samples_left_out) : "";
      if (!earlier.empty())
        html += fmt::format("<details><summary>earlier{}</summary>\n{}</details>\n", left_out, earlier);
      html += "</section>\n";
    }
    if (!html.empty()) Section("What they wrote on the way", "<div class=\"samples\">\n" + html + "</div>\n");
  }

  void Settings() {
    std::string html = DifferencesTable(runs_);
    for (const RunRecord& run : runs_) {
      if (run.config_text.empty()) continue;
      html += fmt::format("<details><summary>{}/config.toml</summary>\n<pre>{}</pre>\n</details>\n", ForHtml(run.name),
                          ForHtml(std::string_view(run.config_text).substr(0, kMostOfConfig)));
    }
    Section("Settings", html);
  }

  std::string Notes() const {
    std::string notes;
    for (const RunRecord& run : runs_) {
      std::vector<std::string> all = run.notes;
      if (!run.finished()) all.insert(all.begin(), StateOf(run));
      for (const std::string& note : all) notes += fmt::format("<li>{}: {}</li>\n", ForHtml(run.name), ForHtml(note));
    }
    return notes.empty() ? "" : "<ul class=\"notes\">\n" + notes + "</ul>\n";
  }

  // Which colour is whose, what is shown, and over what.
  std::string Key() const {
    if (sheet_.Data().at("charts").empty()) return "";
    std::string key = "<div class=\"key\">\n";
    for (size_t i = 0; runs_.size() > 1 && i < runs_.size(); ++i) {
      key += fmt::format(
          "<label><input type=\"checkbox\" checked data-owner=\"{}\"> <span class=\"swatch {}\"></span>{}</label>\n", i,
          StyleClass(i), ForHtml(runs_[i].name));
    }
    key +=
        "<label class=\"screen\">charts whose title names no axis: over <select id=\"over\"><option>tokens</option>"
        "<option>minutes</option><option>steps</option></select></label>\n</div>\n";
    key +=
        "<p class=\"soft\">Thin lines: single steps (of many, the lowest and highest of every stretch); lines: their "
        "means; dots: evaluations on the dev part of the validation text. Minutes are of training steps.";
    if (!sheet_.Data().at("bands").empty()) key += " Shades: phases of training.";
    return key + "</p>\n";
  }

  std::span<const RunRecord> runs_;
  size_t most_ = kMostPoints;
  ChartSheet sheet_;
  std::string sections_;
};

}  // namespace

std::string RunReportHtml(std::span<const RunRecord> runs) {
  const Report report(runs);
  return PageHtml(report.Title(), report.Body(""), ToText(report.ChartData()));
}

std::string LiveReportHtml(const RunRecord& run) {
  const Report report({&run, 1});
  return PageHtml(report.Title(), report.Body(ProgressHtml(run)), ToText(report.ChartData()), PageKind::kLive);
}

Json LiveReportParts(const RunRecord& run) {
  const Report report({&run, 1});
  return {{"title", report.Title()}, {"body", report.Body(ProgressHtml(run))}, {"charts", report.ChartData()}};
}

Json RunReportJson(std::span<const RunRecord> runs) { return Report(runs).ForPrograms(); }

}  // namespace flashlm
