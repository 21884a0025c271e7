#include "compare/scaling_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace flashlm {
namespace {

// With the powers and `repeats` given, the law is linear in the floor and the two factors: those three come from
// linear least squares, so that what is searched has at most three dimensions.
using Coefficients = std::array<double, 3>;  // floor; the sizes' and the data's part of a point of middling size

// What is searched: log size_power, log data_power, log repeats.
constexpr size_t kSearched = 3;
using FitPoint = std::array<double, kSearched>;
struct Bounds {
  double low, high;
};
constexpr Bounds kBounds[kSearched] = {{0.05, 1.5}, {0.05, 1.5}, {1, 1000}};

// How many differ, by more than a tenth.
int Distinct(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  int count = 0;
  double last = 0;
  for (const double value : values) {
    if (value <= 1.1 * last) continue;
    last = value;
    ++count;
  }
  return count;
}

double MeanLog(std::span<const ScalingPoint> points, double ScalingPoint::*key) {
  double sum = 0;
  for (const ScalingPoint& point : points) sum += std::log(point.*key);
  return sum / static_cast<double>(points.size());
}

// Solves A x = b for the unknowns in `free` (bits), the others being 0; A is symmetric. False where A has no inverse.
bool Solve(std::array<std::array<double, 4>, 3> rows, unsigned free, Coefficients& x) {
  for (size_t i = 0; i < 3; ++i) {
    if ((free >> i & 1U) != 0) continue;
    rows[i] = {};
    for (auto& row : rows) row[i] = 0;
    rows[i][i] = 1;
  }
  for (size_t i = 0; i < 3; ++i) {  // Gauss and Jordan: A is definite, so that the diagonal can be the pivot
    if (rows[i][i] <= 1e-13) return false;
    const double pivot = rows[i][i];
    for (double& value : rows[i]) value /= pivot;
    for (size_t other = 0; other < 3; ++other) {
      if (other == i) continue;
      const double factor = rows[other][i];
      for (size_t k = 0; k < 4; ++k) rows[other][k] -= factor * rows[i][k];
    }
  }
  for (size_t i = 0; i < 3; ++i) x[i] = rows[i][3];
  return true;
}

class Fitter {
 public:
  explicit Fitter(std::span<const ScalingPoint> points)
      : points_(points),
        weights_(std::exp(MeanLog(points, &ScalingPoint::weights))),
        tokens_(std::exp(MeanLog(points, &ScalingPoint::tokens))) {}

  // The best law at a position.
  ScalingLaw LawAt(const FitPoint& position) const {
    ScalingLaw law{.floor = 0,
                   .size = 0,
                   .size_power = std::exp(position[0]),
                   .data = 1,
                   .data_power = std::exp(position[1]),
                   .repeats = std::exp(position[2])};
    std::array<std::array<double, 4>, 3> normal{};
    for (const ScalingPoint& point : points_) {
      const double data = std::pow(tokens_, law.data_power) * law.BitsPerByte(1, point.tokens, point.unique);
      const Coefficients row = {1, std::pow(point.weights / weights_, -law.size_power), data};
      const double squared = 1 / (point.bits_per_byte * point.bits_per_byte);
      for (size_t i = 0; i < 3; ++i) {
        for (size_t k = 0; k < 3; ++k) normal[i][k] += squared * row[i] * row[k];
        normal[i][3] += squared * row[i] * point.bits_per_byte;
      }
    }
    // None below 0: the best of the solutions in which some of them are 0, which are few. What is 0 would leave
    // nothing to choose a size by, so a little stays.
    ScalingLaw best = law;
    double least = HUGE_VAL;
    for (unsigned free = 1; free < 8; ++free) {
      Coefficients x;
      if (!Solve(normal, free, x) || *std::min_element(x.begin(), x.end()) < 0) continue;
      constexpr double kLittle = 1e-6;
      law.floor = x[0];
      law.size = std::max(kLittle, x[1]) * std::pow(weights_, law.size_power);
      law.data = std::max(kLittle, x[2]) * std::pow(tokens_, law.data_power);
      const double squares = Squares(law);
      if (squares >= least) continue;
      least = squares;
      best = law;
    }
    return best;
  }

  double SquaresAt(const FitPoint& position) const { return Squares(LawAt(position)); }

 private:
  double Squares(const ScalingLaw& law) const {
    double sum = 0;
    for (const ScalingPoint& point : points_) {
      const double predicted = law.BitsPerByte(point.weights, point.tokens, point.unique);
      sum += std::pow(predicted / point.bits_per_byte - 1, 2);
    }
    return sum;
  }

  std::span<const ScalingPoint> points_;
  double weights_, tokens_;  // of a point of middling size, at which columns are 1: what is solved is well scaled
};

struct Vertex {
  FitPoint at;
  double squares;
};

// Nelder and Mead's simplex ("A simplex method for function minimization", 1965) over the dimensions in `free`, from
// `start`; outside the bounds the nearest place within them counts.
class Simplex {
 public:
  Simplex(const Fitter& fitter, std::vector<size_t> free, const FitPoint& start)
      : fitter_(fitter), free_(std::move(free)) {
    constexpr double kEdge = 0.3;
    vertices_.push_back(VertexAt(start));
    for (const size_t dimension : free_) {
      FitPoint other = start;
      other[dimension] += start[dimension] + kEdge < std::log(kBounds[dimension].high) ? kEdge : -kEdge;
      vertices_.push_back(VertexAt(other));
    }
  }

  Vertex Minimize() {
    constexpr int kSteps = 500;
    for (int i = 0; i < kSteps; ++i) {
      Sort();
      if (Width() < 1e-9) break;  // at once where nothing is free
      Step();
    }
    Sort();
    return vertices_.front();
  }

 private:
  Vertex VertexAt(FitPoint at) const {
    for (size_t i = 0; i < kSearched; ++i)
      at[i] = std::clamp(at[i], std::log(kBounds[i].low), std::log(kBounds[i].high));
    return {at, fitter_.SquaresAt(at)};
  }

  void Sort() {
    std::stable_sort(vertices_.begin(), vertices_.end(),
                     [](const Vertex& a, const Vertex& b) { return a.squares < b.squares; });
  }

  double Width() const {
    double width = 0;
    for (const Vertex& vertex : vertices_) {
      for (const size_t i : free_) width = std::max(width, std::abs(vertex.at[i] - vertices_.front().at[i]));
    }
    return width;
  }

  // center + factor (worst - center), the centre being that of all but the worst.
  Vertex Along(double factor) const {
    FitPoint at = vertices_.front().at;
    for (const size_t i : free_) {
      double center = 0;
      for (size_t v = 0; v + 1 < vertices_.size(); ++v) center += vertices_[v].at[i];
      center /= static_cast<double>(vertices_.size() - 1);
      at[i] = center + factor * (vertices_.back().at[i] - center);
    }
    return VertexAt(at);
  }

  void Step() {
    Vertex& worst = vertices_.back();
    const Vertex reflected = Along(-1);
    if (reflected.squares < vertices_.front().squares) {
      const Vertex expanded = Along(-2);
      worst = expanded.squares < reflected.squares ? expanded : reflected;
    } else if (reflected.squares < vertices_[vertices_.size() - 2].squares) {
      worst = reflected;
    } else {
      const Vertex contracted = Along(reflected.squares < worst.squares ? -0.5 : 0.5);
      if (contracted.squares < std::min(worst.squares, reflected.squares)) {
        worst = contracted;
      } else {
        Shrink();
      }
    }
  }

  void Shrink() {
    for (size_t v = 1; v < vertices_.size(); ++v) {
      FitPoint at = vertices_[v].at;
      for (const size_t i : free_) at[i] = (at[i] + vertices_.front().at[i]) / 2;
      vertices_[v] = VertexAt(at);
    }
  }

  const Fitter& fitter_;
  std::vector<size_t> free_;
  std::vector<Vertex> vertices_;
};

// From several starts in each free dimension, for the squares have more than one hollow.
FitPoint Search(const Fitter& fitter, const std::vector<size_t>& free, const FitPoint& held) {
  std::vector<FitPoint> starts = {held};
  for (const size_t dimension : free) {
    const auto [low, high] = kBounds[dimension];
    std::vector<FitPoint> more;
    for (const FitPoint& start : starts) {
      for (const double share : {0.2, 0.5, 0.8}) {
        more.push_back(start);
        more.back()[dimension] = std::log(low) + share * std::log(high / low);
      }
    }
    starts = more;
  }
  Vertex best{held, HUGE_VAL};
  for (const FitPoint& start : starts) {
    const Vertex found = Simplex(fitter, free, start).Minimize();
    if (found.squares < best.squares) best = found;
  }
  return best.at;
}

void RefuseWhatSaysNothing(std::span<const ScalingPoint> points, int sizes, int token_counts) {
  const auto sound = [](double value) { return std::isfinite(value) && value > 0; };
  for (const ScalingPoint& p : points) {
    if (sound(p.weights) && sound(p.tokens) && sound(p.unique) && sound(p.bits_per_byte)) continue;
    throw Error(fmt::format("a scaling law cannot be fitted to {} weights, {} tokens, {} bits per byte", p.weights,
                            p.tokens, p.bits_per_byte));
  }
  if (points.size() >= 4 && sizes >= 2 && token_counts >= 2) return;
  throw Error(fmt::format("{} points of {} sizes and {} token counts are too few for a scaling law", points.size(),
                          sizes, token_counts),
              "it takes at least 4 points, 2 sizes and 2 token counts that differ by a tenth");
}

}  // namespace

ScalingFit FitScalingLaw(std::span<const ScalingPoint> points) {
  std::vector<double> weights, tokens;
  double epochs = 0;
  for (const ScalingPoint& point : points) {
    weights.push_back(point.weights);
    tokens.push_back(point.tokens);
    epochs = std::max(epochs, point.tokens / point.unique);
  }
  const int sizes = Distinct(weights), token_counts = Distinct(tokens);
  RefuseWhatSaysNothing(points, sizes, token_counts);
  const bool told[kSearched] = {sizes >= 3, token_counts >= 3, token_counts >= 4 && epochs > 2};
  constexpr const char* kNames[kSearched] = {"size_power", "data_power", "repeats"};
  const ScalingLaw usual;
  const FitPoint held = {std::log(usual.size_power), std::log(usual.data_power), std::log(usual.repeats)};
  ScalingFit fit;
  std::vector<size_t> free;
  for (size_t i = 0; i < kSearched; ++i) {
    if (told[i]) {
      free.push_back(i);
    } else {
      fit.held.emplace_back(kNames[i]);
    }
  }
  const Fitter fitter(points);
  fit.law = fitter.LawAt(Search(fitter, free, held));
  double squares = 0;
  for (const ScalingPoint& point : points) {
    fit.residuals.push_back(point.bits_per_byte - fit.law.BitsPerByte(point.weights, point.tokens, point.unique));
    squares += fit.residuals.back() * fit.residuals.back();
  }
  fit.rms = std::sqrt(squares / static_cast<double>(points.size()));
  return fit;
}

}  // namespace flashlm
