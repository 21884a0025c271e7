#include <algorithm>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/ref.h"

namespace flashlm {
namespace {

// Rows whose logits exist at a time: 128 x 4,096 f32 = 2 MB stay in the second-level caches.
constexpr int kRowsAtATime = 128;

struct Saved {
  kernels::Matrix dlogits;  // compute type [N,V]
};

void Backward(Tape& tape, const Node& node) {
  const Tensor& hidden = node.inputs[0];
  const Param& head = node.parameter;
  const kernels::Matrix& dlogits = node.As<Saved>().dlogits;
  kernels::WeightGradient(dlogits, hidden.matrix(),
                          {tape.bank().Gradient(head), DType::kF32, head.rows, head.cols, head.cols});
  GradientWriter dhidden(tape, hidden, GradientWriter::Kernel::kCanAdd);
  tape.Packed(head).weight.InputGradient(dlogits, dhidden.matrix(), dhidden.accumulate());
}

// `batch` rows of three tokens; the last case has several blocks of kRowsAtATime, the last of them short.
OpCase Case(const char* name, int batch, int vocab, int width, CrossEntropyConfig config, bool unlikely) {
  const int rows = 3 * batch;
  const auto tokens = [&](int step, int none_every) {
    std::vector<int32_t> ids;
    for (int n = 0; n < rows; ++n) ids.push_back(n % none_every == 3 ? -1 : (n * step + n / 7) % vocab);
    return ids;
  };
  // In some rows both are one token, or only one is there.
  const std::vector<int32_t> targets = tokens(3, 5), avoided = unlikely ? tokens(7, 4) : std::vector<int32_t>();
  const auto with_tokens = [config, avoided]() {
    CrossEntropyConfig whole = config;
    whole.unlikely = avoided.empty() ? nullptr : avoided.data();
    return whole;
  };
  return OpCase::Make(
      name, batch, 3, {{rows, width}, {vocab, width, true}},
      [=](Tape& tape, const std::vector<Operand>& in) {
        return CrossEntropy(tape, in[0].tensor, in[1].param, targets.data(), with_tokens()).objective;
      },
      [=](const auto& in, auto& out) {
        auto total = in[0].v[0] * 0.0;
        for (int n = 0; n < rows; ++n) {
          if (targets[n] < 0) continue;
          auto logits = in[0].v;
          logits.assign(static_cast<size_t>(vocab), 0.0);
          for (int v = 0; v < vocab; ++v) {
            for (int c = 0; c < width; ++c) logits[v] += in[0].v[n * width + c] * in[1].v[v * width + c];
          }
          auto ce = total * 0.0, entropy = total * 0.0;
          kernels::ref::SoftmaxCrossEntropy(config.softcap, logits.data(), &targets[n], 1, vocab, &ce, &entropy);
          total += config.scale * (ce - config.entropy_weight * entropy);
          if (avoided.empty()) continue;
          total += config.scale * config.unlikely_weight *
                   kernels::ref::Unlikelihood(config.softcap, logits.data(), avoided[n], vocab);
        }
        out.v[0] = total;
      });
}

std::vector<OpCase> Cases() {
  const CrossEntropyConfig plain{0, 0.3, 0.25}, capped{2, 0.3, 0.25, nullptr, 0.6};
  return {Case("no soft cap", 2, 10, 8, plain, false), Case("soft cap 2", 2, 10, 8, capped, false),
          Case("soft cap 2, unlikely tokens", 2, 10, 8, capped, true),
          Case("soft cap 2, unlikely tokens, 300 rows", 100, 5, 3, capped, true)};
}

}  // namespace

extern const OpDef kCrossEntropyOp;
const OpDef kCrossEntropyOp("cross_entropy (GEMM)", Backward, Cases);

CrossEntropyResult CrossEntropy(Tape& tape, const Tensor& hidden, const Param& head, const int32_t* targets,
                                const CrossEntropyConfig& config) {
  OpTimer timer(tape, kCrossEntropyOp);
  FLASHLM_CHECK(hidden.cols == head.cols && hidden.dtype == tape.dtype(), "head of width {} over {} columns", head.cols,
                hidden.cols);
  const int rows = hidden.rows, vocab = head.rows;
  float* nats = tape.Keep<float>(rows);
  float* entropies = tape.Keep<float>(rows);
  float* unlikelihoods = config.unlikely != nullptr ? tape.Keep<float>(rows) : nullptr;
  kernels::Matrix dlogits{nullptr, tape.dtype(), rows, vocab, vocab};
  if (tape.training())
    dlogits.data = tape.Keep<char>(int64_t{rows} * vocab * static_cast<int64_t>(SizeOf(tape.dtype())));

  const kernels::LossShape shape{static_cast<float>(config.softcap), static_cast<float>(config.entropy_weight),
                                 static_cast<float>(config.scale)};
  float* logits = tape.Scratch(int64_t{kRowsAtATime} * vocab);
  for (int begin = 0; begin < rows; begin += kRowsAtATime) {
    const int count = std::min(kRowsAtATime, rows - begin);
    const kernels::Matrix chunk{logits, DType::kF32, count, vocab, vocab};
    tape.Packed(head).weight.Forward(hidden.matrix().Rows(begin, count), chunk, false, tape.row_groups());
    kernels::Unlikelihood unlikely;
    if (config.unlikely != nullptr) {
      unlikely = {config.unlikely + begin, static_cast<float>(config.unlikely_weight), unlikelihoods + begin};
    }
    kernels::SoftmaxCrossEntropy(shape, chunk, targets + begin, nats + begin, entropies + begin, nullptr,
                                 dlogits.Rows(begin, count), unlikely);
  }

  const Tensor objective = tape.New(1, 1, DType::kF32);
  double sum = 0;
  for (int n = 0; n < rows; ++n) sum += nats[n] - config.entropy_weight * entropies[n];
  for (int n = 0; unlikelihoods != nullptr && n < rows; ++n) sum += config.unlikely_weight * unlikelihoods[n];
  *objective.f32() = static_cast<float>(config.scale * sum);
  tape.Record({&kCrossEntropyOp, {hidden}, objective, head, tape.Keep(Saved{dlogits})});
  if (tape.training()) tape.Seed(objective, 1.0f);
  return {objective, nats, entropies, unlikelihoods};
}

}  // namespace flashlm
