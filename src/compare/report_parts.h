// What the reports of comparisons and of scaling laws are made of: the axes and style of charts in SVG.
#pragma once

#include <cmath>
#include <string>

namespace flashlm {

struct Range {
  double low = HUGE_VAL, high = -HUGE_VAL;
  void Include(double v);  // if it is finite
};

// 1, 2 or 5 times a power of ten, about a fifth of the range.
double TickStep(double span);
std::string TickText(double value, double step);

// Style sheet of an SVG chart, drawn with the colours of kPalette (report/page.h).
extern const char* const kChartStyle;

}  // namespace flashlm
