// Training a model into a run folder, as `flashlm train` does.
#pragma once

#include <flashlm/export.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm::FLASHLM_API {

// What `flashlm train --help` lists, in the same words. A budget is one of time, hours, tokens and steps; without any
// it is 10 minutes.
struct TrainConfig {
  std::string data = {};              // folder made by `flashlm data prepare`
  std::string out = {};               // run folder to make
  std::string resume = {};            // instead of out: the run folder to go on with
  std::string start = {};             // a model whose values and shape a new run starts with; empty: from its seed
  std::string preset = {};            // a name or a .toml file; empty: flagship, whose size the budget chooses
  std::string recipe = {};            // a name or a .toml file; empty: the preset's own
  std::string time = {};              // of training, as "90s", "10m", "2h"
  std::string hours = {};             // as "1.5"
  std::string tokens = {};            // as "10M"
  std::string steps = {};             // of the optimiser, as "500"; of a resumed run "+50" are 50 more than it had
  std::vector<std::string> set = {};  // settings, as "train.checkpoint_every=100"
  std::optional<uint64_t> seed = {};  // of parameters, data order and dropout; 1 without it
  bool tensorboard = false;           // write TensorBoard event files into the run folder, too
};

// Given after every step and every evaluation.
struct TrainProgress {
  bool evaluation = false;     // of held-out text, after a step; else of the step's own
  int64_t step = 0;            // done
  int64_t tokens = 0;          // read
  double fraction = 0;         // of the budget that is done, 0 to 1
  double loss = 0;             // nats per token
  double bits_per_byte = 0;    // the same
  double tokens_per_s = 0;     // of the step; of an evaluation: as it reads
  std::string_view line = {};  // of log.jsonl: all there is to know, as JSON. Valid during the call
};

struct TrainResult {
  bool finished = false;  // false: the callback ended it; what was trained is saved and can be resumed
  std::string run = {};   // its folder, which Model::Load opens
  int64_t step = 0, tokens = 0;
  double bits_per_byte = 0;  // of held-out text, if finished
  std::string results = {};  // results.json, as JSON, if finished
};

// Trains on the calling thread, with as many others as OpenMP has for it, until the budget is done or on_progress
// returns false; then all is saved first. An exception of on_progress ends training in the same way and is thrown on.
// Throws Error before any work if something is wrong with the configuration, the data or the folder.
FLASHLM_EXPORT TrainResult Train(const TrainConfig& config,
                                 const std::function<bool(const TrainProgress& progress)>& on_progress = {});

// Gives the handler what the program flashlm would tell on its screen: progress of training, checkpoints that are
// damaged and passed over. The library itself prints nothing. It may be called by any thread that uses the library,
// by one at a time, must not throw, and may set another handler; an empty one ends it.
FLASHLM_EXPORT void SetMessageHandler(std::function<void(std::string_view line)> handler);

}  // namespace flashlm::FLASHLM_API
