// What must be alike on all ranks of a run before its first step.
#pragma once

#include "cluster/ranks.h"
#include "train/config.h"

namespace flashlm {

// First of all: throws on all ranks, naming the first rank that is another program than rank 0, or was asked for
// something else. asked: what it was asked for, without what is each machine's own business, as where a folder lies.
void RequireSameRequest(Ranks& ranks, const Json& asked);

// Of what the machine chooses, rank 0's choice counts: train.precision and train.products where they are "auto".
void ShareChoices(Ranks& ranks, const TrainConfig& measured_by_first, TrainConfig& train);

// Throws on all ranks, naming the first rank that differs from rank 0 in its data, instruction set, products or
// settings.
void RequireAgreement(Ranks& ranks, const RunConfig& config);

}  // namespace flashlm
