#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/linear_product.h"
#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "base/parallel.h"
#include "kernels/gemm/int8_training.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/ref.h"

namespace flashlm {
namespace {

// Rows whose logits exist at a time: 128 x 4,096 f32 = 2 MB stay in the second-level caches.
constexpr int kRowsAtATime = 128;

// The logits' gradient in int8 (docs/spec/integers.md), by rows and by chance: small probabilities must not vanish. The
// target's entry, which dwarfs the rest of its row, is kept apart, exactly.
struct RoundedLogits {
  kernels::Matrix rows;  // int8 [N,V]
  float* scales;         // [N]
  const int32_t* targets;
  float* of_targets;  // [N]
};

struct CrossEntropySaved {
  kernels::Matrix dlogits;       // compute type [N,V]; without data in int8
  const RoundedLogits* rounded;  // null elsewhere
  const float* dgates;           // [N]; null without a second opinion
};

RoundedLogits* KeepRoundedLogits(Tape& tape, int rows, int vocab, const int32_t* targets) {
  int32_t* kept = tape.Keep<int32_t>(int64_t{rows});
  std::copy(targets, targets + rows, kept);
  RoundedLogits* rounded = tape.Keep<RoundedLogits>();
  *rounded = {{tape.Keep<int8_t>(int64_t{rows} * vocab), DType::kI8, rows, vocab, vocab},
              tape.Keep<float>(rows),
              kept,
              tape.Keep<float>(rows)};
  return rounded;
}

kernels::Rounding ByChance(const Tape& tape, Purpose purpose) {
  return {true, MakePhiloxKey(tape.seed(), purpose), tape.random_step()};
}

// Of row n, whose target's entry becomes zero. dlogits: f32 [1,V].
void Round(const RoundedLogits& to, const kernels::Matrix& dlogits, int n, const kernels::Rounding& rounding) {
  const int32_t target = to.targets[n];
  to.of_targets[n] = target < 0 ? 0.0f : std::exchange(dlogits.Row<float>(0)[target], 0.0f);
  kernels::RoundRows(dlogits, to.rows.Rows(n, 1), to.scales + n, rounding, n);
}

// y += a x, of equally many numbers.
void AddScaled(float a, const kernels::Matrix& x, const kernels::Matrix& y) {
  kernels::Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    for (int64_t c = 0; c < x.cols; ++c) {
      y.Row<TY>(0)[c] = FromFloat<TY>(ToFloat(y.Row<TY>(0)[c]) + a * ToFloat(x.Row<TX>(0)[c]));
    }
  });
}

void BackwardInInt8(Tape& tape, const Tensor& hidden, const Param& head, const RoundedLogits& dlogits) {
  const kernels::Matrix dhead{tape.ParamGradient(head), DType::kF32, head.rows, head.cols, head.cols};
  // The hidden states by chance too: a token that is sure of itself has a small scale, and would vanish from a block in
  // which others doubt.
  kernels::Int8WeightGradient(dlogits.rows, dlogits.scales, hidden.matrix(), dhead,
                              ByChance(tape, Purpose::kRoundedTokens));
  GradientWriter dhidden(tape, hidden, GradientWriter::Kernel::kCanAdd);
  tape.Packed(head).training.InputGradient(dlogits.rows, dlogits.scales, dhidden.matrix(), dhidden.accumulate());
  const kernels::Matrix values{const_cast<float*>(tape.bank().Value(head)), DType::kF32, head.rows, head.cols,
                               head.cols};
  for (int n = 0; n < hidden.rows; ++n) {
    if (dlogits.targets[n] < 0) continue;
    AddScaled(dlogits.of_targets[n], hidden.matrix().Rows(n, 1), dhead.Rows(dlogits.targets[n], 1));
    AddScaled(dlogits.of_targets[n], values.Rows(dlogits.targets[n], 1), dhidden.matrix().Rows(n, 1));
  }
}

void CrossEntropyBackward(Tape& tape, const Node& node) {
  const Tensor& hidden = node.inputs[0];
  const Param& head = node.parameter;
  const auto& [dlogits, rounded, dgates] = node.As<CrossEntropySaved>();
  if (rounded != nullptr) {
    BackwardInInt8(tape, hidden, head, *rounded);
  } else {
    kernels::WeightGradient(dlogits, hidden.matrix(),
                            {tape.ParamGradient(head), DType::kF32, head.rows, head.cols, head.cols});
    GradientWriter dhidden(tape, hidden, GradientWriter::Kernel::kCanAdd);
    tape.Packed(head).weight.InputGradient(dlogits, dhidden.matrix(), dhidden.accumulate());
  }
  if (dgates == nullptr) return;
  GradientWriter writer(tape, node.inputs[1]);
  for (int n = 0; n < hidden.rows; ++n) *writer.matrix().Row<float>(n) = dgates[n];
}

// `batch` rows of three tokens; the last case has several blocks of kRowsAtATime, the last of them short.
OpCase Case(const char* name, int batch, int vocab, int width, CrossEntropyConfig config, bool unlikely,
            bool second_opinion = false) {
  const int rows = 3 * batch;
  const auto tokens = [&](int step, int none_every) {
    std::vector<int32_t> ids;
    ids.reserve(static_cast<size_t>(rows));
    for (int n = 0; n < rows; ++n) ids.push_back(n % none_every == 3 ? -1 : (n * step + n / 7) % vocab);
    return ids;
  };
  // In some rows both are one token, or only one is there.
  const std::vector<int32_t> targets = tokens(3, 5), avoided = unlikely ? tokens(7, 4) : std::vector<int32_t>();
  std::vector<float> opinion;  // from surely to hardly
  for (int n = 0; second_opinion && n < rows; ++n) opinion.push_back(-1.5f * static_cast<float>(n % 7));
  const auto with_tokens = [config, avoided, opinion]() {
    CrossEntropyConfig whole = config;
    whole.unlikely = avoided.empty() ? nullptr : avoided.data();
    whole.opinion = opinion.empty() ? nullptr : opinion.data();
    return whole;
  };
  std::vector<OpInput> inputs = {{rows, width}, {vocab, width, true}};
  if (second_opinion) inputs.push_back({rows, 1});
  return OpCase::Make(
      name, batch, 3, inputs,
      [=](Tape& tape, const std::vector<Operand>& in) {
        CrossEntropyConfig whole = with_tokens();
        if (whole.opinion != nullptr) whole.gates = in[2].tensor;
        return CrossEntropy(tape, in[0].tensor, in[1].param, targets.data(), whole).objective;
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
          if (!opinion.empty()) ce = kernels::ref::MixedNats(ce, in[2].v[n], std::exp(double{opinion[n]}));
          total += config.scale * (ce - config.entropy_weight * entropy);
          if (avoided.empty()) continue;
          total += config.scale * config.unlikely_weight *
                   kernels::ref::Unlikelihood(config.softcap, logits.data(), avoided[n], vocab);
        }
        out.v[0] = total;
      });
}

std::vector<OpCase> CrossEntropyCases() {
  const CrossEntropyConfig plain{0, 0.3, 0.25}, capped{2, 0.3, 0.25, nullptr, 0.6};
  return {Case("no soft cap", 2, 10, 8, plain, false),
          Case("soft cap 2", 2, 10, 8, capped, false),
          Case("soft cap 2, unlikely tokens", 2, 10, 8, capped, true),
          Case("soft cap 2, unlikely tokens, 300 rows", 100, 5, 3, capped, true),
          Case("soft cap 2, unlikely tokens, second opinion", 2, 10, 8, capped, true, true),
          Case("second opinion, 300 rows", 100, 5, 3, plain, false, true)};
}

}  // namespace

extern const OpDef kCrossEntropyOp;
const OpDef kCrossEntropyOp("cross_entropy (GEMM)", CrossEntropyBackward, CrossEntropyCases);

CrossEntropyResult CrossEntropy(Tape& tape, const Tensor& hidden, const Param& head, const int32_t* targets,
                                const CrossEntropyConfig& config) {
  OpTimer timer(tape, kCrossEntropyOp);
  FLASHLM_CHECK(hidden.cols == head.cols && hidden.dtype == tape.dtype(), "head of width {} over {} columns", head.cols,
                hidden.cols);
  const int rows = hidden.rows, vocab = head.rows;
  float* nats = tape.Keep<float>(rows);
  float* entropies = tape.Keep<float>(rows);
  float* gates = nullptr;
  if (config.opinion != nullptr) {
    gates = tape.Keep<float>(rows);
    for (int n = 0; n < rows; ++n) gates[n] = *config.gates.matrix().Row<float>(n);
  }
  float* dgates = config.opinion != nullptr && tape.training() ? tape.Keep<float>(rows) : nullptr;
  float* unlikelihoods = config.unlikely != nullptr ? tape.Keep<float>(rows) : nullptr;
  const bool in_int8 = TrainsInInt8(tape, head);
  RoundedLogits* rounded = in_int8 ? KeepRoundedLogits(tape, rows, vocab, targets) : nullptr;
  kernels::Matrix dlogits{nullptr, tape.dtype(), rows, vocab, vocab};
  if (tape.training() && !in_int8)
    dlogits.data = tape.Keep<char>(int64_t{rows} * vocab * static_cast<int64_t>(SizeOf(tape.dtype())));

  const kernels::LossShape shape{static_cast<float>(config.softcap), static_cast<float>(config.entropy_weight),
                                 static_cast<float>(config.scale)};
  float* logits = tape.Scratch(int64_t{kRowsAtATime} * vocab);
  // Rows [first, first + chunk.rows) of all.
  const auto score = [&](const kernels::Matrix& chunk, int64_t first, const kernels::Matrix& of_logits) {
    kernels::Unlikelihood unlikely;
    if (config.unlikely != nullptr) {
      unlikely = {config.unlikely + first, static_cast<float>(config.unlikely_weight), unlikelihoods + first};
    }
    kernels::Opinion opinion;
    if (config.opinion != nullptr) {
      opinion = {gates + first, config.opinion + first, dgates == nullptr ? nullptr : dgates + first,
                 static_cast<float>(config.opinion_joint)};
    }
    kernels::SoftmaxCrossEntropy(shape, chunk, targets + first, nats + first, entropies + first, nullptr, of_logits,
                                 unlikely, opinion);
  };
  for (int begin = 0; begin < rows; begin += kRowsAtATime) {
    const int count = std::min(kRowsAtATime, rows - begin);
    const kernels::Matrix chunk{logits, DType::kF32, count, vocab, vocab};
    const kernels::Matrix read = hidden.matrix().Rows(begin, count);
    if (tape.int8_training() && !in_int8) {  // a ternary head, whose gradients are of floats
      tape.Packed(head).weight.Forward(read, chunk, false, tape.row_groups());
    } else {
      MultiplyLinear(tape, head, {read, nullptr}, chunk, tape.row_groups());
    }
    if (!in_int8) {
      score(chunk, begin, dlogits.Rows(begin, count));
      continue;
    }
    // Row by row, so that what is rounded is in the first-level cache.
    const kernels::Rounding rounding = ByChance(tape, Purpose::kRoundedRows);
    ParallelPieces(count, [&](int64_t r) {
      thread_local std::vector<float> gradient;
      gradient.resize(static_cast<size_t>(vocab));
      const kernels::Matrix of_row{gradient.data(), DType::kF32, 1, vocab, vocab};
      score(chunk.Rows(r, 1), begin + r, of_row);
      Round(*rounded, of_row, static_cast<int>(begin + r), rounding);
    });
  }

  const Tensor objective = tape.New(1, 1, DType::kF32);
  double sum = 0;
  for (int n = 0; n < rows; ++n) sum += nats[n] - config.entropy_weight * entropies[n];
  for (int n = 0; unlikelihoods != nullptr && n < rows; ++n) sum += config.unlikely_weight * unlikelihoods[n];
  *objective.f32() = static_cast<float>(config.scale * sum);
  tape.Record({&kCrossEntropyOp,
               {hidden, config.gates},
               objective,
               head,
               tape.Keep(CrossEntropySaved{dlogits, rounded, dgates})});
  if (tape.training()) tape.Seed(objective, 1.0f);
  return {objective, nats, entropies, unlikelihoods};
}

}  // namespace flashlm
