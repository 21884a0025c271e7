// One training run at work: what it holds, and what it does between two steps. Starting and resuming are trainer.h's.
//
// run.cc has the steps and their log lines, run_checkpoint.cc what goes into a checkpoint and back, run_evaluation.cc
// evaluations, samples and results.json.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/progress.h"
#include "data/batches.h"
#include "data/shards.h"
#include "eval/evaluate.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/trainer.h"

namespace flashlm {

// What trainer.json holds beside the configuration.
struct Progress {
  int64_t step = 0;               // steps done, skipped ones included
  double seconds = 0;             // spent training, over all sessions
  double best_bits_per_byte = 0;  // 0: not evaluated yet
  int64_t evaluations = 0;
};

class Run {
 public:
  Run(RunConfig config, const std::string& folder, const std::optional<OpenedCheckpoint>& from);
  TrainSummary Go();

 private:
  void Restore(const OpenedCheckpoint& from);
  void Announce() const;
  int64_t Tokens() const { return progress_.step * config_.train.TokensPerStep(); }
  double Seconds() const { return progress_.seconds + (finished_ ? 0.0 : watch_.Seconds()); }
  double Fraction() const { return config_.budget.Fraction(Seconds(), Tokens(), progress_.step); }
  bool Done() const;
  void OneStep();
  void LogStep(const StepOutcome& outcome, double factor, double seconds);
  void GiveUpIfDiverged() const;
  bool EvaluationDue(double fraction_before) const;
  EvalResult EvaluateNow(size_t documents);
  void EvaluateAndPublish();
  void Publish(bool is_best);
  void Sample();
  Json TrainerState();
  Json Results();

  RunConfig config_;
  std::string folder_;
  FolderLock lock_;
  TokenData data_;
  Tokenizer tokenizer_;
  std::string tokenizer_json_;
  BatchReader reader_;
  std::string valid_text_;
  std::vector<std::string_view> valid_documents_;
  DType dtype_;
  std::unique_ptr<Model> model_;
  TrainingStep step_;
  Progress progress_;
  std::unique_ptr<RunLog> log_;
  std::vector<int32_t> inputs_, targets_;
  Stopwatch watch_;  // of this session
  bool finished_ = false;
  int64_t published_step_ = -1;
  double step_seconds_ = 0;  // running mean, for the last step of a time budget
  EvalResult last_eval_;
};

}  // namespace flashlm
