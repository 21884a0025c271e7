#include "compare/report_parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace flashlm {

std::string Grouped(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

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

void Range::Include(double v) {
  if (!std::isfinite(v)) return;
  low = std::min(low, v);
  high = std::max(high, v);
}

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

std::string StyleClass(size_t index) {
  static constexpr const char* kDashes[] = {"", " d1", " d2", " d3"};
  return fmt::format("c{}{}", index % 8, kDashes[index / 8 % 4]);
}

const char* const kPalette =
    R"(:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --soft: #667; --rule: #d8dbe0;
  --c0: #1f6fd0; --c1: #d1551b; --c2: #1d8a4a; --c3: #a036b5; --c4: #a87b00; --c5: #c2255c; --c6: #0b8793; --c7: #6b5b4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --soft: #9aa3ad; --rule: #343a42;
  --c0: #6aaeff; --c1: #ff9a5c; --c2: #5fd08c; --c3: #d98cf0; --c4: #e3bd4a; --c5: #ff7fa8; --c6: #4fd0dc; --c7: #bfae9f; } }
)";

const char* const kChartStyle =
    R"(svg text { font-size: 12px; fill: var(--soft); } .right { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--rule); fill: none; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); } .c7 { stroke: var(--c7); }
.d1 { stroke-dasharray: 6 3; } .d2 { stroke-dasharray: 2 3; } .d3 { stroke-dasharray: 8 3 2 3; }
)";

}  // namespace flashlm
