#include "checks/trained_supernova.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/rng.h"
#include "eval/scorer.h"
#include "infer/session.h"
#include "kernels/isa.h"
#include "kernels/reasoning/reasoning.h"
#include "kernels/vector/vector.h"
#include "models/predict.h"
#include "probes/probes.h"
#include "train/data_place.h"
#include "train/step.h"
#include "train/throughput.h"
#include "train/validation.h"

namespace flashlm {
namespace {

constexpr char kOperation[] = "rcsm.op_library.ops.";
constexpr size_t kTexts = 24, kLongestText = 160, kPrefix = 24;

bool IsOperation(const ParamInfo& info) { return info.name.starts_with(kOperation); }

bool HasGradient(const ParamBank& bank, const ParamInfo& info) {
  const float* begin = bank.gradients() + info.offset;
  return std::any_of(begin, begin + info.size, [](float g) { return g != 0; });
}

std::vector<float> ValuesOf(const ParamBank& bank, const std::string& name) {
  const ParamInfo* info = bank.Find(name);
  FLASHLM_CHECK(info != nullptr, "the model has no tensor {}", name);
  return {bank.values() + info->offset, bank.values() + info->offset + info->size};
}

// Held-out texts, and what they are.
struct HeldOutTexts {
  std::vector<TokenIds> ids;
  std::string where;
};

HeldOutTexts TextsFor(const LoadedModel& loaded) {
  HeldOutTexts texts;
  const auto add = [&](std::string_view document) {
    TokenIds ids = loaded.tokenizer.Encode(document);
    ids.resize(std::min(ids.size(), kLongestText));
    if (ids.size() >= kPrefix) texts.ids.push_back(std::move(ids));
  };
  try {
    const Json run = loaded.trainer_state.is_object() ? loaded.trainer_state.value("run", Json()) : Json();
    if (!run.is_object()) throw Error("a model folder");
    const DataPlace data{run.value("data", ""), run.value("data_fingerprint", "")};
    const Validation validation(FindData(data, "", "the run").folder);
    for (const std::string_view document : validation.test()) {
      if (texts.ids.size() < kTexts) add(document);
    }
    texts.where = "held-out text of the run";
  } catch (const Error&) {
    texts.ids.clear();
  }
  if (texts.ids.size() >= 4) return texts;
  texts = {{}, "texts of probes, for the run's own are not to be had"};
  for (uint64_t i = 0; texts.ids.size() < kTexts && i < 1000; ++i) add(ProbeDocument(1, i));
  return texts;
}

// Reads with one depth or as tokens choose, and goes back to what the model was made with.
class AtDepth {
 public:
  AtDepth(Model& model, int depth) : model_(model) { model_.SetDepth(depth); }
  ~AtDepth() { model_.SetDepth(model_.config().value("depth", 0)); }
  AtDepth(const AtDepth&) = delete;
  AtDepth& operator=(const AtDepth&) = delete;

 private:
  Model& model_;
};

class Claims {
 public:
  Claims(LoadedModel& loaded, DType dtype, bool assert_speed)
      : loaded_(loaded), model_(*loaded.model), dtype_(dtype), speed_(assert_speed), texts_(TextsFor(loaded)) {}

  std::vector<CheckResult> All() {
    return {Ternary(), Recurrence(), Operations(), Router(),   Memory(),    Depth(), Engine(),
            Whole(),   Learns(),     Generates(),  DeepPays(), Diversity(), Speed()};
  }

 private:
  static CheckResult Claim(const char* name, const std::function<void(CheckResult&)>& body) {
    return TimedCheck(fmt::format("trained, claim {}", name), body);
  }

  // The same weights, with room for gradients.
  std::unique_ptr<Model> Copy() const {
    std::unique_ptr<Model> copy = MakeModel(model_.config(), true);
    FLASHLM_CHECK(copy->bank().size() == model_.bank().size(), "a copy of another size");
    std::copy_n(model_.bank().values(), model_.bank().size(), copy->bank().values());
    copy->bank().Touch();
    return copy;
  }

  // A text from its <eos> on, and what follows each token.
  static std::vector<int32_t> Inputs(const TokenIds& ids) {
    std::vector<int32_t> inputs = {Tokenizer::kEos};
    inputs.insert(inputs.end(), ids.begin(), ids.end() - 1);
    return inputs;
  }

  // f32 [T * V].
  std::vector<float> LogProbs(std::span<const int32_t> inputs, int depth) {
    const AtDepth at(model_, depth);
    Tape tape(model_.bank(), model_.packs(), DType::kF32);
    tape.BeginInference(1, static_cast<int>(inputs.size()), nullptr);
    const Tensor log_probs = LogProbabilities(tape, model_.Predict(tape, inputs.data()));
    return {log_probs.f32(), log_probs.f32() + int64_t{log_probs.rows} * log_probs.cols};
  }

  // Nats per token of each text.
  std::vector<double> Nats(int depth) {
    const AtDepth at(model_, depth);
    std::vector<double> means;
    for (const std::vector<float>& nats : Scorer(model_, dtype_).Score(texts_.ids)) {
      double sum = 0;
      for (const float one : nats) sum += one;
      means.push_back(sum / static_cast<double>(nats.size()));
    }
    return means;
  }
  static double Mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }

  // Gradients of the loss of the targets that are not -1, in the copy's bank.
  static void Gradients(Model& copy, const std::vector<int32_t>& inputs, const std::vector<int32_t>& targets, int rows,
                        int depth) {
    const AtDepth at(copy, depth);
    Tape tape(copy.bank(), copy.packs(), DType::kF32);
    copy.bank().ClearGradients();
    tape.BeginTraining(rows, static_cast<int>(inputs.size()) / rows, 1, 1);
    NextTokenLoss(tape, copy.Predict(tape, inputs.data()), targets.data(), {});
    tape.Backward();
  }

  // All texts side by side, cut to the shortest.
  void GradientsOfTexts(Model& copy, int depth) const {
    const size_t rows = std::min<size_t>(8, texts_.ids.size());
    size_t length = kLongestText;
    for (size_t r = 0; r < rows; ++r) length = std::min(length, texts_.ids[r].size());
    std::vector<int32_t> inputs, targets;
    for (size_t r = 0; r < rows; ++r) {
      const std::vector<int32_t> whole = Inputs(texts_.ids[r]);
      inputs.insert(inputs.end(), whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      targets.insert(targets.end(), texts_.ids[r].begin(), texts_.ids[r].begin() + static_cast<std::ptrdiff_t>(length));
    }
    Gradients(copy, inputs, targets, static_cast<int>(rows), depth);
  }

  // The operations that a token takes in one pass, after some different beginnings: those that the loss of this token
  // alone gives a gradient.
  const std::vector<std::set<int>>& Routes() {
    if (!routes_.empty()) return routes_;
    const std::unique_ptr<Model> copy = Copy();
    for (const TokenIds& ids : texts_.ids) {
      for (size_t length = kPrefix / 4; length <= kPrefix; length += kPrefix / 4) {
        const std::vector<int32_t> whole = Inputs(ids);
        const std::vector<int32_t> inputs(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        std::vector<int32_t> targets(length, -1);
        targets.back() = ids[length - 1];
        Gradients(*copy, inputs, targets, 1, 1);
        std::set<int>& route = routes_.emplace_back();
        int index = 0;
        for (const ParamInfo& info : copy->bank().infos()) {
          if (!IsOperation(info)) continue;
          if (HasGradient(copy->bank(), info)) route.insert(index);
          ++index;
        }
      }
    }
    return routes_;
  }

  int OperationCount() const {
    const auto& infos = model_.bank().infos();
    return static_cast<int>(std::count_if(infos.begin(), infos.end(), IsOperation));
  }

  CheckResult Ternary() {
    return Claim("1: ternary weights", [&](CheckResult& result) {
      double parts[3] = {0, 0, 0}, count = 0, worst = 0;
      for (const ParamInfo& info : model_.bank().infos()) {
        if (info.quantization.ternary == kernels::Ternary::kNone) continue;
        const Param map{info.offset,
                        info.shape[0],
                        static_cast<int32_t>(info.size / info.shape[0]),
                        {info.quantization.ternary, false}};
        std::vector<float> trits(static_cast<size_t>(info.size)), scales(static_cast<size_t>(map.rows));
        model_.bank().Ternarize(map, trits.data(), scales.data());
        for (const float trit : trits) {
          if (trit != -1 && trit != 0 && trit != 1) throw Error(fmt::format("{} holds {}", info.name, trit));
          ++parts[static_cast<int>(trit) + 1];
        }
        count += static_cast<double>(info.size);
        worst = std::max(worst, ProductError(map, trits, scales));
      }
      for (double& part : parts) part /= std::max(1.0, count);
      result.passed = count > 0 && parts[0] > 0.2 && parts[0] < 0.5 && parts[2] > 0.2 && parts[2] < 0.5 && worst < 1e-4;
      result.detail =
          fmt::format("{:.0f} weights, -1: {:.3f}, 0: {:.3f}, +1: {:.3f}; products of these alone up to {:.0e}", count,
                      parts[0], parts[1], parts[2], worst);
    });
  }

  // Of a map's product, against sums of what its trits let through.
  double ProductError(const Param& map, const std::vector<float>& trits, const std::vector<float>& scales) {
    Tape tape(model_.bank(), model_.packs(), DType::kF32);
    tape.BeginInference(1, 1, nullptr);
    Rng rng(5, Purpose::kTest);
    std::vector<float> row(static_cast<size_t>(map.cols));
    for (float& value : row) value = rng.Normal();
    const Tensor y = Linear(tape, tape.Wrap(row.data(), 1, map.cols), map);
    double error = 0;
    for (int64_t r = 0; r < map.rows; ++r) {
      double sum = 0, size = 1;
      for (int64_t c = 0; c < map.cols; ++c) {
        const double term = trits[static_cast<size_t>(r * map.cols + c)] * row[static_cast<size_t>(c)];
        sum += term;
        size += std::abs(term);
      }
      const double scale = scales[static_cast<size_t>(r)];
      error = std::max(error, std::abs(sum * scale - y.f32()[r]) / (scale * size + 1e-9));
    }
    return error;
  }

  CheckResult Recurrence() {
    return Claim("2: the backbone remembers", [&](CheckResult& result) {
      // What another first word changes, soon and late.
      const int vocab = model_.vocab();
      double soon = 0, late = 0;
      for (size_t i = 0; i + 1 < texts_.ids.size(); ++i) {
        std::vector<int32_t> inputs = Inputs(texts_.ids[i]);
        inputs.resize(kPrefix);
        const std::vector<float> before = LogProbs(inputs, 1);
        inputs[1] = inputs[1] == texts_.ids[i + 1][0] ? (inputs[1] + 1) % vocab : texts_.ids[i + 1][0];
        const std::vector<float> after = LogProbs(inputs, 1);
        const auto width = static_cast<size_t>(vocab), last = static_cast<size_t>(kPrefix - 1);
        for (size_t v = 0; v < width; ++v) {
          soon += std::abs(before[2 * width + v] - after[2 * width + v]);
          late += std::abs(before[last * width + v] - after[last * width + v]);
        }
      }
      const double scale = static_cast<double>(texts_.ids.size() - 1) * vocab;
      result.passed = late > 0 && late < soon;
      result.detail =
          fmt::format("another first word moves a log-probability by {:.3f} after one token, {:.3f} after {}",
                      soon / scale, late / scale, kPrefix - 2);
    });
  }

  CheckResult Operations() {
    return Claim("3: two operations a pass, from the cache", [&](CheckResult& result) {
      int64_t weights = 0;
      for (const ParamInfo& info : model_.bank().infos()) {
        if (IsOperation(info) && info.quantization.ternary != kernels::Ternary::kNone) weights += info.size;
      }
      const auto& routes = Routes();
      const auto two = std::count_if(routes.begin(), routes.end(), [](const auto& r) { return r.size() == 2; });
      const int64_t packed = weights / 4;  // two bits each
      result.passed = weights > 0 && packed <= int64_t{256} * 1024 && two == std::ssize(routes);
      result.detail = fmt::format(
          "{} of {} tokens take two of {} operations; packed they are {:.1f} KB, as floats {:.0f}", two, routes.size(),
          OperationCount(), static_cast<double>(packed) / 1024, static_cast<double>(weights) / 256);
    });
  }

  CheckResult Router() {
    return Claim("4: tokens take different routes", [&](CheckResult& result) {
      const std::set<std::set<int>> different(Routes().begin(), Routes().end());
      result.passed = different.size() >= 4;
      result.detail = fmt::format("{} different pairs of operations in the first pass of {} tokens of {}",
                                  different.size(), Routes().size(), texts_.where);
    });
  }

  CheckResult Memory() {
    return Claim("5: memory was written", [&](CheckResult& result) {
      const char* const slots = "rcsm.memory.slots";
      const std::vector<float> trained = ValuesOf(model_.bank(), slots);
      const std::unique_ptr<Model> copy = Copy();
      const Json run = loaded_.trainer_state.is_object() ? loaded_.trainer_state.value("run", Json()) : Json();
      const uint64_t seed = run.is_object() ? run.value("seed", uint64_t{1}) : 1;
      GradientsOfTexts(*copy, 3);
      bool learns = true;
      for (const char* key : {"rcsm.memory.read_key.weight", "rcsm.memory.write_key.weight"}) {
        const ParamInfo* info = copy->bank().Find(key);
        learns &= info != nullptr && HasGradient(copy->bank(), *info);
      }
      LogProbs(Inputs(texts_.ids[0]), 8);
      const bool kept = ValuesOf(model_.bank(), slots) == trained;
      copy->bank().Initialize(seed);
      const std::vector<float> fresh = ValuesOf(copy->bank(), slots);
      double change = 0, size = 0;
      for (size_t i = 0; i < trained.size(); ++i) {
        change += std::abs(trained[i] - fresh[i]);
        size += std::abs(trained[i]);
      }
      result.passed = change > 0 && learns && kept && trained.size() * sizeof(float) <= size_t{256} * 1024;
      result.detail =
          fmt::format("training moved the slots by {:.1e} a value, to {:.1e}; reading {} them; {} KB",
                      change / static_cast<double>(trained.size()), size / static_cast<double>(trained.size()),
                      kept ? "leaves" : "CHANGES", trained.size() * sizeof(float) / 1024);
    });
  }

  CheckResult Depth() {
    return Claim("6: tokens choose their depth", [&](CheckResult& result) {
      // The engine works on each token by itself, so a token that chose a depth has what that depth gives.
      const size_t vocab = static_cast<size_t>(model_.vocab());
      std::map<int, int> chosen;
      int tokens = 0, unmatched = 0;
      bool repeats = true;
      for (const TokenIds& ids : texts_.ids) {
        const std::vector<int32_t> inputs = Inputs(ids);
        const std::vector<float> own = LogProbs(inputs, 0);
        repeats &= LogProbs(inputs, 0) == own;
        std::map<int, std::vector<float>> forced;
        for (const int depth : kernels::kReasoningDepths) forced[depth] = LogProbs(inputs, depth);
        for (size_t t = 0; t < inputs.size(); ++t) {
          double nearest = 1e-3;
          int depth = 0;
          for (const auto& [d, values] : forced) {
            double difference = 0;
            for (size_t v = t * vocab; v < (t + 1) * vocab; ++v) {
              difference = std::max(difference, std::abs(static_cast<double>(values[v]) - own[v]));
            }
            if (difference < nearest) std::tie(nearest, depth) = std::pair(difference, d);
          }
          ++tokens;
          depth == 0 ? ++unmatched : ++chosen[depth];
        }
      }
      result.passed = repeats && unmatched == 0 && chosen.size() >= 2;
      for (const auto& [depth, count] : chosen) {
        result.detail += fmt::format("depth {}: {:.1f} %, ", depth, 100.0 * count / tokens);
      }
      result.detail += fmt::format("{} of {} tokens of {}; read again {}", unmatched == 0 ? "all" : "not all", tokens,
                                   texts_.where, repeats ? "the same" : "DIFFERENT");
    });
  }

  CheckResult Engine() {
    return Claim("7: the engine matters", [&](CheckResult& result) {
      const std::vector<int32_t> inputs = Inputs(texts_.ids[0]);
      std::set<std::vector<float>> different;
      for (const int depth : kernels::kReasoningDepths) different.insert(LogProbs(inputs, depth));
      const double with = Mean(Nats(0));
      const ParamInfo* up = model_.bank().Find("rcsm.up_proj.weight");
      FLASHLM_CHECK(up != nullptr, "the model has no rcsm.up_proj.weight");
      const std::vector<float> weights = ValuesOf(model_.bank(), up->name);
      std::fill_n(model_.bank().values() + up->offset, up->size, 0.0f);
      model_.bank().Touch();
      const double without = Mean(Nats(0));
      std::copy(weights.begin(), weights.end(), model_.bank().values() + up->offset);
      model_.bank().Touch();
      result.passed = different.size() == std::size(kernels::kReasoningDepths) && with < without;
      result.detail = fmt::format("{:.4f} nats per token, {:.4f} with the engine cut off; {} depths give {} results",
                                  with, without, std::size(kernels::kReasoningDepths), different.size());
    });
  }

  CheckResult Whole() {
    return Claim("8: the whole model", [&](CheckResult& result) {
      const std::unique_ptr<Model> copy = Copy();
      // A choice that is not blended learns from measured gains, not from this loss.
      const bool blends = copy->config().value("depth_blend", true);
      std::set<std::string> dead;
      for (const ParamInfo& info : copy->bank().infos()) {
        if (info.role == Role::kBuffer || IsOperation(info)) continue;  // operations are claim 12's
        if (blends || info.name.find("depth_ctrl.") == std::string::npos) dead.insert(info.name);
      }
      for (const int depth : {0, 8}) {
        GradientsOfTexts(*copy, depth);
        std::erase_if(dead,
                      [&](const std::string& name) { return HasGradient(copy->bank(), *copy->bank().Find(name)); });
      }
      const double nats = Mean(Nats(0)), chance = std::log(model_.vocab());
      result.passed = dead.empty() && nats < chance && PeakRssMb() < 5000;
      result.detail = fmt::format("{:.3f} nats per token, ln V {:.3f}; {} tensors without gradient{}; {:.0f} MB", nats,
                                  chance, dead.size(), dead.empty() ? "" : ", as " + *dead.begin(), PeakRssMb());
    });
  }

  // The announcement's small training, from these weights on: AdamW 1e-3, on the cycle 4..11.
  CheckResult Learns() {
    return Claim("9: goes on learning", [&](CheckResult& result) {
      constexpr int kLength = 64, kSteps = 30;
      const std::unique_ptr<Model> copy = Copy();
      TrainConfig train;
      train.micro_batch = train.accumulate = 1;
      train.sequence_length = kLength;
      train.spike_factor = 0;
      OptimConfig optim;
      optim.lr = 1e-3;
      optim.weight_decay = 0.01;
      TrainingStep step(*copy, optim, train, DType::kF32, 1);
      std::vector<int32_t> inputs, targets;
      for (int t = 0; t < kLength; ++t) {
        inputs.push_back(Tokenizer::kSpecials + t % 8);
        targets.push_back(Tokenizer::kSpecials + (t + 1) % 8);
      }
      double first = 0, last = 0;
      for (int s = 0; s < kSteps; ++s) {
        last = step.Run(s, inputs.data(), targets.data(), 1.0).parts.cross_entropy;
        if (s == 0) first = last;
      }
      result.passed = last < 0.5 * first;
      result.detail = fmt::format("{} steps on a cycle of 8 tokens: loss {:.2f} to {:.2f}", kSteps, first, last);
    });
  }

  CheckResult Generates() {
    return Claim("10: generates", [&](CheckResult& result) {
      constexpr int kTokens = 20;
      std::vector<int32_t> prompt = {Tokenizer::kEos};
      for (const uint16_t id : loaded_.tokenizer.Encode("Once upon a time")) prompt.push_back(id);
      const auto generate = [&](bool anew) {
        Session session(model_, DType::kF32);  // in which ties are rare
        std::vector<int32_t> all = prompt;
        const float* log_probs = session.Feed(all);
        for (int i = 0; i < kTokens; ++i) {
          all.push_back(static_cast<int32_t>(kernels::Argmax(log_probs, session.vocab())));
          if (anew) session.Reset();
          log_probs = anew ? session.Feed(all) : session.Feed(all.back());
        }
        return all;
      };
      const Stopwatch watch;
      const std::vector<int32_t> streamed = generate(false);
      const double rate = kTokens / watch.Seconds();
      const std::vector<int32_t> whole = generate(true);
      const std::vector<uint16_t> ids(streamed.begin() + std::ssize(prompt), streamed.end());
      const std::string text = loaded_.tokenizer.Decode(ids);
      result.passed = streamed == whole && !text.empty() && (!speed_ || rate > 48);
      result.detail = fmt::format("{} tokens, {} as if all were read anew, {:.0f} tokens/s{}: {}", kTokens,
                                  streamed == whole ? "the same" : "NOT", rate, speed_ ? " (asserted: 48)" : "",
                                  ToText(Json(text)));
    });
  }

  CheckResult DeepPays() {
    return Claim("11: depth 8 beats depth 1", [&](CheckResult& result) {
      const std::vector<double> shallow = Nats(1), deep = Nats(8);
      double gain = 0, squares = 0;
      const auto count = static_cast<double>(shallow.size());
      for (size_t i = 0; i < shallow.size(); ++i) gain += (shallow[i] - deep[i]) / count;
      for (size_t i = 0; i < shallow.size(); ++i) squares += std::pow(shallow[i] - deep[i] - gain, 2);
      const double error = std::sqrt(squares / (count - 1) / count);
      result.passed = gain > 2 * error;
      result.detail =
          fmt::format("{:.4f} nats per token at depth 1, {:.4f} at 8: better by {:.4f} ± {:.4f} on {} of {}",
                      Mean(shallow), Mean(deep), gain, error, shallow.size(), texts_.where);
    });
  }

  CheckResult Diversity() {
    return Claim("12: operations are in use", [&](CheckResult& result) {
      const int operations = OperationCount();
      const std::unique_ptr<Model> copy = Copy();
      GradientsOfTexts(*copy, 8);
      int used = 0;
      for (const ParamInfo& info : copy->bank().infos()) used += IsOperation(info) && HasGradient(copy->bank(), info);
      std::map<int, double> counts;
      double all = 0, entropy = 0;
      for (const std::set<int>& route : Routes()) {
        for (const int operation : route) {
          ++counts[operation];
          ++all;
        }
      }
      for (const auto& [operation, count] : counts)
        entropy -= count / all * std::log(count / all) / std::log(operations);
      result.passed = used >= 0.75 * operations && entropy > 0.7;
      result.detail = fmt::format("{} of {} operations in 8 passes; entropy of the first pass's choices {:.3f} of 1",
                                  used, operations, entropy);
    });
  }

  CheckResult Speed() {
    return Claim("13: more than 500 tokens/s in training", [&](CheckResult& result) {
      RunConfig config;
      config.model = model_.config();
      config.train.micro_batch = 4;
      config.train.accumulate = 1;
      config.train.sequence_length = 128;
      config.train.lanes = 1;
      const double rate = 1 / SecondsPerToken(config, 0.5);
      result.passed = !speed_ || rate > 500;
      result.detail = fmt::format("{:.0f} tokens/s{}", rate, speed_ ? " (asserted: 500)" : " (not asserted here)");
    });
  }

  LoadedModel& loaded_;
  Model& model_;
  DType dtype_;
  bool speed_;
  HeldOutTexts texts_;
  std::vector<std::set<int>> routes_;
};

}  // namespace

bool IsSupernova(const Model& model) {
  return model.architecture().starts_with("v6-supernova") &&
         model.bank().Find(std::string(kOperation) + "0") != nullptr;
}

std::vector<CheckResult> CheckTrainedSupernova(LoadedModel& loaded, DType dtype, bool assert_speed) {
  return Claims(loaded, dtype, assert_speed && kernels::ActiveIsa() != kernels::Isa::kScalar).All();
}

}  // namespace flashlm
