// What the reports of comparisons and of scaling laws are made of: words, axes, and the style of their charts.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

namespace flashlm {

// 6566400 -> "6,566,400".
std::string Grouped(double number);

// A table's cell and a paragraph are one line; a bar would end a cell.
std::string ForMarkdown(std::string_view text);
std::string ForHtml(std::string_view text);

struct Range {
  double low = HUGE_VAL, high = -HUGE_VAL;
  void Include(double v);  // if it is finite
};

// 1, 2 or 5 times a power of ten, about a fifth of the range.
double TickStep(double span);
std::string TickText(double value, double step);

// Of the line with this number. Colours tell eight apart, dashes the rest.
std::string StyleClass(size_t index);

// Style sheets: the colours, light and dark, as variables; and of what is drawn with them.
extern const char* const kPalette;
extern const char* const kChartStyle;

}  // namespace flashlm
