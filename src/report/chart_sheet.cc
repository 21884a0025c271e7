#include "report/chart_sheet.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "report/page.h"

namespace flashlm {
namespace {

// Six digits: more than a screen shows, and a third of a double's text.
double Rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double digits = 5 - std::floor(std::log10(std::abs(value)));
  if (digits <= 0) return std::round(value);
  const double scale = std::pow(10, digits);
  return std::isfinite(scale) ? std::round(value * scale) / scale : value;
}

// Null if it is not finite, which JSON has no other word for.
Json Number(double value) { return std::isfinite(value) ? Json(Rounded(value)) : Json(); }

Json ToJson(const Series& series) {
  Json steps = Json::array(), tokens = Json::array(), seconds = Json::array(), values = Json::array();
  for (size_t i = 0; i < series.values.size(); ++i) {
    steps.push_back(series.at[i].step);
    tokens.push_back(series.at[i].tokens);
    seconds.push_back(std::round(1e3 * series.at[i].seconds) / 1e3);
    values.push_back(Number(series.values[i]));
  }
  return {{"owner", series.owner}, {"label", series.label}, {"steps", steps},
          {"tokens", tokens},      {"seconds", seconds},    {"values", values}};
}

const char* NameOf(LineStyle style) {
  switch (style) {
    case LineStyle::kLine:
      return "line";
    case LineStyle::kFaint:
      return "faint";
    case LineStyle::kPoints:
      return "points";
  }
  return "";
}

void Append(const Series& from, size_t i, Series& to) {
  to.at.push_back(from.at[i]);
  to.values.push_back(from.values[i]);
}

// [begin, end) of the stretch `i` of `count`, of `size` points.
std::pair<size_t, size_t> Stretch(size_t i, size_t count, size_t size) {
  return {i * size / count, (i + 1) * size / count};
}

}  // namespace

Series Thinned(const Series& series, size_t most) {
  FLASHLM_CHECK(most >= 8 && series.at.size() == series.values.size(), "thinning to {} points", most);
  const size_t size = series.values.size();
  if (size <= most) return series;
  Series thinned{series.owner, series.label, {}, {}};
  const size_t stretches = (most - 2) / 2;
  Append(series, 0, thinned);
  for (size_t s = 0; s < stretches; ++s) {
    auto [begin, end] = Stretch(s, stretches, size - 2);
    constexpr size_t kNone = SIZE_MAX;
    size_t low = kNone, high = kNone, gap = kNone;
    for (size_t i = begin + 1; i < end + 1; ++i) {
      const double value = series.values[i];
      if (!std::isfinite(value)) {
        gap = std::min(gap, i);
        continue;
      }
      if (low == kNone || value < series.values[low]) low = i;
      if (high == kNone || value > series.values[high]) high = i;
    }
    size_t kept[] = {low, high, gap};
    std::sort(std::begin(kept), std::end(kept));
    for (size_t k = 0; k < std::size(kept) && kept[k] != kNone; ++k) {
      if (k == 0 || kept[k] != kept[k - 1]) Append(series, kept[k], thinned);
    }
  }
  Append(series, size - 1, thinned);
  return thinned;
}

Series Means(const Series& series, size_t most) {
  const size_t size = series.values.size(), count = std::min(size, most);
  Series means{series.owner, series.label, {}, {}};
  for (size_t s = 0; s < count; ++s) {
    const auto [begin, end] = Stretch(s, count, size);
    double steps = 0, tokens = 0, seconds = 0, value = 0;
    for (size_t i = begin; i < end; ++i) {
      steps += static_cast<double>(series.at[i].step);
      tokens += static_cast<double>(series.at[i].tokens);
      seconds += series.at[i].seconds;
      value += series.values[i];
    }
    const auto points = static_cast<double>(end - begin);
    means.at.push_back({std::llround(steps / points), std::llround(tokens / points), seconds / points});
    means.values.push_back(value / points);
  }
  return means;
}

size_t ChartSheet::AddOwner(const std::string& name) {
  data_["owners"].push_back(name);
  return data_["owners"].size() - 1;
}

size_t ChartSheet::AddSeries(const Series& series) {
  data_["series"].push_back(ToJson(series));
  return data_["series"].size() - 1;
}

void ChartSheet::AddBand(const Band& band) {
  const auto seconds = [](const Moment& m) { return std::round(1e3 * m.seconds) / 1e3; };
  data_["bands"].push_back({{"owner", band.owner},
                            {"name", band.name},
                            {"steps", {band.begin.step, band.end.step}},
                            {"tokens", {band.begin.tokens, band.end.tokens}},
                            {"seconds", {seconds(band.begin), seconds(band.end)}}});
}

std::string ChartSheet::Figure(const std::string& title) {
  return fmt::format(
      "<figure class=\"chart\"><figcaption>{0}</figcaption><div class=\"canvas\"><canvas data-chart=\"{1}\" "
      "role=\"img\" aria-label=\"{0}\"></canvas></div></figure>\n",
      ForHtml(title), data_["charts"].size() - 1);
}

std::string ChartSheet::AddChart(const Chart& chart) {
  Json lines = Json::array();
  for (const ChartLine& line : chart.lines) {
    const Json& values = data_["series"].at(line.series).at("values");
    if (std::all_of(values.begin(), values.end(), [](const Json& v) { return v.is_null(); })) continue;
    lines.push_back({{"series", line.series}, {"style", NameOf(line.style)}});
  }
  if (lines.empty()) return "";
  data_["charts"].push_back({{"title", chart.title},
                             {"unit", chart.unit},
                             {"over", chart.over},
                             {"logarithmic", chart.logarithmic},
                             {"highest", Number(chart.highest)},
                             {"lines", lines}});
  return Figure(chart.title);
}

std::string ChartSheet::AddBars(const BarChart& chart) {
  Json bars = Json::array();
  bool any = false;
  for (size_t owner = 0; owner < chart.bars.size(); ++owner) {
    Json values = Json::array();
    for (const BarChart::Bar& bar : chart.bars[owner]) {
      any = any || std::isfinite(bar.value);
      values.push_back({Number(bar.value), Number(bar.low), Number(bar.high), Number(bar.chance)});
    }
    bars.push_back({{"owner", owner}, {"values", values}});
  }
  if (!any) return "";
  data_["charts"].push_back({{"title", chart.title}, {"unit", chart.unit}, {"groups", chart.groups}, {"bars", bars}});
  return Figure(chart.title);
}

}  // namespace flashlm
