// What the charts of a page show, as page.js reads it: curves of runs over training, phases as bands, bars with
// intervals. Long curves are thinned before they get here.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

// A place in training, on each of the axes that a curve is drawn over.
struct Moment {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
};

// A curve. values: as many as moments; what is not finite is a gap.
struct Series {
  size_t owner = 0;   // the run's number in its sheet, which gives the colour
  std::string label;  // what it is, beside its run
  std::vector<Moment> at;
  std::vector<double> values;
};

// At most about `most` points, all of them points of `series`: the first and the last, and of every stretch between
// the lowest and the highest, and one gap if it has any. So no peak is lost, whatever the size of the page.
Series Thinned(const Series& series, size_t most);
// At most `most` points: means over stretches of equally many points, each stretch with a gap a gap.
Series Means(const Series& series, size_t most);

// How a curve is drawn. kFaint: behind the others, as the steps behind their mean.
enum class LineStyle { kLine, kFaint, kPoints };

struct ChartLine {
  size_t series;  // of the sheet
  LineStyle style = LineStyle::kLine;
};

struct Chart {
  std::string title = {}, unit = {};
  std::string over = {};  // "tokens", "minutes" or "steps"; "": what the reader chooses
  bool logarithmic = false;
  double highest = HUGE_VAL;  // the axis ends there, what is above is cut off
  std::vector<ChartLine> lines = {};
};

// Owners side by side in each of the groups.
struct BarChart {
  struct Bar {
    double value = NAN, low = NAN, high = NAN;  // with its interval; not finite: none
    double chance = NAN;                        // what guessing gives, as a mark
  };
  std::string title = {}, unit = {};
  std::vector<std::string> groups = {};
  std::vector<std::vector<Bar>> bars = {};  // of each owner of the sheet, one for each group
};

// A stretch of a run's training that has a name.
struct Band {
  size_t owner = 0;
  std::string name;
  Moment begin, end;
};

class ChartSheet {
 public:
  size_t AddOwner(const std::string& name);
  size_t AddSeries(const Series& series);
  void AddBand(const Band& band);
  // Return the HTML of the chart; none if nothing of it can be drawn.
  std::string AddChart(const Chart& chart);
  std::string AddBars(const BarChart& chart);

  const Json& Data() const { return data_; }

 private:
  std::string Figure(const std::string& title);

  Json data_ = {
      {"owners", Json::array()}, {"series", Json::array()}, {"bands", Json::array()}, {"charts", Json::array()}};
};

}  // namespace flashlm
