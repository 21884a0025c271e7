// How fast a preset trains here: tokens per second, the share of the measured matrix-product peak, where the time goes.
#pragma once

#include <string>

#include "cluster/network.h"
#include "cluster/ranks.h"
#include "train/config.h"

namespace flashlm {

struct ThroughputOptions {
  int warmup_steps = 2;
  int steps = 5;
};

// Trains on random tokens. `table`: a text table of time per kind of operation, from a profiled step of its own.
// JSON keys: tokens_per_s (median over steps), tokens_per_s_min, tokens_per_s_max, gemm_gflops_peak (of the type that
// products are of), model_flops_per_token, fraction_of_peak, peak_rss_mb, threads, isa, precision, products, cpu,
// operations; and with products of int8 gradient_noise: of each layer, how much these change the gradient of a
// micro-batch relative to that of f32 after these steps, and how much the type of its tensors does without them.
Json MeasureTraining(RunConfig config, const ThroughputOptions& options, std::string* table);

// Seconds that a run takes per token, growth of its steps included: medians over steps on random tokens for about
// `seconds` of time.
double SecondsPerToken(RunConfig config, double seconds);

// A step of `config` as it is here, on random tokens, and what it would be on other numbers of machines.
struct SharedStep {
  StepCost cost;
  int64_t tokens = 0;
  double seconds = 0, exchange_seconds = 0;  // medians, as measured with the ranks that there are
};
// `ranks`: that share it; null: this process is alone.
SharedStep MeasureSharedStep(RunConfig config, int steps, Ranks* ranks);

}  // namespace flashlm
