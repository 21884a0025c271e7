#include "checks/supernova_claims.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/rng.h"
#include "eval/causality.h"
#include "infer/session.h"
#include "kernels/isa.h"
#include "kernels/vector/vector.h"
#include "nn/linear.h"
#include "train/step.h"
#include "train/throughput.h"

namespace flashlm {
namespace {

constexpr Quantization kTernary{kernels::Ternary::kScaleGradient, false};

std::vector<float> Normals(int64_t n, uint64_t stream) {
  Rng rng(17, Purpose::kTest, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = rng.Normal();
  return values;
}

double MeanChange(const Tensor& x, const Tensor& y) {
  double change = 0;
  for (int i = 0; i < y.rows * y.cols; ++i) change += std::abs(y.f32()[i] - x.f32()[i]) / (y.rows * y.cols);
  return change;
}

double Norm(const float* x, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  return std::sqrt(squares);
}

// A bank, a tape and an input of normal rows, for pieces of a model.
struct Bench {
  ParamBank bank;
  WeightPacks packs{bank};
  Tape tape{bank, packs, DType::kF32};
  std::vector<float> values;

  void Start() {
    bank.Allocate(true);
    bank.Initialize(3);
  }
  Tensor Input(int batch, int length, int width, uint64_t step = 1, bool training = true) {
    if (training) {
      tape.BeginTraining(batch, length, 5, step);
    } else {
      tape.BeginInference(batch, length, nullptr);
    }
    values = Normals(int64_t{batch} * length * width, 1);
    return tape.Wrap(values.data(), batch * length, width);
  }
  // From a random upstream gradient; returns the input's gradient norm.
  double Backward(const Tensor& input, const Tensor& output) {
    std::fill_n(bank.gradients(), bank.size(), 0.0f);
    const std::vector<float> random = Normals(int64_t{output.rows} * output.cols, 2);
    tape.Seed(output, random.data());
    tape.Backward();
    return Norm(static_cast<const float*>(tape.GradientOf(input).data), int64_t{input.rows} * input.cols);
  }
  double GradientNorm(const Param& p) const { return Norm(bank.Gradient(p), int64_t{p.rows} * p.cols); }
};

// The reasoning engine alone.
struct Engine : Bench {
  int width, operations, slots;
  ReasoningParams params;
  kernels::ReasoningPack pack;

  Engine(int width, int operations, int slots) : width(width), operations(operations), slots(slots) {
    const Init normal = Init::Normal(0.02f);
    const auto map = [&](const char* name, int rows, int cols, Quantization quantization = {}) {
      return AddLinear(bank, {{name, rows, normal}}, cols, quantization);
    };
    params.router = map("router", operations, width, kTernary);
    std::vector<LinearPart> parts;  // each with a scale of its own
    parts.reserve(static_cast<size_t>(operations));
    for (int k = 0; k < operations; ++k) parts.push_back({fmt::format("operations.{}", k), width, normal});
    params.operations = AddLinear(bank, parts, width, kTernary);
    params.classifier = map("classifier", kernels::kDepthChoices, width, kTernary);
    params.read_key = map("read_key", width, width);
    params.mix = map("mix", width, 2 * width);
    const GainBias norm = AddGainBias(bank, "norm", width);
    params.gain = norm.gain;
    params.bias = norm.bias;
    params.write_gate = map("write_gate", 1, width);
    params.write_value = map("write_value", width, width);
    params.write_key = map("write_key", width, width);
    params.write_scale = bank.Add({"write_scale", {1}, Role::kVector, Init::Constant(0.01f)});
    params.slots = bank.Add({"slots", {slots, width}, Role::kBuffer, Init::Normal(0.01f)});
    Start();
  }
  ReasoningResult Run(const Tensor& input, int depth, double noise = 1) {
    return Reasoning(tape, input, params, {operations, slots, depth, noise}, pack);
  }
};

Json Config(int vocab, int width, int layers, int reason, int operations, int slots, int depth) {
  return {{"architecture", "v6-supernova"},
          {"vocab", vocab},
          {"d_model", width},
          {"n_layers", layers},
          {"d_reason", reason},
          {"n_operations", operations},
          {"n_slots", slots},
          {"depth", depth}};
}

// What a detail says of a speed.
std::string Asserted(bool assert_speed, const char* what) {
  return assert_speed ? fmt::format(" (asserted: {})", what) : " (speed is not asserted here)";
}

// A model and the announcement's small training: AdamW 1e-3, decay 0.01, clip 1, on the cycle 1..8.
struct Trainee {
  std::unique_ptr<Model> model;
  TrainConfig train;
  std::vector<int32_t> inputs, targets;
  std::unique_ptr<TrainingStep> step;

  Trainee(const Json& config, int batch, int length) : model(MakeModel(config, true)) {
    model->bank().Initialize(7);
    train.micro_batch = batch;
    train.accumulate = 1;
    train.sequence_length = length;
    FieldsFromJson({{"value_weight", 0.0}}, "train", train);
    train.spike_factor = 0;
    OptimConfig optim;
    optim.lr = 1e-3;
    optim.weight_decay = 0.01;
    step = std::make_unique<TrainingStep>(*model, optim, train, DType::kF32, 1);
    for (int i = 0; i < batch * length; ++i) {
      inputs.push_back(1 + i % length % 8);
      targets.push_back(1 + (i % length + 1) % 8);
    }
  }
  void RandomTokens() {
    Rng rng(19, Purpose::kTest);
    for (auto* ids : {&inputs, &targets}) {
      for (int32_t& id : *ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab())));
    }
  }
  double Loss(int64_t index) { return step->Run(index, inputs.data(), targets.data(), 1.0).parts.cross_entropy; }
  std::vector<float> Slots() const {
    const ParamInfo* info = model->bank().Find("rcsm.memory.slots");
    const float* slots = model->bank().values() + info->offset;
    return {slots, slots + info->size};
  }
};

CheckResult TernaryMap() {
  return TimedCheck("claim 1: ternary map", [](CheckResult& result) {
    Bench bench;
    const Param map = AddLinear(bench.bank, {{"map", 192, Init::Normal(0.02f)}}, 192, kTernary);
    bench.Start();
    const Tensor x = bench.Input(2, 16, 192);
    const Tensor y = Linear(bench.tape, x, map);
    bench.Backward(x, y);
    std::vector<float> trits(size_t{192} * 192), scales(192);
    bench.bank.Ternarize(map, trits.data(), scales.data());
    double error = 0;  // of the product, against sums of what the trits let through
    for (int64_t i = 0; i < int64_t{32} * 192; ++i) {
      const float *row = x.f32() + i / 192 * 192, *trit = trits.data() + i % 192 * 192;
      double sum = 0;
      for (int c = 0; c < 192; ++c) sum += trit[c] * row[c];
      error = std::max(error, std::abs(sum * scales[i % 192] - y.f32()[i]));
    }
    const auto part = [&](float trit) {
      return static_cast<double>(std::count(trits.begin(), trits.end(), trit)) / static_cast<double>(trits.size());
    };
    const double gradient = bench.GradientNorm(map);
    result.passed = y.rows == 32 && y.cols == 192 && part(-1) > 0.2 && part(-1) < 0.5 && part(0) > 0.2 &&
                    part(1) > 0.2 && part(1) < 0.5 && std::abs(part(-1) + part(0) + part(1) - 1) < 1e-9 &&
                    error < 1e-4 && gradient > 0;
    result.detail = fmt::format("-1: {:.3f}, 0: {:.3f}, +1: {:.3f}, error {:.0e}, gradient {:.2f}", part(-1), part(0),
                                part(1), error, gradient);
  });
}

CheckResult Recurrence() {
  return TimedCheck("claim 2: gated recurrence", [](CheckResult& result) {
    Bench bench;
    const Init normal = Init::Normal(0.02f);
    const GainBias norm = AddGainBias(bench.bank, "norm", 192);
    const Param maps = AddLinear(bench.bank, {{"gate", 192, normal}, {"value", 192, normal}}, 192, kTernary);
    const Param decay = bench.bank.Add({"decay", {192}, Role::kVector, Init::Constant(0.9f)});
    bench.Start();
    const auto run = [&](const Tensor& x) {
      const Tensor s = DecayScan(bench.tape, Linear(bench.tape, LayerNorm(bench.tape, x, norm), maps), decay);
      return AddDropout(bench.tape, x, s, 0);
    };
    Tensor x = bench.Input(2, 32, 192);
    Tensor y = run(x);
    const double change = MeanChange(x, y);
    const std::vector<float> first(y.f32(), y.f32() + int64_t{64} * 192);
    bench.Backward(x, y);
    result.passed = y.rows == 64 && y.cols == 192 && change > 0.01;
    for (const Param& p : {norm.gain, norm.bias, maps, decay}) result.passed &= bench.GradientNorm(p) > 0;

    // What it remembers: the tenth token sees the first of its own sequence, fading, and the other sequence not at all.
    x = bench.Input(2, 32, 192);
    std::fill_n(bench.values.begin(), 192, 1.0f);
    bench.values[0] = -1;
    y = run(x);
    const auto echo = [&](int row) {
      double sum = 0;
      for (int i = row * 192; i < (row + 1) * 192; ++i) sum += std::abs(y.f32()[i] - first[static_cast<size_t>(i)]);
      return sum;
    };
    result.passed &= echo(9) > 0 && echo(9) < echo(1) && echo(32) == 0;
    result.detail = fmt::format("mean change {:.3f}; an echo of {:.1e} after one token, {:.1e} after nine", change,
                                echo(1), echo(9));
  });
}

CheckResult OperationsAndRouter() {
  return TimedCheck("claims 3 and 4: operations and router", [](CheckResult& result) {
    Engine engine(64, 32, 16);
    const Tensor x = engine.Input(2, 128, 64);
    const ReasoningResult run = engine.Run(x, 1);
    double sum = 0, entropy = 0;
    int used = 0;
    for (int k = 0; k < 32; ++k) {
      sum += run.usage.f32()[k];
      entropy -= run.usage.f32()[k] * std::log(run.usage.f32()[k]) / std::log(32.0);
      used += run.shares[k] > 0;
    }
    engine.Backward(x, run.state);
    std::vector<float> trits(size_t{32} * 64 * 64), scales(size_t{32} * 64);
    engine.bank.Ternarize(engine.params.operations, trits.data(), scales.data());
    const bool ternary = std::all_of(trits.begin(), trits.end(), [](float t) { return t == -1 || t == 0 || t == 1; });
    // Tokens differ in their routes, and only chosen operations have a gradient.
    int learning = 0;
    for (int64_t k = 0; k < 32; ++k) {
      learning += Norm(engine.bank.Gradient(engine.params.operations) + k * 64 * 64, int64_t{64} * 64) > 0;
    }
    int64_t bytes = 0;  // of a model's operations, at the announced sizes
    const std::unique_ptr<Model> model = MakeModel(Config(1024, 192, 4, 64, 16, 16, 0), false);
    for (const ParamInfo& info : model->bank().infos()) {
      if (info.name.starts_with("rcsm.op_library.")) bytes += info.size * static_cast<int64_t>(sizeof(float));
    }
    result.passed = run.state.rows == 256 && ternary && bytes > 0 && bytes <= int64_t{256} * 1024 &&
                    std::abs(sum - 1) < 0.01 && entropy > 0.7 && used >= 8 && learning == used;
    result.detail = fmt::format("{} of 32 operations chosen, {} learn, entropy {:.3f}; 16 take {} KB", used, learning,
                                entropy, bytes / 1024);
  });
}

CheckResult Memory() {
  return TimedCheck("claim 5: memory", [](CheckResult& result) {
    Trainee trainee(Config(64, 96, 2, 64, 16, 16, 3), 2, 16);
    const std::vector<float> before = trainee.Slots();
    trainee.Loss(0);
    const std::vector<float> written = trainee.Slots();
    // One more pass: dropped, it leaves the slots alone; applied, it would not have.
    const auto step = [&](bool applied) {
      trainee.model->BeginStep();
      trainee.step->tape().BeginTraining(2, 16, 1, 5);
      trainee.model->Forward(trainee.step->tape(), trainee.inputs.data());
      trainee.model->EndStep(applied);
      return trainee.Slots() != written;
    };
    const bool kept = !step(false) && step(true);
    trainee.model->bank().Initialize(7);
    const bool reset = trainee.Slots() == before;
    double mean = 0;
    for (const float slot : before) mean += std::abs(slot) / static_cast<double>(before.size());
    Engine engine(64, 16, 16);
    const Tensor x = engine.Input(2, 16, 64);
    engine.Backward(x, engine.Run(x, 1).state);
    const double query = engine.GradientNorm(engine.params.read_key),
                 key = engine.GradientNorm(engine.params.write_key);
    result.passed =
        written != before && kept && reset && mean < 0.1 && query > 0 && key > 0 && before.size() * 4 == 4096;
    result.detail = fmt::format("mean |slot| {:.4f}, gradients of the keys {:.1e} and {:.1e}", mean, query, key);
  });
}

CheckResult Depths() {
  return TimedCheck("claim 6: depth", [](CheckResult& result) {
    Engine engine(64, 8, 8);
    std::set<int64_t> chosen;
    // One token alone: its passes are its depth.
    for (uint64_t step = 0; step < 32; ++step) {
      chosen.insert(engine.Run(engine.Input(1, 1, 64, step), 0).passes);
    }
    const auto passes = [&](uint64_t step, bool training, double noise) {
      return engine.Run(engine.Input(2, 16, 64, step, training), 0, noise).passes;
    };
    const int64_t noisy = passes(1, true, 1);
    const bool same = passes(1, true, 1) == noisy, other = passes(2, true, 1) != noisy;
    const int64_t calm = passes(1, false, 0);
    const bool repeats = passes(1, false, 1) == calm && passes(1, true, 0) == calm;
    result.passed = chosen == std::set<int64_t>{1, 3, 8} && same && other && repeats;
    result.detail = fmt::format("{} depths occur; 32 tokens make {} passes with noise, {} in evaluation", chosen.size(),
                                noisy, calm);
  });
}

CheckResult WholeEngine(bool assert_speed) {
  return TimedCheck("claim 7: engine", [=](CheckResult& result) {
    Engine engine(64, 16, 16);
    const Tensor x = engine.Input(2, 16, 64);
    const Tensor y = engine.Run(x, 3).state;
    const double change = MeanChange(x, y);
    const double gradient = engine.Backward(x, y);
    // The least of a few runs: others use the machine too.
    constexpr int64_t kTokens = 256;
    double seconds[4];
    int64_t passes[4];
    std::set<std::vector<float>> results;
    const int depths[4] = {1, 3, 8, 0};
    for (int i = 0; i < 4; ++i) {
      const ReasoningResult run = engine.Run(engine.Input(4, 64, 64), depths[i]);
      passes[i] = run.passes;
      results.emplace(run.state.f32(), run.state.f32() + int64_t{256} * 64);
      seconds[i] = HUGE_VAL;
      for (int repeat = 0; repeat < 7; ++repeat) {
        const Tensor input = engine.Input(4, 64, 64);
        const Stopwatch watch;
        engine.Run(input, depths[i]);
        seconds[i] = std::min(seconds[i], watch.Seconds());
      }
    }
    const bool works = passes[0] == kTokens && passes[1] == 3 * kTokens && passes[2] == 8 * kTokens &&
                       passes[3] > kTokens && passes[3] < 8 * kTokens && results.size() == 4;
    result.passed = y.rows == 32 && y.cols == 64 && change > 0.01 && gradient > 0 && works &&
                    (!assert_speed || (seconds[0] < seconds[2] && seconds[3] < seconds[2]));
    result.detail = fmt::format("256 tokens at depth 1: {:.2f} ms, 3: {:.2f}, 8: {:.2f}, adaptive, {} passes: {:.2f}{}",
                                1e3 * seconds[0], 1e3 * seconds[1], 1e3 * seconds[2], passes[3], 1e3 * seconds[3],
                                Asserted(assert_speed, "8 is the slowest"));
  });
}

CheckResult WholeModel() {
  return TimedCheck("claim 8: model", [](CheckResult& result) {
    const Json config = Config(1024, 192, 4, 64, 16, 16, 0);
    const CheckResult learns = CheckEveryParameterLearns(config);
    Trainee trainee(config, 2, 32);
    trainee.RandomTokens();
    const double loss = trainee.Loss(0);
    result.passed = learns.passed && std::abs(loss - std::log(1024.0)) < 0.5 && PeakRssMb() < 5000;
    result.detail =
        fmt::format("loss {:.3f}, ln V {:.3f}; {}; {:.0f} MB", loss, std::log(1024.0), learns.detail, PeakRssMb());
  });
}

CheckResult LearnsAndGenerates() {
  return TimedCheck("claims 9 and 10: learns a cycle, generates", [](CheckResult& result) {
    Trainee trainee(Config(64, 96, 2, 32, 8, 8, 3), 1, 64);
    const double first = trainee.Loss(0);
    double last = first;
    for (int64_t s = 1; s < 30; ++s) last = trainee.Loss(s);
    Session session(*trainee.model, DType::kF32);
    const std::vector<int32_t> prompt = {1, 2, 3, 4};
    const float* log_probs = session.Feed(prompt);
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      const auto next = static_cast<int32_t>(kernels::Argmax(log_probs, session.vocab()));
      right += next == 1 + (4 + i) % 8;
      log_probs = session.Feed(next);
    }
    result.passed = last < 0.5 * first && session.position() == 24 && right >= 18;
    result.detail =
        fmt::format("loss {:.2f} to {:.2f}; {} of 20 generated tokens go on with the cycle", first, last, right);
  });
}

CheckResult DepthsLearn() {
  return TimedCheck("claim 11: depths 1 and 8 learn", [](CheckResult& result) {
    double first[2], last[2];
    for (int i = 0; i < 2; ++i) {
      Trainee trainee(Config(64, 96, 2, 32, 8, 8, i == 0 ? 1 : 8), 1, 64);
      first[i] = last[i] = trainee.Loss(0);
      for (int64_t s = 1; s < 20; ++s) last[i] = trainee.Loss(s);
    }
    // The announced "8 beats 1" is not so on this task, neither here nor there; but none may be left behind.
    result.passed =
        last[0] < 0.7 * first[0] && last[1] < 0.7 * first[1] && last[1] < 1.2 * last[0] && last[0] != last[1];
    result.detail = fmt::format("after 20 steps {:.3f} at depth 1, {:.3f} at depth 8", last[0], last[1]);
  });
}

CheckResult OperationsStayInUse() {
  return TimedCheck("claim 12: operations in use after training", [](CheckResult& result) {
    Trainee trainee(Config(64, 96, 2, 64, 16, 16, 3), 4, 32);
    trainee.RandomTokens();
    // Any small router is even before training. One with large weights has favourites, and without the balancing loss
    // (weight 0.01) it keeps them: 1.28 becomes 1.10.
    const ParamInfo* router = trainee.model->bank().Find("rcsm.router.router.weight");
    float* weights = trainee.model->bank().values() + router->offset;
    for (int64_t i = 0; i < router->size; ++i) weights[i] *= 30;
    trainee.model->bank().Touch();
    double balance[60];
    for (int64_t s = 0; s < 60; ++s) {
      balance[s] = trainee.step->Run(s, trainee.inputs.data(), trainee.targets.data(), 1.0).parts["auxiliary"] / 0.01;
    }
    Tape& tape = trainee.step->tape();
    tape.BeginTraining(4, 32, 1, 99);
    const Prediction prediction = trainee.model->Forward(tape, trainee.inputs.data());
    trainee.train.objective.Add(tape, prediction, trainee.inputs.data(), trainee.targets.data(), 0, 1.0, 1);
    tape.Backward();
    int used = 0;  // what was chosen has a gradient
    for (int k = 0; k < 16; ++k) {
      const ParamInfo* info = trainee.model->bank().Find(fmt::format("rcsm.op_library.ops.{}", k));
      used += Norm(trainee.model->bank().gradients() + info->offset, info->size) > 0;
    }
    result.passed = used >= 12 && balance[0] > 1.2 && balance[59] > 0.99 && balance[59] < 1.06;
    result.detail =
        fmt::format("{} of 16 operations, balance {:.3f} to {:.3f} (1 is even)", used, balance[0], balance[59]);
  });
}

CheckResult Speed(bool assert_speed) {
  return TimedCheck("claim 13: more than 500 tokens/s in training", [=](CheckResult& result) {
    Trainee trainee(Config(4096, 192, 4, 64, 16, 16, 3), 4, 128);
    trainee.RandomTokens();
    const double first = trainee.Loss(0);
    for (int64_t s = 1; s < 3; ++s) trainee.Loss(s);
    const Stopwatch watch;
    const int timed = assert_speed ? 10 : 2;
    double last = 0;
    for (int64_t s = 3; s < 3 + timed; ++s) last = trainee.Loss(s);
    const double rate = timed * 4 * 128 / watch.Seconds();
    // What is fast must also be training.
    result.passed = last < first - 0.5 && (rate > 500 || !assert_speed);
    result.detail =
        fmt::format("{:.0f} tokens/s{}; loss {:.2f} to {:.2f}", rate, Asserted(assert_speed, "500"), first, last);
  });
}

// Nothing passes from one sequence to another through the slots, nor from a request to the next.
CheckResult MemoryIsolation() {
  return TimedCheck("memory is isolated; causal at every depth", [](CheckResult& result) {
    result.passed = true;
    for (const int depth : {0, 1, 8}) {
      const std::unique_ptr<Model> model = MakeModel(Config(32, 48, 2, 24, 6, 6, depth), true);
      model->bank().Initialize(9);
      result.passed &= CheckCausality(*model, DType::kF32).passed();
    }
    Trainee trainee(Config(64, 96, 2, 32, 8, 8, 0), 2, 16);
    trainee.RandomTokens();
    trainee.Loss(0);  // slots that have been written
    const auto first_row = [&] {
      Tape& tape = trainee.step->tape();
      tape.BeginTraining(2, 16, 1, 5);
      const Tensor hidden = trainee.model->Forward(tape, trainee.inputs.data()).hidden;
      return std::vector<float>(hidden.f32(), hidden.f32() + int64_t{16} * hidden.cols);
    };
    const std::vector<float> beside_one = first_row();
    std::reverse(trainee.inputs.begin() + 16, trainee.inputs.end());
    const bool neighbours = first_row() == beside_one;

    const std::vector<float> slots = trainee.Slots();
    const auto answer = [&](Session& session) {
      const float* log_probs = session.Feed(std::span<const int32_t>(trainee.inputs).first(16));
      return std::vector<float>(log_probs, log_probs + session.vocab());
    };
    Session fresh(*trainee.model, DType::kF32);
    const std::vector<float> expected = answer(fresh);
    for (int i = 0; i < 50; ++i) fresh.Feed(i);
    Session next(*trainee.model, DType::kF32);
    const bool requests = answer(next) == expected && trainee.Slots() == slots;
    result.passed &= neighbours && requests;
    result.detail =
        fmt::format("neighbours {}, requests {}", neighbours ? "apart" : "TOUCH", requests ? "apart" : "TOUCH");
  });
}

}  // namespace

std::vector<CheckResult> CheckSupernovaClaims(const std::string& architecture, bool assert_speed) {
  if (architecture != "v6-supernova") return {};
  // Plain loops are there to be compared with, and were never claimed to be fast.
  assert_speed = assert_speed && kernels::ActiveIsa() != kernels::Isa::kScalar;
  return {TernaryMap(),
          Recurrence(),
          OperationsAndRouter(),
          Memory(),
          Depths(),
          WholeEngine(assert_speed),
          WholeModel(),
          LearnsAndGenerates(),
          DepthsLearn(),
          OperationsStayInUse(),
          Speed(assert_speed),
          MemoryIsolation()};
}

}  // namespace flashlm
