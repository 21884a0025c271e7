// One training run at work: what it holds, and what it does between two steps. Starting and resuming are trainer.h's.
//
// run.cc has the steps and their log lines, run_checkpoint.cc what goes into a checkpoint and back, run_evaluation.cc
// evaluations, samples and results.json, run_ranks.cc what several processes that share a run tell each other.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/files.h"
#include "cluster/outer_step.h"
#include "cluster/ranks.h"
#include "data/shards.h"
#include "eval/evaluate.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "train/amplification.h"
#include "train/average.h"
#include "train/growth.h"
#include "train/phases.h"
#include "train/reading.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/trainer.h"
#include "train/validation.h"

namespace flashlm {

// What trainer.json holds beside the configuration, the guard's state and the machine.
struct Progress {
  int64_t step = 0;                            // steps done, skipped ones included
  int64_t next_sequence = 0;                   // the data cursor: sequences of train.sequence_length that were read
  double seconds = 0;                          // of training steps, over all sessions
  double seconds_evaluating = 0;               // of evaluations, samples and checks
  double step_seconds = 0;                     // running mean, for the last step of a time budget
  int64_t evaluations = 0, dev_documents = 0;  // dev_documents: of each, fixed by the first; 0: none yet
  int64_t evaluated_step = -1;                 // the last
  double evaluation_seconds = 0;               // what it took, with its sample
  int64_t best_step = -1;                      // -1: none yet
  double best_bits_per_byte = 0, best_nats = 0;
  // At the end, on the documents of an evaluation on the way: with the average of weights and without; 0: none.
  double averaged_bits_per_byte = 0, raw_bits_per_byte = 0;

  void VisitFields(FieldVisitor& v);
};

// The schedule's factor while the rate is constant, but for rounding.
inline constexpr double kFullRate = 1 - 1e-9;

class Run {
 public:
  // `lock`: of `folder`. `from`: where to go on; without it from the start. `ranks`: that share the run, of which the
  // first alone has the folder, its lock and `from`; null: this process is alone. Nothing is exchanged yet.
  Run(RunConfig config, const std::string& folder, FolderLock lock, const std::optional<OpenedCheckpoint>& from,
      RunHooks hooks, Ranks* ranks);
  TrainSummary Go();

 private:
  void StartFrom(const std::string& model);
  void Restore(const OpenedCheckpoint& from);
  void TakeState(const Json& state);  // as TrainerState gives it
  // --- with other ranks (run_ranks.cc) ---
  bool Writes() const { return ranks_ == nullptr || ranks_->first(); }
  void ShareStart();
  bool Local() const { return config_.train.cluster.Local(); }
  bool Synced() const;  // whether all ranks have the same weights, so that these may be measured and saved
  // What the first rank decides after a step, or a round of local ones, to all; what it needs for a checkpoint to it.
  void Agree(double& seconds);
  void MakeOuterStep(double seconds);  // of the round's last step, so far
  void LogExchange(Json& line);
  void RestoreAverage(const OpenedCheckpoint& from);
  void RestoreOuter(const OpenedCheckpoint& from);
  void CountNGrams(const std::string& checksum);  // of the run so far, if it has one
  void TakeSupersededBest();
  void Announce() const;
  int64_t Tokens() const { return progress_.next_sequence * config_.train.sequence_length; }
  double Fraction() const { return budget_.Fraction(progress_.seconds, Tokens(), progress_.step); }
  // The same of the budget's schedule, which after an extension may begin where that did.
  double ScheduleFraction() const { return config_.ScheduleFraction(progress_.seconds, Tokens(), progress_.step); }
  bool Done() const;
  bool StopWanted() const;      // of all ranks
  bool StopWantedHere() const;  // of this process
  double NextRate() const;
  // Whether the last step was in the constant part of a schedule that falls afterwards.
  bool RateWasConstant() const { return config_.optim.schedule == "linear" && last_rate_ > kFullRate; }
  bool OneStep();  // false: interrupted, nothing was done
  void FinishStep(const StepOutcome& outcome, const StepSize& size, double factor, double seconds);
  void CountSeconds(double seconds);
  void BeginRound();
  void PlanNext();
  void AfterStep();
  bool WriteRound();  // stories to train with, where they are due; likewise
  void Grow();
  void EnterPhase();
  void Log(const Json& line);
  double OwnShare() const;
  ReadingPart Part() const;
  void LogStep(const StepOutcome& outcome, const StepSize& size, double factor, double seconds);
  void GiveUpIfDiverged() const;
  TrainSummary Stop();
  bool Passed(int every) const;  // whether so many steps, or a multiple, were made by the last round
  bool EvaluationDue() const;
  bool EvaluationAffordable() const;
  EvaluationTime TimeForEvaluations() const;
  double EvaluationsInBudget() const;
  EvalResult EvaluateOn(std::span<const std::string_view> documents, const EvalOptions& options);
  EvalResult EvaluateDev();  // of the bank's values
  EvalResult EvaluateBlend();
  void CompareWithRaw(double averaged, Json& line);
  void EvaluateAndPublish();
  void Publish(bool is_best);
  void Sample();
  Json TrainerState();
  RunResult Results();
  std::optional<RunResult> Reported() const;  // what results.json has of this step
  void CheckCausal(double tokens_per_s, double seconds, RunResult& results);

  RunConfig config_;
  Budget budget_;  // the one in force
  std::string folder_;
  FolderLock lock_;
  RunHooks hooks_;
  Ranks* ranks_;
  TokenData data_;
  Tokenizer tokenizer_;
  std::string tokenizer_json_;
  Validation validation_;
  DType dtype_;
  Amplification amplification_;
  Reading reading_;
  std::unique_ptr<Model> model_;
  TrainingStep step_;
  WeightAverage average_;
  Growth growth_;
  Phases phases_;
  Progress progress_;
  std::unique_ptr<RunLog> log_;
  std::optional<AmplificationRound> round_;  // before the next step; for its line of the log
  std::vector<int32_t> inputs_, targets_;
  std::vector<int64_t> positions_;  // of the targets in the data; empty where nobody asks
  int64_t published_step_ = -1;
  double last_rate_ = 0;  // the schedule's factor in the last step; 0: none in this session
  // What is due before the next step, as the process that writes has it.
  struct Plan {
    bool evaluate = false, sample = false, publish = false;
    bool Any() const { return evaluate || sample || publish; }
  };
  Plan plan_;
  // A round is one step, or with local steps those between two exchanges of weights.
  int64_t round_step_ = 0;                        // the last step before it
  double round_fraction_ = 0;                     // of the budget, then
  double outer_seconds_ = 0;                      // of outer steps, since the last line of log.jsonl
  double round_seconds_ = 0;                      // of its steps so far
  std::unique_ptr<OuterStep> outer_;              // null: no local steps
  bool stop_agreed_ = false;                      // with the other ranks
  int64_t bytes_logged_ = 0, tokens_logged_ = 0;  // what this rank has sent by the last line of log.jsonl
};

}  // namespace flashlm
