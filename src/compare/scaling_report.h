// A scaling law and its grid (compare/scaling.h) as people read them, and as `train` does.
#pragma once

#include <string>
#include <vector>

#include "compare/scaling_grid.h"

namespace flashlm {

// Which fields of the law were not fitted, and what they are instead.
std::string HeldText(const std::vector<std::string>& held);

std::string ScalingMarkdown(const Scaling& scaling);

// Bits per byte over tokens (logarithmic): points of each size, and its curve of the law; light and dark.
std::string ScalingSvg(const Scaling& scaling);

// The family (train/family.h): `train --preset family.toml --time 10m`.
std::string FamilyToml(const Scaling& scaling);

}  // namespace flashlm
