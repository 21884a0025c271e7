// One text to be written: what is asked for, and who listens.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "eval/scorer.h"
#include "infer/likely_tokens.h"
#include "infer/sampler.h"

namespace flashlm {

// A token that was drawn, and what the model said before it was.
struct DrawnToken {
  int32_t token = 0;
  float log_p = 0;                  // of the model itself, whatever the sampler makes of it
  std::vector<LikelyToken> likely;  // best first; as many as were asked for
  bool has_value = false, has_gate = false;
  float value = 0;  // the value head's: mean nats that it expects of the next tokens
  float gate = 0;   // the counted n-grams' share in the prediction
  int depth = 0;    // passes through the reasoning engine for this prediction; 0: there is no engine
};

enum class StreamEnd : uint8_t {
  kEos,       // the document's end
  kLength,    // as many tokens as were asked for
  kStop,      // the listener has enough
  kTime,      // the request's time is over
  kGone,      // nobody listens any more
  kShutdown,  // the server ends
  kFailed,    // the model failed
};

// Called by the inference thread, which waits meanwhile; OnToken and OnPause by any thread that decodes, for several
// texts at once.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual bool wanted() const = 0;
  // Of the prompt that was to be scored, before any token.
  virtual void OnScored(ScoredText prompt) = 0;
  // Where the prompt's reading began: so many of its tokens were known.
  virtual void OnStart(int64_t known_tokens) = 0;
  // False: no more are wanted. The closing <eos> is given, too.
  virtual bool OnToken(DrawnToken token) = 0;
  // There will be no more for a while: other texts' turn, or the end.
  virtual void OnPause() = 0;
  // Once, at the end.
  virtual void OnEnd(StreamEnd end) = 0;
};

struct StreamJob {
  size_t model = 0;
  std::vector<int32_t> prompt;  // from <eos> on
  SamplerConfig sampler;
  int64_t number = 0;  // of the texts of one prompt: each has random numbers of its own
  int max_tokens = 0;
  int likely = 0;
  bool score_prompt = false;
  std::chrono::steady_clock::time_point deadline;
  std::string client;  // whose turn it is to be served is decided among clients
  std::shared_ptr<StreamListener> listener;
};

}  // namespace flashlm
