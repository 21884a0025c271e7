#include "base/parallel.h"
#include "io/bank_files.h"
#include "kernels/isa.h"
#include "train/run.h"

namespace flashlm {

void Run::Restore(const OpenedCheckpoint& from) {
  const Json& state = from.trainer_state;
  data_.ExpectTokenizer(state.at("tokenizer").get<std::string>(), "the run");
  LoadValues(from.model_path, model_->bank());
  LoadState(from.optimizer_path, model_->bank(), step_.optimizer().state());
  model_->bank().Touch();
  progress_ = {state.at("step").get<int64_t>(), state.at("seconds").get<double>(),
               state.at("best_bits_per_byte").get<double>(), state.at("evaluations").get<int64_t>()};
  step_.state() = {state.at("updates").get<int64_t>(), state.at("skipped").get<int64_t>(),
                   state.at("skipped_in_a_row").get<int64_t>(), state.at("mean_norm").get<double>()};
  published_step_ = progress_.step;
  if (state.at("cpu") != kernels::CpuName() || state.at("threads") != ThreadCount() ||
      state.at("isa") != kernels::NameOf(kernels::ActiveIsa()) || state.at("precision") != NameOf(dtype_)) {
    Say("note: this CPU, instruction set or number of threads differs from the run's; it goes on, but not bit for "
        "bit");
  }
}

Json Run::TrainerState() {
  const StepState& guard = step_.state();
  Json state;
  state["run"] = config_.ToJson();
  state["step"] = progress_.step;
  state["tokens"] = Tokens();
  state["next_sequence"] = progress_.step * reader_.batch();
  state["seconds"] = Seconds();
  state["evaluations"] = progress_.evaluations;
  state["best_bits_per_byte"] = progress_.best_bits_per_byte;
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
  const CheckpointContent content{model_->config(), model_->bank(), step_.optimizer().state(), tokenizer_json_,
                                  TrainerState()};
  PublishCheckpoint(folder_, progress_.step, content, is_best, config_.train.keep_checkpoints);
  published_step_ = progress_.step;
}

}  // namespace flashlm
