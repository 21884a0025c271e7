#include "audit/audit_figures.h"

#include <algorithm>
#include <cmath>

#include "report/page.h"

namespace flashlm {
namespace {

std::string TitleOf(const AuditResult& result) {
  for (const AuditCase& one : AuditCases()) {
    if (one.name == result.name) return one.title;
  }
  return result.name;
}

BarChart::Bar BarOf(const Reading& reading) {
  const double side = 1.96 * reading.stderr_bits_per_byte;
  return {reading.bits_per_byte, reading.bits_per_byte - side, reading.bits_per_byte + side, NAN};
}

Series SeriesOf(size_t owner, const std::vector<LossPoint>& curve) {
  Series series{owner, "", {}, {}};
  for (const LossPoint& point : curve) {
    series.at.push_back({point.step, 0, 0});
    series.values.push_back(point.nats);
  }
  return series;
}

// --- the picture, in the units of its viewBox ---------------------------------------------------------------------

constexpr double kWidth = 720, kLeft = 250, kRight = 60, kTop = 34, kBar = 13, kRow = 40;

// One bar and its number.
std::string BarSvg(const char* style, double y, double value, double longest) {
  const double width = (kWidth - kLeft - kRight) * value / longest;
  return fmt::format(
      "<rect class=\"{}\" x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\"/>"
      "<text x=\"{:.1f}\" y=\"{:.1f}\">{:.3f}</text>\n",
      style, kLeft, y, width, kBar, kLeft + width + 5, y + kBar - 2, value);
}

}  // namespace

std::string AuditCharts(const Audit& audit, ChartSheet& sheet) {
  BarChart bars{.title = "Bits per byte of held-out text", .unit = "bits per byte", .groups = {"it reports", "true"}};
  Chart random{.title = "Loss on random tokens over steps", .unit = "nats per token", .over = "steps"};
  Chart text{.title = "Loss of training on text over steps", .unit = "nats per token", .over = "steps"};
  for (const AuditResult& result : audit.results) {
    const size_t owner = sheet.AddOwner(TitleOf(result));
    bars.bars.push_back({BarOf(result.reported), BarOf(result.truth)});
    random.lines.push_back({sheet.AddSeries(SeriesOf(owner, result.random.curve))});
    text.lines.push_back({sheet.AddSeries(SeriesOf(owner, result.curve))});
  }
  const double floor = std::log(ToyTask::kVocab);
  const size_t chance = sheet.AddOwner(fmt::format("ln {}: nothing can be better", ToyTask::kVocab));
  random.lines.push_back({sheet.AddSeries(SeriesOf(chance, {{0, floor}, {audit.plan.random_steps, floor}}))});
  std::string html = sheet.AddBars(bars);
  html += sheet.AddChart(random);
  return html + sheet.AddChart(text);
}

std::string AuditSvg(const Audit& audit) {
  double longest = 0;
  for (const AuditResult& result : audit.results) {
    longest = std::max({longest, result.reported.bits_per_byte, result.truth.bits_per_byte});
  }
  const double height = kTop + kRow * static_cast<double>(audit.results.size()) + 6;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bits per byte that "
      "each model reports, and the true ones\">\n<style>\n{}svg {{ font: 12px system-ui, sans-serif; }} text {{ fill: "
      "var(--ink); }} .name {{ text-anchor: end; }}\n.paper {{ fill: var(--paper); }} .reported {{ fill: var(--c0); }} "
      ".true {{ fill: var(--c1); }}\n</style>\n<rect class=\"paper\" width=\"{}\" height=\"{}\"/>\n",
      kWidth, height, kPalette, kWidth, height);
  svg += fmt::format(
      "<rect class=\"reported\" x=\"{0}\" y=\"8\" width=\"12\" height=\"12\"/><text x=\"{1}\" y=\"18\">bits per byte "
      "that it reports</text>\n<rect class=\"true\" x=\"{2}\" y=\"8\" width=\"12\" height=\"12\"/><text x=\"{3}\" "
      "y=\"18\">true ones</text>\n",
      kLeft, kLeft + 18, kLeft + 210, kLeft + 228);
  double y = kTop;
  for (const AuditResult& result : audit.results) {
    svg += fmt::format("<text class=\"name\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft - 8, y + kBar + 4,
                       ForHtml(TitleOf(result)));
    svg += BarSvg("reported", y, result.reported.bits_per_byte, longest);
    svg += BarSvg("true", y + kBar + 2, result.truth.bits_per_byte, longest);
    y += kRow;
  }
  return svg + "</svg>\n";
}

}  // namespace flashlm
