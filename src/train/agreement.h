// What must be alike on all ranks of a run before its first step.
#pragma once

#include "cluster/ranks.h"
#include "train/config.h"

namespace flashlm {

// Of what the machine chooses, rank 0's choice counts: train.precision and train.products where they are "auto".
void ShareChoices(Ranks& ranks, const TrainConfig& measured_by_first, TrainConfig& train);

// Throws on all ranks, naming the first rank that differs from rank 0 in its program, data, instruction set, products
// or settings.
void RequireAgreement(Ranks& ranks, const RunConfig& config);

}  // namespace flashlm
