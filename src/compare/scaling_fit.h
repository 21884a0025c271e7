// The scaling law of a family (train/family.h) fitted to what runs came to.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "train/family.h"

namespace flashlm {

// A model of `weights` (that a token meets in products), trained on `tokens` of a text of `unique` ones.
struct ScalingPoint {
  double weights = 0, tokens = 0, unique = 0;
  double bits_per_byte = 0;
};

struct ScalingFit {
  ScalingLaw law;
  std::vector<std::string> held;  // fields of the law that the points cannot tell: they are those of ScalingLaw{}
  std::vector<double> residuals;  // bits per byte of each point less the law's
  double rms = 0;                 // of the residuals
};

// The law of the least squares of relative deviations, (law - measured) / measured, within floor, size, data >= 0,
// powers from 0.05 to 1.5 and repeats from 1 to 1,000. A power needs three sizes (token counts, for that of the data)
// to be told from its factor and the floor, and `repeats` four token counts of which one is beyond two epochs: held
// where the points have fewer. Token counts and sizes within a tenth of each other are one. Deterministic. Throws Error
// for fewer than four points, a single size or token count, or a point that is not finite and above 0.
ScalingFit FitScalingLaw(std::span<const ScalingPoint> points);

}  // namespace flashlm
