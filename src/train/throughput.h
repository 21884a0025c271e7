// How fast a preset trains here: tokens per second, the share of the measured matrix-product peak, where the time goes.
#pragma once

#include <string>

#include "train/config.h"

namespace flashlm {

struct ThroughputOptions {
  int warmup_steps = 2;
  int steps = 5;
};

// Trains on random tokens. `table`: a text table of time per kind of operation, from a profiled step of its own.
// JSON keys: tokens_per_s (median over steps), tokens_per_s_min, tokens_per_s_max, gemm_gflops_peak,
// model_flops_per_token, fraction_of_peak, peak_rss_mb, threads, isa, precision, products, cpu, operations.
Json MeasureTraining(RunConfig config, const ThroughputOptions& options, std::string* table);

// Seconds that a run takes per token, growth of its steps included: medians over steps on random tokens for about
// `seconds` of time.
double SecondsPerToken(RunConfig config, double seconds);

}  // namespace flashlm
