#include "compare/scaling_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "compare/comparison.h"
#include "compare/report_parts.h"
#include "report/page.h"

namespace flashlm {
namespace {

std::string SizeName(const Scaling& scaling, size_t size) { return NameOfToml(scaling.grid.presets[size]); }

std::string LawText(const ScalingLaw& law) {
  return fmt::format("{:.4g} + {:.4g} / N^{:.4g} + {:.4g} / D'^{:.4g}, of repeated text at most {:.4g} more readings",
                     law.floor, law.size, law.size_power, law.data, law.data_power, law.repeats);
}

std::string Circumstances(const Scaling& scaling) {
  const ScalingGrid& grid = scaling.grid;
  std::string line =
      fmt::format("{} sizes, {} budgets, {} numbers of tokens per step, {} seed{} each, on {} ({} tokens)",
                  grid.presets.size(), grid.tokens.size(), grid.steps_of.size(), grid.seeds, grid.seeds > 1 ? "s" : "",
                  grid.data.folder, FormatCount(scaling.unique));
  for (const std::string& set : grid.sets) line += ", " + set;
  line += "; " + scaling.machine;
  line +=
      grid.text.empty() ? "; bits per byte on the test part of its validation text" : "; bits per byte on " + grid.text;
  if (scaling.fewest_documents < scaling.most_documents) {
    line += fmt::format(
        ", of which runs were scored on the first {} to {} documents, as train.eval_share left time for (--text FILE "
        "is read whole by all)",
        scaling.fewest_documents, scaling.most_documents);
  }
  return line + ".";
}

std::string GridTable(const Scaling& scaling) {
  std::string table =
      "| size | weights in products | tokens | a step | bits per byte | ± seeds | law | less the law | tokens/s |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  size_t next = 0;
  for (const ScalingCell& cell : scaling.cells) {
    const Aggregate& result = cell.result;
    table += fmt::format("| {} | {} | {} | {} |", ForMarkdown(SizeName(scaling, cell.size)), Grouped(cell.weights),
                         FormatCount(static_cast<double>(cell.tokens)), cell.steps_of);
    if (result.without_result()) {
      table += fmt::format(" failed: {} | | | | |\n", ForMarkdown(result.error));
      continue;
    }
    const std::string bold = cell.best ? "**" : "";
    table += fmt::format(" {0}{1:.4f}{0} |", bold, result.bits_per_byte.mean);
    table += result.bits_per_byte.count < 2 ? " |" : fmt::format(" {:.4f} |", result.bits_per_byte.error);
    table += cell.best ? fmt::format(" {:.4f} | {:+.4f} |", scaling.Predicted(cell), scaling.fit.residuals[next++])
                       : std::string(" | |");
    table += fmt::format(" {} |\n", Grouped(result.tok_per_sec));
  }
  return table;
}

std::string RunTable(const Scaling& scaling) {
  std::string table =
      "| run | size | weights in products | tokens | a step at first | bits per byte | law | less the law | tokens/s "
      "|\n"
      "|---|---|---:|---:|---:|---:|---:|---:|---:|\n";
  size_t next = scaling.fit.residuals.size() - scaling.grid.runs.size();
  for (const ScalingRun& run : scaling.grid.runs) {
    table +=
        fmt::format("| {} | {} | {} | {} | {} | {:.4f} | {:.4f} | {:+.4f} | {} |\n", ForMarkdown(run.folder),
                    ForMarkdown(run.model), Grouped(run.weights), FormatCount(run.tokens), run.steps_of,
                    run.bits_per_byte, scaling.Predicted(run), scaling.fit.residuals[next++], Grouped(run.tok_per_sec));
  }
  return table;
}

std::string PredictionTable(const Scaling& scaling) {
  std::string table =
      "| time | best size | tokens | epochs | bits per byte | the others |\n|---|---|---:|---:|---:|---|\n";
  for (const double seconds : kPredictedSeconds) {
    const std::vector<ScalingPrediction> all = PredictAfter(scaling, seconds);
    const ScalingPrediction& best = BestOf(all);
    std::string others;
    for (const ScalingPrediction& one : all) {
      if (one.size == best.size) continue;
      others += fmt::format("{}{} {:.3f}", others.empty() ? "" : ", ", SizeName(scaling, one.size), one.bits_per_byte);
    }
    table += fmt::format("| {} | {} | {} | {:.1f} | {:.3f} | {} |\n", FormatDuration(seconds),
                         ForMarkdown(SizeName(scaling, best.size)), FormatCount(best.tokens),
                         best.tokens / scaling.unique, best.bits_per_byte, ForMarkdown(others));
  }
  return table;
}

// In the units of the SVG's viewBox.
constexpr double kWidth = 720, kHeight = 440, kLeft = 48, kRight = 16, kTop = 16, kBottom = 40;

class Plot {
 public:
  explicit Plot(const Scaling& scaling) : scaling_(scaling) {
    for (const ScalingCell& cell : scaling.cells) {
      if (!cell.best) continue;
      x_.Include(std::log10(cell.result.tokens));
      y_.Include(cell.result.bits_per_byte.mean);
      y_.Include(scaling.Predicted(cell));
    }
    for (const ScalingRun& run : scaling.grid.runs) {
      x_.Include(std::log10(run.tokens));
      y_.Include(run.bits_per_byte);
      y_.Include(scaling.Predicted(run));
    }
    const double side = 0.04 * (x_.high - x_.low), above = 0.05 * (y_.high - y_.low) + 1e-3;
    x_ = {x_.low - side, x_.high + side};
    y_ = {y_.low - above, y_.high + above};
  }

  std::string Svg() const {
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bits per byte over "
        "tokens, by size\">\n<style>\n{}{}svg {{ font-family: system-ui, sans-serif; }}\n.paper {{ fill: "
        "var(--paper); }} .point {{ fill: var(--paper); stroke-width: 2; }}\n</style>\n<rect class=\"paper\" "
        "width=\"{}\" height=\"{}\"/>\n",
        kWidth, kHeight, kPalette, kChartStyle, kWidth, kHeight);
    svg += Grid();
    size_t shown = 0;
    for (size_t size = 0; size < scaling_.grid.presets.size(); ++size) svg += Size(size, shown);
    return svg + "</svg>\n";
  }

 private:
  double PixelX(double log_tokens) const {
    return kLeft + (kWidth - kLeft - kRight) * (log_tokens - x_.low) / (x_.high - x_.low);
  }
  double PixelY(double bits) const { return kTop + (kHeight - kTop - kBottom) * (y_.high - bits) / (y_.high - y_.low); }

  std::string Grid() const {
    std::string svg;
    const double step = TickStep(y_.high - y_.low);
    for (double y = std::ceil(y_.low / step) * step; y <= y_.high; y += step) {
      svg += fmt::format(
          "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" class=\"right\">{}</text>\n", kLeft,
          PixelY(y), kWidth - kRight, kLeft - 6, PixelY(y) + 4, TickText(y, step));
    }
    for (int power = static_cast<int>(std::floor(x_.low)); power <= x_.high; ++power) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double tokens = factor * std::pow(10, power), x = std::log10(tokens);
        if (x < x_.low || x > x_.high) continue;
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" class=\"middle\">{4}</text>\n",
            PixelX(x), kTop, kHeight - kBottom, kHeight - kBottom + 16, TickText(tokens, 1));
      }
    }
    return svg + fmt::format(
                     "<text x=\"{}\" y=\"{}\" class=\"middle\">tokens read; lines: the law, points: measured "
                     "bits per byte</text>\n",
                     kLeft + (kWidth - kLeft - kRight) / 2, kHeight - 6);
  }

  // The curve, the points and the key of a size, if it has points; `shown` had some before.
  std::string Size(size_t size, size_t& shown) const {
    std::string points;
    double weights = 0;
    const auto add = [&](double tokens, double bits_per_byte, int64_t steps_of) {
      points += fmt::format(
          "<circle class=\"point {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{:.4f} bits per byte, {} tokens a "
          "step</title></circle>\n",
          StyleClass(shown), PixelX(std::log10(tokens)), PixelY(bits_per_byte), bits_per_byte, steps_of);
    };
    for (const ScalingCell& cell : scaling_.cells) {
      if (cell.size != size || !cell.best) continue;
      weights = cell.weights;
      add(cell.result.tokens, cell.result.bits_per_byte.mean, cell.steps_of);
    }
    if (points.empty()) return "";
    for (const ScalingRun& run : scaling_.grid.runs) {
      if (run.model == SizeName(scaling_, size)) add(run.tokens, run.bits_per_byte, run.steps_of);
    }
    const double key_y = kTop + 14 + 18 * static_cast<double>(shown);
    std::string svg = fmt::format("<path class=\"line {}\" d=\"{}\"/>\n", StyleClass(shown), Curve(weights));
    svg += fmt::format(
        "<path class=\"line {}\" d=\"M{} {}h26\"/><text x=\"{}\" y=\"{}\" class=\"right\">{}, {} "
        "weights</text>\n",
        StyleClass(shown), kWidth - kRight - 30, key_y, kWidth - kRight - 36, key_y + 4,
        ForHtml(SizeName(scaling_, size)), FormatCount(weights));
    ++shown;
    return svg + points;
  }

  std::string Curve(double weights) const {
    constexpr int kPieces = 80;
    std::string path;
    for (int i = 0; i <= kPieces; ++i) {
      const double x = x_.low + (x_.high - x_.low) * i / kPieces;
      const double y = scaling_.law().BitsPerByte(weights, std::pow(10, x), scaling_.unique);
      if (y < y_.low || y > y_.high) continue;
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", PixelX(x), PixelY(y));
    }
    return path;
  }

  const Scaling& scaling_;
  Range x_, y_;  // log10 tokens; bits per byte
};

}  // namespace

std::string HeldText(const std::vector<std::string>& held) {
  const Json usual = FieldsToJson(ScalingLaw());
  std::string list;
  for (const std::string& name : held) {
    list += fmt::format("{}{} = {}", list.empty() ? "" : ", ", name, usual.at(name).get<double>());
  }
  return "too few sizes or budgets to tell, held: " + list;
}

std::string ScalingMarkdown(const Scaling& scaling) {
  std::string text = "# Scaling law\n\n";
  text += fmt::format("bits per byte = {}: rms error {:.4f} over {} points.\n\n", ForMarkdown(LawText(scaling.law())),
                      scaling.fit.rms, scaling.fit.residuals.size());
  text +=
      "N: weights that a token meets in products. D' = D, the tokens read, or where the text's U are fewer, "
      "U + U repeats (1 - e^(-(D/U - 1) / repeats)).\n\n";
  if (!scaling.fit.held.empty()) text += "Note: " + ForMarkdown(HeldText(scaling.fit.held)) + ".\n\n";
  // Ten times what a grid of the flagship leaves: what it says of sizes then is not to be trusted.
  constexpr double kBadFit = 0.05;
  if (scaling.fit.rms > kBadFit) {
    text +=
        "Note: the law describes these runs badly. It is not about runs that read a text until they became worse "
        "again (their last weights count).\n\n";
  }
  text += "## Best size by time\n\nAt the speed that each size's run with the largest budget had here.\n\n";
  text += PredictionTable(scaling) + "\n## The grid\n\n";
  text += ForMarkdown(Circumstances(scaling)) +
          " In bold the best tokens per step of each size and budget, to which the law was fitted.\n\n";
  text += GridTable(scaling);
  if (!scaling.grid.runs.empty()) {
    text += "\n## Other runs\n\nPoints of the law as well: trainings on the same data that were finished before.\n\n";
    text += RunTable(scaling);
  }
  return text;
}

std::string ScalingSvg(const Scaling& scaling) { return Plot(scaling).Svg(); }

std::string FamilyToml(const Scaling& scaling) {
  std::string text = fmt::format("# Sizes by budget, fitted to {} runs: rms error {:.4f} bits per byte.\n",
                                 scaling.fit.residuals.size(), scaling.fit.rms);
  if (!scaling.grid.sets.empty()) {
    text += "# They were trained with:";
    for (const std::string& set : scaling.grid.sets) text += " --set " + ToText(Json(set));
    text += "\n";
  }
  Json family;
  family["sizes"] = scaling.grid.presets;
  family["law"] = FieldsToJson(scaling.law());
  return text + ToToml(family);
}

}  // namespace flashlm
