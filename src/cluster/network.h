// How long a step takes on how many machines: the network between ranks as two numbers, measured or stated, and what
// follows from them (docs/cluster.md#before-renting).
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/ranks.h"

namespace flashlm {

// In how many parts each rank's share of the parameters is cut: the more, the more of the gradient is on its way before
// the backward pass is over, and of the new values before the update is. Of many ranks each has few matrices anyway.
int PartsOfARank(int ranks);

struct Link {
  double latency = 0;    // seconds that a small message takes, one way
  double bandwidth = 0;  // bytes a second that a rank sends while it receives as many
};

// Of the slowest of the ranks, which all send at once.
Link MeasureLink(Ranks& ranks);

// Values whose gradient is complete after this share of the time of a pass forward and backward.
struct CompletedValues {
  double share = 1;
  int64_t values = 0;
};

// A step as one machine makes it.
struct StepCost {
  double passes = 0;                            // seconds forward and backward, of all sequences of the step
  double optimizer = 0;                         // seconds of the update
  int64_t sequences = 1;                        // of which a machine has whole ones
  int64_t parameters = 0;                       // values that travel
  double step_bytes = 4, difference_bytes = 4;  // of a gradient or a new value; of a difference of weights
  int leaves = 1, side_by_side = 1;             // passes of the step; how many a machine makes at a time
  std::vector<CompletedValues> completed = {};  // of a pass, in order; without: all with its end
};

// Seconds of a step on so many machines that exchange gradients; on one without exchange. A gradient travels as soon as
// it is complete, while the last passes go on, a new value as soon as its part is updated.
double StepSeconds(const StepCost& cost, const Link& link, int machines);
// How much longer it would take if nothing travelled before all passes, and all of the update, are over.
double HiddenSeconds(const StepCost& cost, const Link& link, int machines);
// The same where they make `every` steps of their own between two exchanges of weights.
double LocalStepSeconds(const StepCost& cost, const Link& link, int machines, int every);

}  // namespace flashlm
