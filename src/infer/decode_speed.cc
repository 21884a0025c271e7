#include "infer/decode_speed.h"

#include <algorithm>
#include <vector>

#include "base/progress.h"
#include "infer/session.h"
#include "kernels/gemm/reading.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

double MedianMs(std::vector<double> seconds) {
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<int64_t>(seconds.size()) / 2, seconds.end());
  return 1e3 * seconds[seconds.size() / 2];
}

void MeasurePrompts(Model& model, DType dtype, DecodeSpeed& speed) {
  constexpr int kPrompt = 30, kPrefill = 512, kRepeats = 7;
  std::vector<int32_t> tokens(kPrefill);
  for (int t = 0; t < kPrefill; ++t) tokens[static_cast<size_t>(t)] = (7 * t) % model.vocab();
  Session session(model, dtype);
  const Stopwatch first;
  session.Feed({tokens.data(), kPrompt});
  speed.first_token_ms = 1e3 * first.Seconds();
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    session.Reset();
    const Stopwatch watch;
    session.Feed(tokens);
    seconds.push_back(watch.Seconds());
  }
  speed.prefill_tokens_per_s = kPrefill / (1e-3 * MedianMs(seconds));
}

}  // namespace

double WeightBytesPerStep(const Model& model, DType dtype) {
  double matrices = 0, bytes = 0;
  for (const ParamInfo& info : model.bank().infos()) {
    if (info.role != Role::kMatrix) continue;
    const bool ternary = info.quantization.ternary != kernels::Ternary::kNone;
    const bool integers = dtype == DType::kI8 || info.quantization.int8_input;
    const auto size = static_cast<double>(info.size);
    matrices += size;
    bytes += size * (ternary && integers ? 0.25 : static_cast<double>(SizeOf(dtype)));
  }
  // What a token meets beside the matrices is the head; less than all of the matrices if there are experts.
  const double met = model.WeightsInProducts();
  const double head = static_cast<double>(model.vocab()) * model.config().value("d_model", 0);
  const double part = matrices > 0 ? std::clamp((met - head) / matrices, 0.0, 1.0) : 0;
  return part * bytes + head * static_cast<double>(SizeOf(dtype));
}

DecodeSpeed MeasureDecoding(Model& model, DType dtype, int streams, int tokens) {
  DecodeSpeed speed;
  MeasurePrompts(model, dtype, speed);
  constexpr int kWarmup = 20;
  Session session(model, dtype, streams);
  std::vector<int32_t> last(static_cast<size_t>(streams));
  for (int s = 0; s < streams; ++s) last[static_cast<size_t>(s)] = s % model.vocab();
  std::vector<double> seconds;
  Stopwatch total;
  for (int t = 0; t < kWarmup + tokens; ++t) {
    if (t == kWarmup) total.Restart();
    const Stopwatch watch;
    const float* log_probs = session.Feed(last);
    for (int s = 0; s < streams; ++s) {
      const float* row = log_probs + int64_t{s} * model.vocab();
      last[static_cast<size_t>(s)] = static_cast<int32_t>(kernels::Argmax(row, model.vocab()));
    }
    if (t >= kWarmup) seconds.push_back(watch.Seconds());
  }
  const auto quarter = static_cast<int64_t>(std::max<size_t>(1, seconds.size() / 4));
  speed.tokens_per_s = static_cast<double>(tokens) * streams / total.Seconds();
  speed.ms_per_token = MedianMs(seconds);
  speed.ms_per_token_first_quarter = MedianMs({seconds.begin(), seconds.begin() + quarter});
  speed.ms_per_token_last_quarter = MedianMs({seconds.end() - quarter, seconds.end()});
  speed.weight_bytes_per_step = WeightBytesPerStep(model, dtype);
  const double rate = kernels::MeasureReading(static_cast<int64_t>(speed.weight_bytes_per_step));
  speed.share_of_bandwidth = speed.weight_bytes_per_step / (1e-3 * speed.ms_per_token) / rate;
  return speed;
}

}  // namespace flashlm
