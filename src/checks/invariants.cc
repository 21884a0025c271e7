#include "checks/invariants.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/complete_gradients.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/rng.h"
#include "eval/causality.h"
#include "eval/scorer.h"
#include "infer/session.h"
#include "kernels/isa.h"
#include "kernels/vector/vector.h"
#include "models/registry.h"
#include "ngram/ngram_counts.h"
#include "text/tokenizer.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr int kBatch = 4, kLength = 24;

// N-grams of documents without sense, so that contexts of all lengths are known and unknown.
void CountRandomTokens(Model& model) {
  constexpr int kTokens = 4000;
  Rng rng(13, Purpose::kTest);
  std::vector<uint16_t> tokens(kTokens);
  for (uint16_t& token : tokens) token = static_cast<uint16_t>(rng.Below(static_cast<uint64_t>(model.vocab())));
  NGramOptions options;
  options.order = model.ngram()->order();
  options.vocab = model.vocab();
  options.eos = Tokenizer::kEos;
  model.SetNGrams(std::make_shared<NGramModel>(NGramCounts(tokens, options).Pack()));
  // Its gate starts at zero, where nothing would depend on the hidden state.
  for (const ParamInfo& info : model.bank().infos()) {
    if (!info.name.starts_with("ngram.gate.")) continue;
    for (int64_t i = info.offset; i < info.offset + info.size; ++i) model.bank().values()[i] = 0.3f * rng.Normal();
  }
  model.bank().Touch();
}

std::unique_ptr<Model> MakeRandom(const Json& config, bool for_training) {
  std::unique_ptr<Model> model = MakeModel(config, for_training);
  model->bank().Initialize(11);
  if (model->ngram() != nullptr) CountRandomTokens(*model);
  return model;
}

TrainConfig SmallTraining(int batch, int length) {
  TrainConfig train;
  train.micro_batch = batch;
  train.accumulate = 1;
  train.sequence_length = length;
  FieldsFromJson({{"value_start_step", 0}}, "train", train);
  train.spike_factor = 0;
  return train;
}

OptimConfig PlainAdamW(double lr) {
  OptimConfig optim;
  optim.lr = lr;
  optim.weight_decay = 0;
  return optim;
}

struct Tokens {
  std::vector<int32_t> inputs, targets;
  // Uniformly random sequences of kLength tokens.
  Tokens(int batch, int length, int vocab, Rng& rng) {
    for (int b = 0; b < batch; ++b) {
      auto token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab)));
      for (int t = 0; t < length; ++t) {
        inputs.push_back(token);
        token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab)));
        targets.push_back(token);
      }
    }
  }
};

// Every term of the models' objectives at once.
Objective WholeObjective(double value_weight) {
  Objective objective;
  FieldsFromJson({{"entropy_weight", 0.1},
                  {"value_weight", value_weight},
                  {"value_start_step", 0},
                  {"unlikelihood_weight", 0.3},
                  {"second_token_weight", 0.3},
                  {"ngram_joint", 1}},
                 "train", objective);
  return objective;
}
// The value loss stops its gradient at its targets, so its gradient is not the derivative that differences show; it is
// checked by the golden states. Nor is what a network learns beside n-grams the mixture's, unless all of it is
// (ngram_joint).
Objective DifferentiableObjective() { return WholeObjective(0); }

// The objective and its gradient (in the bank, from zero) for fixed tokens.
double ObjectiveOf(Model& model, Tape& tape, const Tokens& tokens, const Objective& objective, bool backward) {
  tape.BeginTraining(kBatch, kLength, 1, 1);
  const Prediction prediction = model.Predict(tape, tokens.inputs.data());
  const ObjectiveParts parts = objective.Add(tape, prediction, tokens.inputs.data(), tokens.targets.data(), 0, 1.0, 1);
  if (backward) {
    model.bank().ClearGradients();
    tape.Backward();
  }
  return parts.total;
}

}  // namespace

CheckResult TimedCheck(const std::string& name, const std::function<void(CheckResult&)>& body) {
  CheckResult result;
  result.name = name;
  const Stopwatch watch;
  try {
    body(result);
  } catch (const Error& e) {
    result.passed = false;
    result.detail = e.OneLine();
  }
  result.seconds = watch.Seconds();
  return result;
}

CheckResult CheckCausalSplitAndBatch(const Json& config) {
  return TimedCheck("causal, any split, any batch", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, false);
    const CausalityReport report = CheckCausality(*model, DType::kF32);
    result.passed = report.passed();
    result.detail = fmt::format("leak {}, without effect {}, split difference {:.1e}, neighbours {}", report.leak,
                                report.without_effect, report.split_difference, report.neighbour_change);
  });
}

CheckResult CheckNextToken(const Json& config) {
  return TimedCheck("next token: the cycle 0..15 goes on", [&](CheckResult& result) {
    constexpr int kCycle = 16;
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    TrainingStep step(*model, PlainAdamW(3e-3), SmallTraining(kBatch, kLength), DType::kF32, 1);
    std::vector<int32_t> inputs(size_t{kBatch} * kLength), targets(inputs.size());
    for (int b = 0; b < kBatch; ++b) {
      for (int t = 0; t < kLength; ++t) {
        inputs[static_cast<size_t>(b) * kLength + t] = (5 * b + t) % kCycle;
        targets[static_cast<size_t>(b) * kLength + t] = (5 * b + t + 1) % kCycle;
      }
    }
    double loss = 0;
    for (int s = 0; s < 300; ++s) loss = step.Run(s, inputs.data(), targets.data(), 1.0).parts.cross_entropy;
    Session session(*model, DType::kF32);
    const std::vector<int32_t> prompt = {0, 1, 2, 3};
    const float* log_probs = session.Feed(prompt);
    result.passed = true;
    for (int i = 0; i < 12; ++i) {
      const auto next = static_cast<int32_t>(kernels::Argmax(log_probs, session.vocab()));
      result.detail += fmt::format("{} ", next);
      result.passed &= next == (4 + i) % kCycle;
      log_probs = session.Feed(next);
    }
    result.detail += fmt::format("(loss {:.4f})", loss);
  });
}

CheckResult CheckNothingToLearn(const Json& config, int steps) {
  return TimedCheck("random tokens: nothing below ln V", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    TrainingStep step(*model, PlainAdamW(1e-3), SmallTraining(32, 16), DType::kF32, 1);
    Rng rng(21, Purpose::kTest);
    constexpr int kWindow = 50;  // a single batch scatters by 0.02 nats
    std::vector<double> losses;
    double lowest = HUGE_VAL;
    for (int s = 0; s < steps; ++s) {
      const Tokens tokens(32, 16, model->vocab(), rng);
      losses.push_back(step.Run(s, tokens.inputs.data(), tokens.targets.data(), 1.0).parts.cross_entropy);
      if (losses.size() < kWindow) continue;
      double mean = 0;
      for (size_t i = losses.size() - kWindow; i < losses.size(); ++i) mean += losses[i] / kWindow;
      lowest = std::min(lowest, mean);
    }
    const double floor = std::log(model->vocab()) - 0.01;
    result.passed = lowest >= floor;
    result.detail = fmt::format("lowest mean of {} batches {:.4f}, allowed from {:.4f}", kWindow, lowest, floor);
  });
}

namespace {

// A tensor of a model and its gradient.
struct Learned {
  std::string name;
  float* values;
  std::vector<float> gradient;
  bool ternary = false;
};

std::vector<Learned> LearnedBy(const ParamBank& bank) {
  std::vector<Learned> all;
  for (const ParamInfo& info : bank.infos()) {
    if (info.role == Role::kBuffer) continue;
    const float* gradient = bank.gradients() + info.offset;
    all.push_back({info.name,
                   bank.values() + info.offset,
                   {gradient, gradient + info.size},
                   info.quantization.ternary != kernels::Ternary::kNone});
  }
  for (const auto& table : bank.tables()) all.push_back({table->name(), table->values(), table->DenseGradient()});
  return all;
}

}  // namespace

CheckResult CheckGradients(const Json& config) {
  return TimedCheck("gradients of the whole model", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    ParamBank& bank = model->bank();
    Tape tape(bank, model->packs(), DType::kF32);
    Rng rng(31, Purpose::kTest);
    const Tokens tokens(kBatch, kLength, model->vocab(), rng);
    const Objective objective = DifferentiableObjective();
    ObjectiveOf(*model, tape, tokens, objective, true);
    // One direction per tensor: along its own gradient the slope is the gradient's norm. Central differences in f32
    // cannot see slopes much below their rounding, so tensors with nearly no gradient are left to the golden states.
    // So are ternary matrices: their straight-through gradient is not the slope of what they are rounded to.
    double worst = 0;
    std::string where;
    for (const Learned& tensor : LearnedBy(bank)) {
      if (tensor.ternary) continue;
      const std::vector<float>& gradient = tensor.gradient;
      const std::vector<float> at(tensor.values, tensor.values + gradient.size());
      double norm = 0;
      for (const float g : gradient) norm += g * g;
      norm = std::sqrt(norm);
      if (norm < 2e-3) continue;
      // A hard choice (a route, a depth) that flips within the difference makes it useless; a smaller one rarely meets
      // the same flip, while a wrong gradient is as wrong for all.
      double error = HUGE_VAL;
      for (const double size : {4e-3, 1e-3, 2.5e-4, 6e-5}) {
        if (error < 0.05) break;
        const double epsilon = size / std::max(1.0, norm);
        double sides[2];
        for (int side = 0; side < 2; ++side) {
          const double step = (side == 0 ? 1 : -1) * epsilon / norm;
          for (size_t i = 0; i < at.size(); ++i) tensor.values[i] = static_cast<float>(at[i] + step * gradient[i]);
          bank.Touch();
          sides[side] = ObjectiveOf(*model, tape, tokens, objective, false);
        }
        std::copy(at.begin(), at.end(), tensor.values);
        error = std::min(error, std::abs((sides[0] - sides[1]) / (2 * epsilon) - norm) / norm);
      }
      if (error > worst) {
        worst = error;
        where = tensor.name;
      }
    }
    result.passed = worst < 0.05;
    result.detail = fmt::format("largest relative error {:.1e} ({})", worst, where);
  });
}

CheckResult CheckEveryParameterLearns(const Json& config) {
  return TimedCheck("gradients reach every tensor", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    Tape tape(model->bank(), model->packs(), DType::kF32);
    Rng rng(41, Purpose::kTest);
    const Tokens tokens(kBatch, kLength, model->vocab(), rng);
    const double objective = ObjectiveOf(*model, tape, tokens, WholeObjective(0.1), true);
    std::string dead;
    for (const Learned& tensor : LearnedBy(model->bank())) {
      const auto& gradient = tensor.gradient;
      const bool alive = std::any_of(gradient.begin(), gradient.end(), [](float g) { return g != 0; });
      if (!alive) dead += " " + tensor.name;
    }
    result.passed = dead.empty() && std::isfinite(objective);
    result.detail = dead.empty() ? fmt::format("objective {:.4f}, ln V {:.4f}", objective, std::log(model->vocab()))
                                 : "without gradient:" + dead;
  });
}

CheckResult CheckCompleteGradients(const Json& config) {
  return TimedCheck("gradients are complete when they are said to be", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    Tape tape(model->bank(), model->packs(), DType::kF32);
    CompleteGradients complete(model->bank());
    tape.SetWatch(&complete);
    Rng rng(42, Purpose::kTest);
    const Tokens tokens(kBatch, kLength, model->vocab(), rng);
    ObjectiveOf(*model, tape, tokens, WholeObjective(0.1), true);
    const std::string changed = complete.Changed();
    result.passed = changed.empty() && complete.operations() > 0;
    result.detail = changed.empty() ? fmt::format("{} parameters, {} operations", model->bank().infos().size(),
                                                  complete.operations())
                                    : "changed afterwards: " + changed;
  });
}

CheckResult CheckSteadyMemory(const Json& config) {
  return TimedCheck("memory is planned by the second step", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, true);
    TrainingStep step(*model, PlainAdamW(1e-3), SmallTraining(kBatch, kLength), DType::kF32, 1);
    Rng rng(51, Purpose::kTest);
    const Tokens tokens(kBatch, kLength, model->vocab(), rng);
    int64_t after_two = 0;
    for (int s = 0; s < 6; ++s) {
      step.Run(s, tokens.inputs.data(), tokens.targets.data(), 1.0);
      if (s == 1) after_two = step.grow_events();
    }
    result.passed = step.grow_events() == after_two;
    result.detail = fmt::format("{} growths after the second step", step.grow_events() - after_two);
  });
}

CheckResult CheckThreads(const Json& config) {
  return TimedCheck("one and two threads agree", [&](CheckResult& result) {
    const int threads = ThreadCount();
    std::vector<double> losses;
    for (int count : {1, 2}) {
      SetThreadCount(count);
      const std::unique_ptr<Model> model = MakeRandom(config, true);
      TrainingStep step(*model, PlainAdamW(1e-3), SmallTraining(kBatch, kLength), DType::kF32, 1);
      Rng rng(61, Purpose::kTest);
      const Tokens tokens(kBatch, kLength, model->vocab(), rng);
      double loss = 0;
      for (int s = 0; s < 5; ++s)
        loss = step.Run(s, tokens.inputs.data(), tokens.targets.data(), 1.0).parts.cross_entropy;
      losses.push_back(loss);
    }
    SetThreadCount(threads);
    const double difference = std::abs(losses[0] - losses[1]) / losses[0];
    result.passed = difference < 1e-4;
    result.detail = fmt::format("loss after 5 steps {:.6f} and {:.6f}", losses[0], losses[1]);
  });
}

CheckResult CheckLanes(const Json& config) {
  return TimedCheck("lanes are micro-batches, on any number of threads", [&](CheckResult& result) {
    const std::unique_ptr<Model> any = MakeRandom(config, false);
    result.passed = !any->PassesSideBySide();
    result.detail = "its passes cannot run side by side";
    if (result.passed) return;
    const int threads = ThreadCount();
    // The loss after some steps, and the first element of every tensor.
    const auto train = [&](int count, const TrainConfig& training) {
      SetThreadCount(count);
      const std::unique_ptr<Model> model = MakeRandom(config, true);
      TrainingStep step(*model, PlainAdamW(1e-3), training, DType::kF32, 1);
      Rng rng(61, Purpose::kTest);
      const Tokens tokens(kBatch, kLength, model->vocab(), rng);
      std::vector<double> seen(1);
      for (int s = 0; s < 5; ++s) {
        seen[0] = step.Run(s, tokens.inputs.data(), tokens.targets.data(), 1.0).parts.cross_entropy;
      }
      for (const ParamInfo& info : model->bank().infos()) seen.push_back(model->bank().values()[info.offset]);
      return seen;
    };
    TrainConfig side_by_side = SmallTraining(kBatch, kLength), one_by_one = SmallTraining(kBatch / 2, kLength);
    side_by_side.lanes = 2;
    one_by_one.accumulate = 2;
    TrainConfig in_pieces = SmallTraining(kBatch, kLength);
    in_pieces.lanes = 1;
    in_pieces.pieces = 2;
    const std::vector<double> two = train(2, side_by_side), one = train(1, side_by_side), other = train(1, one_by_one);
    const std::vector<double> pieces = train(1, in_pieces);
    SetThreadCount(threads);
    const auto close = [&](double loss) { return std::abs(loss - other[0]) < 1e-3 * other[0]; };
    result.passed = one == two && close(one[0]) && close(pieces[0]);
    result.detail =
        fmt::format("loss after 5 steps {:.6f} on one thread, {:.6f} on two, {:.6f} in micro-batches, {:.6f} in pieces",
                    one[0], two[0], other[0], pieces[0]);
  });
}

namespace {

using Texts = std::vector<TokenIds>;

// Texts of lengths at which something may change: pieces, blocks of rows, chunks of what mixes positions.
Texts TextsOfManyLengths(int vocab, Rng& rng) {
  Texts texts;
  for (const int length : {1, 3, 17, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 132, 132, 200, 255, 257, 300}) {
    TokenIds text;
    for (int i = 0; i < length; ++i) text.push_back(static_cast<uint16_t>(rng.Below(static_cast<uint64_t>(vocab))));
    texts.push_back(std::move(text));
  }
  return texts;
}

// The number of texts that score differently in the company of others than alone.
int ScoresThatChange(Scorer& scorer, const Texts& texts, Rng& rng) {
  std::vector<std::vector<float>> alone;
  for (const TokenIds& text : texts) alone.push_back(scorer.Score(std::span(&text, 1))[0]);
  int changed = 0;
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  for (size_t count = texts.size(); count > 1; count = count * 2 / 3) {
    std::shuffle(order.begin(), order.end(), rng);
    Texts some;
    for (size_t i = 0; i < count; ++i) some.push_back(texts[order[i]]);
    some.push_back(some[0]);  // twice in one batch
    const auto scores = scorer.Score(some);
    for (size_t i = 0; i < count; ++i) changed += scores[i] != alone[order[i]];
    changed += scores[count] != scores[0];
  }
  return changed;
}

// Log-probabilities after a prompt and after each of some tokens, of stream `row` among `rows` whose others are random.
std::vector<float> StreamBeside(Model& model, DType dtype, const std::vector<int32_t>& tokens, int prompt, int rows,
                                int row, Rng& rng) {
  Session session(model, dtype, rows);
  std::vector<float> all;
  const auto feed = [&](int begin, int count) {
    std::vector<int32_t> batch(static_cast<size_t>(rows * count));
    for (int32_t& token : batch) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model.vocab())));
    std::copy_n(tokens.begin() + begin, count, batch.begin() + int64_t{row} * count);
    const float* log_probs = session.Feed(batch) + int64_t{row} * model.vocab();
    all.insert(all.end(), log_probs, log_probs + model.vocab());
  };
  feed(0, prompt);
  for (int i = prompt; i < static_cast<int>(tokens.size()); ++i) feed(i, 1);
  return all;
}

int StreamsThatChange(Model& model, DType dtype, Rng& rng) {
  int changed = 0;
  for (const int prompt : {5, 40, 100}) {
    std::vector<int32_t> tokens;
    tokens.reserve(static_cast<size_t>(prompt) + 3);
    for (int i = 0; i < prompt + 3; ++i) {
      tokens.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model.vocab()))));
    }
    const std::vector<float> alone = StreamBeside(model, dtype, tokens, prompt, 1, 0, rng);
    for (const auto& [rows, row] : {std::pair{2, 0}, std::pair{7, 6}, std::pair{40, 23}}) {
      changed += StreamBeside(model, dtype, tokens, prompt, rows, row, rng) != alone;
    }
  }
  return changed;
}

}  // namespace

CheckResult CheckCompany(const Json& config) {
  return TimedCheck("the same bits in any company", [&](CheckResult& result) {
    const std::unique_ptr<Model> model = MakeRandom(config, false);
    std::vector<DType> types = {DType::kF32};
    if (kernels::HasNativeBf16()) types.push_back(DType::kBF16);
    if (kernels::HasVnni()) types.push_back(DType::kI8);
    Rng rng(71, Purpose::kTest);
    const Texts texts = TextsOfManyLengths(model->vocab(), rng);
    result.passed = true;
    for (const DType dtype : types) {
      Scorer scorer(*model, dtype);
      const int scores = ScoresThatChange(scorer, texts, rng), streams = StreamsThatChange(*model, dtype, rng);
      result.passed &= scores == 0 && streams == 0;
      result.detail += fmt::format("{}{}: {} scores and {} streams change", result.detail.empty() ? "" : "; ",
                                   NameOf(dtype), scores, streams);
    }
  });
}

Json TinyWithNGrams() {
  const std::string architecture = "gpt";
  Json config = FindModel(architecture).tiny();
  config["architecture"] = architecture;
  config["ngram_order"] = 5;
  return config;
}

std::vector<CheckResult> CheckModel(const Json& config) {
  return {CheckCausalSplitAndBatch(config),
          CheckNextToken(config),
          CheckNothingToLearn(config, 200),
          CheckGradients(config),
          CheckEveryParameterLearns(config),
          CheckCompleteGradients(config),
          CheckSteadyMemory(config),
          CheckThreads(config),
          CheckLanes(config),
          CheckCompany(config)};
}

}  // namespace flashlm
