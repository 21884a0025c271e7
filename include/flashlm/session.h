// Writing text: a session is a stream of tokens through a model, which keeps what it has read, so that a further token
// costs the same however long the stream is.
#pragma once

#include <flashlm/export.h>
#include <flashlm/model.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm::FLASHLM_API {

// How tokens are chosen. Values out of range are refused (Error) when a text is begun.
struct GenerateOptions {
  int max_tokens = 200;
  double temperature = 0.8;      // divides the logits; 0: always the most probable token
  int top_k = 0;                 // keep the k most probable tokens; 0: all
  double top_p = 0.95;           // keep the shortest list of tokens whose mass exceeds p; 1: all
  double min_p = 0;              // drop tokens below this fraction of the best one's probability
  double frequency_penalty = 0;  // taken from a logit per recent occurrence
  int penalty_window = 100;      // tokens back that count as recent
  int64_t seed = 1;              // the same seed writes the same text
  int search = 0;                // weigh this many candidates with the model's value head; 0: sample
  double search_beta = 1;        // weight of the value head in the search
};

enum class StopReason : unsigned char {
  kEos,     // the model has ended the text
  kLength,  // max_tokens are written
  kRequest  // the caller has had enough
};

struct Generation {
  std::string text = {};             // without the prompt; always valid UTF-8: broken characters are U+FFFD
  std::vector<int32_t> tokens = {};  // without the closing <eos>
  StopReason stop_reason = StopReason::kLength;
  int prompt_tokens = 0;  // without the <eos> that is read before every document
  double prompt_tokens_per_s = 0, tokens_per_s = 0;
};

// For one thread at a time: a call while another thread is in one is refused (Error). Sessions of one model may run
// at the same time; they take turns, token by token.
class FLASHLM_EXPORT Session {
 public:
  // precision: as for Model, but "auto" is what decodes fastest here.
  explicit Session(const Model& model, const std::string& precision = "auto");

  // Reads T >= 1 more tokens. The result, [V], is the natural logarithms of the probabilities of what follows; it is
  // valid until the next call.
  std::span<const float> Feed(std::span<const int32_t> ids);
  // Tokens read since the beginning; any thread may ask.
  int64_t position() const;
  // Back to the beginning.
  void Reset();

  // A new text: reads <eos> and the prompt, then writes. on_text gets what is written piece by piece, each of whole
  // characters, and ends the text by returning false; it may be empty. It may not use this session.
  Generation Generate(std::string_view prompt, const GenerateOptions& options = {},
                      const std::function<bool(std::string_view piece)>& on_text = {});

  // What products read: "f32", "bf16" or "int8".
  const std::string& precision() const;

 private:
  friend class Generator;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// The same, one token at a time:
//   for (Generator story(session, "Once upon a time"); story.Next();) std::cout << story.piece();
class FLASHLM_EXPORT Generator {
 public:
  // Reads <eos> and the prompt. Whatever else the session is then used for ends this text: Next throws Error.
  Generator(Session& session, std::string_view prompt, const GenerateOptions& options = {});
  ~Generator();
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;

  // Writes one token more. False when the text has ended.
  bool Next();
  // What has become readable by it: whole characters, maybe none. Valid until the next call.
  std::string_view piece() const;
  // Ends the text here. This and what follows may be called by another thread than the one that writes.
  void Stop();
  // All that was written so far.
  Generation generation() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flashlm::FLASHLM_API
