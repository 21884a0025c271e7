// A trained model: what it thinks of a text.
#pragma once

#include <flashlm/export.h>
#include <flashlm/tokenizer.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm::FLASHLM_API {

// How well a model predicts text: every document is read from <eos> on to its closing <eos>.
struct Evaluation {
  double bits_per_byte = 0, bits_per_char = 0, nats_per_token = 0;
  double stderr_bits_per_byte = 0;  // over documents; 0 for a single one
  int64_t bytes = 0, tokens = 0, documents = 0;
  double seconds = 0;
};

// A handle that is cheap to copy; all copies are one model. Any number of threads may use a model, and sessions of
// it, at the same time: it computes for one of them at a time (on all cores), in the order in which they asked.
//
// `precision` is what matrix products read: "f32", "bf16" or "int8", or "auto". That is the type in which the model's
// run was trained and evaluated, where this CPU has it, so that figures agree with the run's. Error where this CPU
// would have to emulate a type.
class FLASHLM_EXPORT Model {
 public:
  // Opens whatever `flashlm generate --model` does: a run folder (its best checkpoint, or else the newest), one of
  // its checkpoints, a model folder, a packed file. Throws Error naming the file and what is wrong with it.
  static Model Load(const std::string& path);

  Tokenizer tokenizer() const;
  int vocab() const;                        // V
  const std::string& architecture() const;  // as in "cortex-viii"
  int64_t parameters() const;
  const std::string& folder() const;  // that was read
  int64_t step() const;               // of the checkpoint; -1 for a model folder
  std::string config() const;         // config.json, as JSON

  // How often every token passes through the model's reasoning engine from now on; 0: as often as the model finds
  // right. Throws Error for a depth, or a model, that has none.
  void SetDepth(int depth);

  // nats[i] = -ln p(ids[i] | <eos>, ids[0] .. ids[i-1]): a document is scored if ids end with Tokenizer::kEos. Any
  // length.
  std::vector<float> Score(std::span<const int32_t> ids, const std::string& precision = "auto") const;

  // What follows each token of a stream that begins with ids[0], which for a document is Tokenizer::kEos. [T,V], row
  // by row: natural logarithms of probabilities, that is, logits of which each row's exponentials sum to 1.
  std::vector<float> Logits(std::span<const int32_t> ids, const std::string& precision = "auto") const;
  // The same into memory of the caller's, [T,V].
  void Logits(std::span<const int32_t> ids, float* logits, const std::string& precision = "auto") const;

  // Documents are stripped of white space around them; Error if one is empty then.
  Evaluation Evaluate(std::span<const std::string_view> documents, const std::string& precision = "auto") const;
  // The documents of a file, as `flashlm eval --text` reads it: separated by lines <|endoftext|>.
  Evaluation EvaluateFile(const std::string& path, const std::string& precision = "auto") const;

 private:
  friend class Session;
  friend class Generator;
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace flashlm::FLASHLM_API
