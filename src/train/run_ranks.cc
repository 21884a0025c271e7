// What the ranks of a run tell each other beside gradients.
#include "base/progress.h"
#include "train/run.h"

namespace flashlm {

// The first rank has made or read the parameters, and what a checkpoint has; the others begin with the same.
void Run::ShareStart() {
  const std::string state = ranks_->Broadcast(Writes() ? TrainerState().dump() : "");
  ParamBank& bank = model_->bank();
  ranks_->Broadcast(bank.values(), static_cast<size_t>(bank.size()) * sizeof(float));
  for (const ParamState::Array& array : step_.optimizer().state().arrays()) {
    ranks_->Broadcast(array.data.get(), static_cast<size_t>(array.size) * sizeof(float));
  }
  bank.Touch();
  if (!Writes()) TakeState(ParseJson(state, "rank 0"));
  bytes_logged_ = ranks_->bytes_sent();
}

// All that follows from a step (whether the budget is used up, what grows, when the rate falls) is worked out by every
// rank from these.
double Run::Agree(double seconds) {
  struct {
    double seconds;
    double stop;
  } said{seconds, StopWantedHere() ? 1.0 : 0.0};
  ranks_->Broadcast(&said, sizeof(said));
  stop_agreed_ = said.stop != 0;
  return said.seconds;
}

void Run::LogExchange(Json& line, const StepSize& size) {
  const int64_t sent = ranks_->bytes_sent();
  line["ranks"] = ranks_->size();
  line["sent_bytes_per_token"] = static_cast<double>(sent - bytes_logged_) / static_cast<double>(size.Tokens());
  line["exchange_ms"] = 1e3 * step_.TakeExchangeSeconds();
  bytes_logged_ = sent;
}

}  // namespace flashlm
