#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "infer/loaded_model.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/run_folder.h"
#include "kernels/isa.h"
#include "train/known_fields.h"
#include "train/run.h"

namespace flashlm {

void Progress::VisitFields(FieldVisitor& v) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr double kAny = std::numeric_limits<double>::infinity();
  v.Int64("step", step, 0, kMost, "steps done");
  v.Int64("next_sequence", next_sequence, 0, kMost, "the data cursor");
  v.Real("seconds", seconds, 0, kAny, "of training steps");
  v.Real("seconds_evaluating", seconds_evaluating, 0, kAny, "of evaluations, samples and checks");
  v.Real("step_seconds", step_seconds, 0, kAny, "mean of late");
  v.Int64("evaluations", evaluations, 0, kMost, "on the way");
  v.Int64("dev_documents", dev_documents, 0, kMost, "of each");
  v.Int64("evaluated_step", evaluated_step, -1, kMost, "the last");
  v.Real("evaluation_seconds", evaluation_seconds, 0, kAny, "of the last");
  v.Int64("best_step", best_step, -1, kMost, "the best");
  v.Real("best_bits_per_byte", best_bits_per_byte, 0, kAny, "of the best");
  v.Real("best_nats", best_nats, 0, kAny, "per token, of the best");
  v.Real("averaged_bits_per_byte", averaged_bits_per_byte, 0, kAny, "at the end");
  v.Real("raw_bits_per_byte", raw_bits_per_byte, 0, kAny, "at the end, without the average");
}

// The values of another model, which must be of the same shape and read the same tokens.
void Run::StartFrom(const std::string& model) {
  const LoadedModel start = LoadModel(model);
  data_.ExpectTokenizer(start.tokenizer.Hash(), fmt::format("the model '{}'", model));
  const ParamBank &from = start.model->bank(), &to = model_->bank();
  const auto refuse = [&](const std::string& name) {
    throw Error(fmt::format("'{}' cannot start this run: parameter '{}' is not the same in both", model, name),
                "leave out settings of [model] that change its shape");
  };
  RefuseLostFloats(start, "start a run", "start from");
  if (from.infos().size() != to.infos().size()) refuse(to.infos().back().name);
  for (const ParamInfo& info : to.infos()) {
    const ParamInfo* other = from.Find(info.name);
    if (other == nullptr || other->shape != info.shape) refuse(info.name);
    std::copy_n(from.values() + other->offset, info.size, to.values() + info.offset);
  }
  for (size_t i = 0; i < to.tables().size(); ++i) {
    const SparseTable& table = *to.tables()[i];
    const bool same = i < from.tables().size() && from.tables()[i]->name() == table.name() &&
                      from.tables()[i]->size() == table.size();
    if (!same) refuse(table.name());
    std::copy_n(from.tables()[i]->values(), table.size(), table.values());
  }
  model_->bank().Touch();
}

void Run::Restore(const OpenedCheckpoint& from) {
  const Json& state = from.trainer_state;
  data_.ExpectTokenizer(state.at("tokenizer").get<std::string>(), "the run");
  LoadValues(from.model_path, model_->bank());
  LoadState(from.optimizer_path, model_->bank(), step_.optimizer().state());
  model_->bank().Touch();
  RestoreAverage(from);
  TakeState(state);
  Grow();  // a shorter budget is further
  TakeSupersededBest();
  published_step_ = progress_.step;
  if (state.at("cpu") != kernels::CpuName() || state.at("threads") != ThreadCount() ||
      state.at("isa") != kernels::NameOf(kernels::ActiveIsa()) || state.at("precision") != NameOf(dtype_)) {
    Say("note: this CPU, instruction set or number of threads differs from the run's; it goes on, but not bit for "
        "bit");
  }
}

void Run::TakeState(const Json& state) {
  KnownFieldsFromJson(state, "trainer.json", progress_);
  KnownFieldsFromJson(state, "trainer.json", growth_);
  KnownFieldsFromJson(state, "trainer.json", phases_);
  EnterPhase();
  if (!phases_.empty()) {
    KnownFieldsFromJson(state, "trainer.json", amplification_);
    if (Writes()) amplification_.Restore(*model_, progress_.step);
    reading_.Restore(Part());
    KnownFieldsFromJson(state, "trainer.json", reading_);
  }
  step_.state() = {IntegerAt(state, "updates"), IntegerAt(state, "skipped"), IntegerAt(state, "skipped_in_a_row"),
                   state.at("mean_norm").get<double>()};
}

// The model of a checkpoint is the blend; training goes on from the weights that are in it.
void Run::RestoreAverage(const OpenedCheckpoint& from) {
  if (from.average_path.empty()) return;
  LoadState(from.average_path, model_->bank(), average_.state());
  average_.TakeRaw();
  KnownFieldsFromJson(from.trainer_state, "trainer.json", average_);
  const size_t then = RunConfig::FromJson(from.trainer_state.at("run")).extensions.size();
  if (then < config_.extensions.size()) average_.Restart();
}

void Run::RestoreOuter(const OpenedCheckpoint& from) {
  if (outer_ && !from.outer_path.empty()) LoadState(from.outer_path, model_->bank(), outer_->state());
}

// Gone back behind its best checkpoint, the run has a better one only when it beats that.
void Run::TakeSupersededBest() {
  const std::string best = LinkedFolder(folder_, RunLink::kBest);
  if (best.empty() || !IsSuperseded(best)) return;
  Progress then;
  KnownFieldsFromJson(OpenCheckpoint(best, OpenFor::kInference).trainer_state, "trainer.json", then);
  progress_.best_step = then.best_step;
  progress_.best_bits_per_byte = then.best_bits_per_byte;
  progress_.best_nats = then.best_nats;
}

Json Run::TrainerState() {
  const StepState& guard = step_.state();
  Json state;
  state["run"] = config_.ToJson();
  state.update(FieldsToJson(progress_));
  state.update(FieldsToJson(average_));
  state.update(FieldsToJson(growth_));
  state.update(FieldsToJson(phases_));
  if (!phases_.empty()) {
    state.update(FieldsToJson(reading_));
    state.update(FieldsToJson(amplification_));
  }
  state["tokens"] = Tokens();
  state["updates"] = guard.updates;
  state["skipped"] = guard.skipped;
  state["skipped_in_a_row"] = guard.skipped_in_a_row;
  state["mean_norm"] = guard.mean_norm;
  state["tokenizer"] = tokenizer_.Hash();
  state["cpu"] = kernels::CpuName();
  state["isa"] = kernels::NameOf(kernels::ActiveIsa());
  state["threads"] = ThreadCount();
  state["precision"] = NameOf(dtype_);
  return state;
}

void Run::Publish(bool is_best) {
  const WeightAverage::Blend blend(average_);
  const CheckpointContent content{model_->config(),
                                  model_->bank(),
                                  step_.optimizer().state(),
                                  tokenizer_json_,
                                  TrainerState(),
                                  average_.begun() ? &average_.state() : nullptr,
                                  model_->ngram() == nullptr ? "" : FileIn(folder_, kNGramFile),
                                  outer_ ? &outer_->state() : nullptr};
  PublishCheckpoint(folder_, progress_.step, content, {.best = is_best, .before_decay = RateWasConstant()},
                    config_.train.keep_checkpoints);
  published_step_ = progress_.step;
}

}  // namespace flashlm
