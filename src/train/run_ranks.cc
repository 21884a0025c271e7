// What the ranks of a run tell each other beside gradients.
#include <utility>

#include "base/progress.h"
#include "train/run.h"

namespace flashlm {

// The first rank has made or read the parameters, and what a checkpoint has; the others begin with the same.
void Run::ShareStart() {
  const std::string state = ranks_->Broadcast(Writes() ? TrainerState().dump() : "");
  ParamBank& bank = model_->bank();
  const auto share = [&](float* data, int64_t size) {
    ranks_->Broadcast(data, static_cast<size_t>(size) * sizeof(float));
  };
  share(bank.values(), bank.size());
  for (const ParamState::Array& array : step_.optimizer().state().arrays()) share(array.data.get(), array.size);
  if (outer_) share(outer_->state().arrays()[0].data.get(), outer_->state().arrays()[0].size);
  bank.Touch();
  if (!Writes()) TakeState(ParseJson(state, "rank 0"));
  ranks_->SetPatience(config_.train.cluster.patience);
  bytes_logged_ = ranks_->bytes_sent();
  tokens_logged_ = Tokens();
}

bool Run::Synced() const {
  if (!Local() || progress_.step % config_.train.cluster.sync_every == 0) return true;
  return budget_.kind != "time" && Fraction() >= 1;  // the last round may be shorter
}

// All that follows from a step (whether the budget is used up, what grows, when the rate falls) is worked out by every
// rank from these.
void Run::Agree(double& seconds) {
  struct {
    double seconds;
    bool stop, saves;
  } said{seconds, StopWantedHere(), false};
  said.saves = Writes() && (plan_.Any() || said.stop || Done());
  ranks_->Broadcast(&said, sizeof(said));
  seconds = said.seconds;
  stop_agreed_ = said.stop;
  if (said.saves) step_.CollectState();
}

void Run::MakeOuterStep(double seconds) {
  if (ranks_ != nullptr) ranks_->SetPatience(config_.train.cluster.PatienceFor(round_seconds_ + seconds));
  const Stopwatch watch;
  outer_->Run();
  outer_seconds_ += watch.Seconds();
}

void Run::LogExchange(Json& line) {
  if (!Synced()) return;
  const int64_t sent = ranks_->bytes_sent(), tokens = Tokens();
  line["ranks"] = ranks_->size();
  line["sent_bytes_per_token"] =
      static_cast<double>(sent - bytes_logged_) / static_cast<double>(tokens - tokens_logged_);
  line["exchange_ms"] = 1e3 * (step_.TakeExchangeSeconds() + std::exchange(outer_seconds_, 0.0));
  bytes_logged_ = sent;
  tokens_logged_ = tokens;
}

}  // namespace flashlm
