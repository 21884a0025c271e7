// A mean of the weights that a run had in the last part of its budget, blended into those that are measured and
// published. Training itself goes on from its own weights and knows nothing of it.
#pragma once

#include <cstdint>
#include <string>

#include "base/fields.h"
#include "tensor/param_bank.h"
#include "tensor/param_state.h"

namespace flashlm {

struct AverageConfig {
  std::string kind = "none";
  double fraction = 0.2;
  double horizon = 0.05;
  int every = 10;
  double blend = 1;
  bool embedding = true;

  bool On() const { return kind != "none"; }
  void VisitFields(FieldVisitor& v) {
    v.Text("average", kind, {"none", "ema", "mean"},
           "of the weights of late steps, blended into the model that is evaluated and saved; mean: all count alike");
    v.Real("average_fraction", fraction, 1e-6, 1, "last part of the budget, whose weights are averaged");
    v.Real("average_horizon", horizon, 1e-6, 1e6,
           "of ema, as a part of the budget: weights from so long ago count a factor of e less");
    v.Int("average_every", every, 1, 1 << 30, "steps between weights that are averaged");
    v.Real("average_blend", blend, 0, 1, "share of the average in the model; the rest are the last step's weights");
    v.Bool("average_embedding", embedding,
           "whether embedding and tables are averaged too; else they are the last step's");
  }
};

class WeightAverage {
 public:
  // `bank`: allocated; must outlive this.
  WeightAverage(const AverageConfig& config, ParamBank& bank);
  WeightAverage(const WeightAverage&) = delete;  // Blend points to it
  WeightAverage& operator=(const WeightAverage&) = delete;

  // After each step: `fraction` of the budget is done. Takes the weights in where it is their turn; before the last
  // part of the budget there is no average.
  void AfterStep(int64_t step, double fraction);
  // Forgets the average: another budget has another last part.
  void Restart() { mass_ = 0; }
  bool begun() const { return mass_ > 0; }

  // While one lives, the bank's values are the blend, if an average has begun. One at a time.
  class Blend {
   public:
    explicit Blend(WeightAverage& average);
    ~Blend();
    Blend(const Blend&) = delete;
    Blend& operator=(const Blend&) = delete;

   private:
    WeightAverage* average_;  // null: nothing to do
  };

  // "average" and "raw" of every parameter that is averaged; raw, the weights as they are trained, while a Blend lives.
  const ParamState& state() const { return state_; }
  ParamState& state() { return state_; }
  // The bank's values become "raw" again, as when a Blend ends.
  void TakeRaw();

  // What a checkpoint has beside the state; nothing where no average is kept.
  void VisitFields(FieldVisitor& v);

 private:
  // Calls visit(values, average, raw, count) for each parameter that is averaged.
  template <class Visit>
  void ForEach(const Visit& visit) const;

  AverageConfig config_;
  ParamBank& bank_;
  ParamState state_;
  double mass_ = 0;      // sum of the shares of what was averaged, the last one's being 1; 0: there is no average
  double fraction_ = 0;  // of the budget, when the last one was taken in
};

}  // namespace flashlm
