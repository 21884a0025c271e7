// A family: one model in several sizes, of which the budget chooses. Its preset has, in place of a model, the presets
// of its sizes (sizes = ["small", "large"]), a scaling law, and what to change where a text is read again and again,
// and when that is often enough (docs/scaling.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"
#include "train/config.h"

namespace flashlm {

// Held-out loss after training N weights on D tokens: bits_per_byte = floor + size / N^size_power + data /
// D'^data_power, N the weights that a token meets in products. Of U tokens read again and again, what counts is
// D' = U + U repeats (1 - e^(-(D/U - 1) / repeats)) (Muennighoff et al., 2023).
struct ScalingLaw {
  double floor = 0, size = 1, size_power = 0.3, data = 1, data_power = 0.3, repeats = 15;
  double overhead = 0;  // the work of a token is that of N + overhead weights

  void VisitFields(FieldVisitor& v) {
    v.Real("floor", floor, 0, 100, "bits per byte that no size reaches");
    v.Real("size", size, 0, 1e18, "of size / N^size_power");
    v.Real("size_power", size_power, 1e-3, 10, "of size / N^size_power");
    v.Real("data", data, 0, 1e18, "of data / D^data_power");
    v.Real("data_power", data_power, 1e-3, 10, "of data / D^data_power");
    v.Real("repeats", repeats, 1e-3, 1e9, "epochs after the first that are worth reading");
    v.Real("overhead", overhead, 0, 1e18, "what a token costs in any size, in weights");
  }

  // data / D'^data_power of D tokens read in all, `unique` U of them.
  double OfData(double tokens, double unique) const;
  // weights N, tokens D read in all, `unique` U of them.
  double BitsPerByte(double weights, double tokens, double unique) const;
};

struct SizeRequest {
  Budget budget;
  std::string recipe, data;       // as for LoadPreset; a folder that `data prepare` made
  std::vector<std::string> sets;  // as `--set`
  bool may_end_early = false;     // whether a budget of time need not be used up
};
struct SizeChoice {
  std::string preset;             // of the family's sizes
  std::vector<std::string> sets;  // of [repeated], if it holds: as `--set`, without what the request sets itself
  std::string why;                // in a sentence
  double tokens = 0;              // after which a budget of time ends early ([repeated] enough_*); 0: it does not

  Json ToJson() const;
  static SizeChoice FromJson(const Json& json);
};
// The size whose predicted loss at the end of the budget is the lowest. With a budget of time two sizes train for a
// moment, some three seconds in all, to know how fast they are here; with one of tokens or steps it is the size for
// which that many tokens are the best use of the same work. Throws UsageError for a wrong family, size or setting.
SizeChoice ChooseSize(const Json& family, const std::string& name, const SizeRequest& request);

}  // namespace flashlm
