#include <flashlm/train.h>

#include <cmath>
#include <exception>
#include <utility>

#include "api/errors.h"
#include "base/listener.h"
#include "train/request.h"

namespace flashlm::api {
namespace {

TrainRequest ToEngine(const TrainConfig& config) {
  return {.data = config.data,
          .out = config.out,
          .resume = config.resume,
          .start = config.start,
          .preset = config.preset,
          .recipe = config.recipe,
          .budget = {config.time, config.hours, config.tokens, config.steps},
          .sets = config.set,
          .seed = config.seed};
}

// Of a line of log.jsonl; `text`: the same as text.
TrainProgress ToApi(const Json& line, double fraction, const std::string& text) {
  const bool evaluation = line.contains("eval_step");
  const Json& numbers = evaluation ? line.at("eval") : line;
  return {.evaluation = evaluation,
          .step = line.at(evaluation ? "eval_step" : "step").get<int64_t>(),
          .tokens = line.at("tokens").get<int64_t>(),
          .fraction = std::min(1.0, fraction),
          .loss = numbers.at(evaluation ? "nats_per_token" : "cross_entropy").get<double>(),
          .bits_per_byte = numbers.at("bits_per_byte").get<double>(),
          .tokens_per_s = numbers.at("tokens_per_s").get<double>(),
          .line = text};
}

}  // namespace

TrainResult Train(const TrainConfig& config, const std::function<bool(const TrainProgress& progress)>& on_progress) {
  bool stop = false;
  std::exception_ptr failure;
  RunHooks hooks;
  hooks.tensorboard = config.tensorboard;
  hooks.stop_requested = [&] { return stop; };
  if (on_progress) {
    hooks.on_line = [&](const Json& line, double fraction) {
      if (stop) return;  // what is logged on the way out
      const std::string text = ToText(line);
      try {
        stop = !on_progress(ToApi(line, fraction, text));
      } catch (...) {
        stop = true;
        failure = std::current_exception();
      }
    };
  }
  TrainSummary summary;
  try {
    summary = TrainAsRequested(ToEngine(config), std::move(hooks));
  } catch (...) {
    if (!failure) Translate();  // else the caller's own came first
  }
  if (failure) std::rethrow_exception(failure);
  TrainResult result{.finished = summary.finished,
                     .run = config.resume.empty() ? config.out : config.resume,
                     .step = summary.step,
                     .tokens = summary.tokens};
  if (summary.finished) {
    result.bits_per_byte = summary.results.val_bits_per_byte;
    result.results = ToText(ToJson(summary.results), 2);
  }
  return result;
}

void SetMessageHandler(std::function<void(std::string_view line)> handler) {
  Guarded([&] {
    if (!handler) return SetListener({});
    SetListener([handler = std::move(handler)](const std::string& line) { handler(line); });
  });
}

}  // namespace flashlm::api
