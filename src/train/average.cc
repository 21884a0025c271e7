#include "train/average.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/vector/vector.h"

namespace flashlm {

WeightAverage::WeightAverage(const AverageConfig& config, ParamBank& bank)
    : config_(config), bank_(bank), state_(bank) {
  if (!config_.On()) return;
  std::vector<bool> averaged;
  for (const ParamInfo& info : bank.infos()) {
    const bool left_out = info.role == Role::kBuffer || (IsTable(info.role) && !config_.embedding);
    averaged.push_back(!left_out);
  }
  for (const char* name : {"average", "raw"}) state_.Add(name, averaged);
}

template <class Visit>
void WeightAverage::ForEach(const Visit& visit) const {
  const ParamState::Array &average = state_.arrays()[0], &raw = state_.arrays()[1];
  for (size_t i = 0; i < bank_.infos().size(); ++i) {
    const ParamInfo& info = bank_.infos()[i];
    if (average.Of(i) != nullptr) visit(bank_.values() + info.offset, average.Of(i), raw.Of(i), info.size);
  }
}

// With shares that decay, mean_t = sum over i of keep^(t - i) w_i / mass_t, where mass_t = keep mass_(t-1) + 1: free of
// the start's weight that a mean from zero, or from the first weights, would drag along.
void WeightAverage::AfterStep(int64_t step, double fraction) {
  if (!config_.On()) return;
  if (fraction < 1 - config_.fraction) return Restart();
  if (begun() && step % config_.every != 0) return;
  const double keep = config_.kind == "ema" ? std::exp((fraction_ - fraction) / config_.horizon) : 1;
  mass_ = keep * mass_ + 1;
  fraction_ = fraction;
  const auto share = static_cast<float>(1 / mass_);
  ForEach([&](const float* values, float* average, float*, int64_t count) {
    kernels::Axpby(share, values, 1 - share, average, count);
  });
}

WeightAverage::Blend::Blend(WeightAverage& average) : average_(average.begun() ? &average : nullptr) {
  if (average_ == nullptr) return;
  const auto share = static_cast<float>(average.config_.blend);
  average.ForEach([&](float* values, const float* mean, float* raw, int64_t count) {
    std::copy_n(values, count, raw);
    kernels::Axpby(share, mean, 1 - share, values, count);
  });
  average.bank_.Touch();
}

WeightAverage::Blend::~Blend() {
  if (average_ != nullptr) average_->TakeRaw();
}

void WeightAverage::TakeRaw() {
  ForEach([](float* values, const float*, const float* raw, int64_t count) { std::copy_n(raw, count, values); });
  bank_.Touch();
}

void WeightAverage::VisitFields(FieldVisitor& v) {
  if (!config_.On()) return;
  v.Real("average_mass", mass_, 0, std::numeric_limits<double>::infinity(), "of what was averaged");
  v.Real("average_at", fraction_, 0, 1, "part of the budget that was done at the last of it");
}

}  // namespace flashlm
