#include "kernels/reasoning/reasoning.h"

#include <algorithm>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/reasoning/ref.h"

namespace flashlm {
namespace {

struct ReasoningSaved {
  kernels::ReasoningShape shape;
  const void* memory;
  int64_t passes;
  Tensor usage;
  ReasoningParams params;
  const kernels::ReasoningPack* pack;
};

int64_t Floats(int64_t bytes) { return (bytes + 3) / 4; }

bool IsTernary(const Param& map) { return map.quantization.ternary != kernels::Ternary::kNone; }

// Sets the maps that are float in any engine, each to what of(its handle) says; the slots have no gradient.
template <class T, class Of>
void SetFloatMaps(const ReasoningParams& p, const Of& of, kernels::ReasoningMaps<T>& maps) {
  maps.read_key = of(p.read_key);
  maps.mix = of(p.mix);
  maps.gain = of(p.gain);
  maps.bias = of(p.bias);
  maps.write_gate = of(p.write_gate);
  maps.write_value = of(p.write_value);
  maps.write_key = of(p.write_key);
  maps.write_scale = of(p.write_scale);
}

// Passes side by side come here one after another, so that none reads what another is writing.
void RenewPack(Tape& tape, const kernels::ReasoningShape& shape, const ReasoningParams& p,
               kernels::ReasoningPack& pack) {
  ParamBank& bank = tape.bank();
  const std::lock_guard lock(pack.renewing);
  const auto version = static_cast<int64_t>(bank.version());
  if (pack.version == version) return;
  const int64_t n = shape.width;
  kernels::ReasoningMaps<const float> maps;
  // Trits of a handle and the scale of each of its rows; of a float map its values, and ones.
  const auto trits = [&](const Param& map, float** scales) -> const float* {
    *scales = std::fill_n(tape.Scratch(map.rows), map.rows, 1.0f) - map.rows;
    if (!IsTernary(map)) return bank.Value(map);
    float* values = tape.Scratch(int64_t{map.rows} * map.cols);
    bank.Ternarize(map, values, *scales);
    return values;
  };
  float *router_scales, *operation_scales, *classifier_scales;
  maps.router = trits(p.router, &router_scales);
  maps.operations = trits(p.operations, &operation_scales);
  maps.classifier = trits(p.classifier, &classifier_scales);
  for (int j = 0; j < shape.operations; ++j) operation_scales[j] = operation_scales[j * n];
  SetFloatMaps(
      p, [&](const Param& map) { return bank.Value(map); }, maps);
  maps.slots = bank.Value(p.slots);
  kernels::PackReasoning(shape, maps, *router_scales, operation_scales, *classifier_scales, pack);
  pack.version = version;
}

void ReasoningBackward(Tape& tape, const Node& node) {
  const ReasoningSaved& saved = node.As<ReasoningSaved>();
  const ReasoningParams& p = saved.params;
  // dL/d(effective weight), which of a float map is the weight itself.
  const auto effective = [&](const Param& map) {
    if (!IsTernary(map)) return tape.ParamGradient(map);
    const int64_t size = int64_t{map.rows} * map.cols;
    return std::fill_n(tape.Scratch(size), size, 0.0f) - size;
  };
  kernels::ReasoningMaps<float> gradients;
  gradients.router = effective(p.router);
  gradients.operations = effective(p.operations);
  gradients.classifier = effective(p.classifier);
  SetFloatMaps(
      p, [&](const Param& map) { return tape.ParamGradient(map); }, gradients);
  const float* dusage =
      tape.HasGradient(saved.usage) ? static_cast<const float*>(tape.GradientOf(saved.usage).data) : nullptr;
  GradientWriter dr(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::ReasoningGrad(saved.shape, *saved.pack, saved.memory, saved.passes, tape.GradientOf(node.output), dusage,
                         dr.matrix(), dr.accumulate(), tape.Scratch(Floats(kernels::ReasoningGradScratch(saved.shape))),
                         gradients);
  const auto pass_through = [&](const Param& map, const float* gradient) {
    if (IsTernary(map)) tape.bank().AddTernaryGradient(map, gradient, tape.ParamGradient(map));
  };
  pass_through(p.router, gradients.router);
  pass_through(p.operations, gradients.operations);
  pass_through(p.classifier, gradients.classifier);
}

constexpr int kWidth = 6, kOperations = 4, kSlots = 3, kRows = 7;

// Inputs of a case: r, then the maps in the order of ReasoningParams.
std::vector<OpInput> CaseInputs(const Quantization& maps) {
  return {{kRows, kWidth},
          {kOperations, kWidth, true, 1, 0, maps},
          {kOperations * kWidth, kWidth, true, 1, 0, maps},
          {kernels::kDepthChoices, kWidth, true, 1, 0, maps},
          {kWidth, kWidth, true},
          {kWidth, 2 * kWidth, true},
          {1, kWidth, true, 0.2, 1},
          {1, kWidth, true, 0.2},
          {1, kWidth, true},
          {kWidth, kWidth, true},
          {kWidth, kWidth, true},
          {1, 1, true},
          {kSlots, kWidth, true}};
}

kernels::ReasoningShape CaseShape(const ReasoningConfig& config, bool int8) {
  return {.rows = kRows,
          .width = kWidth,
          .operations = kOperations,
          .slots = kSlots,
          .depth = config.depth,
          .training = true,
          .blend = config.blend,
          .int8 = int8,
          .noise = static_cast<float>(config.noise),
          .key = MakePhiloxKey(1, Purpose::kRouting),
          .step = 1};
}

Tensor RunCase(Tape& tape, const std::vector<Operand>& in, const ReasoningConfig& config) {
  static kernels::ReasoningPack pack;  // as a model would own it
  pack.version = -1;                   // another bank every time
  const ReasoningParams params{in[1].param, in[2].param, in[3].param, in[4].param,  in[5].param,  in[6].param,
                               in[7].param, in[8].param, in[9].param, in[10].param, in[11].param, in[12].param};
  return Reasoning(tape, in[0].tensor, params, config, pack).state;
}

std::vector<OpCase> ReasoningCases() {
  struct Kind {
    const char* name;
    int depth;
    double noise;
    Quantization maps;
    bool blend = true;
  };
  constexpr Quantization kFloat, kTernary{kernels::Ternary::kScaleGradient},
      kTernaryInt8{kernels::Ternary::kScaleGradient, true};
  std::vector<OpCase> cases;
  for (const Kind& kind :
       {Kind{"depth 1", 1, 0, kTernary}, Kind{"depth 3", 3, 0, kTernary}, Kind{"adaptive", 0, 0, kTernary},
        Kind{"adaptive, noise", 0, 2, kTernary}, Kind{"adaptive, noise, int8 input", 0, 2, kTernaryInt8},
        Kind{"adaptive, noise, float maps", 0, 2, kFloat},
        Kind{"adaptive, noise, the last state", 0, 2, kTernary, false},
        Kind{"the last state, int8 input", 0, 2, kTernaryInt8, false}}) {
    const ReasoningConfig config{kOperations, kSlots, kind.depth, kind.noise, kind.blend};
    const Quantization quantization = kind.maps;
    cases.push_back(OpCase::Make(
        kind.name, 1, kRows, CaseInputs(quantization),
        [config](Tape& tape, const std::vector<Operand>& in) { return RunCase(tape, in, config); },
        [config, quantization](const auto& in, auto& out) {
          using S = std::remove_cvref_t<decltype(out.v[0])>;
          auto maps = in;
          for (size_t i : {1, 2, 3}) {
            if (quantization.ternary == kernels::Ternary::kNone) break;
            kernels::ref::Ternarize(quantization.ternary, in[i].data(), in[i].rows, in[i].cols, maps[i].data());
          }
          const kernels::ReasoningMaps<const S> all{maps[1].data(), maps[2].data(),  maps[3].data(),  maps[4].data(),
                                                    maps[5].data(), maps[6].data(),  maps[7].data(),  maps[8].data(),
                                                    maps[9].data(), maps[10].data(), maps[11].data(), maps[12].data()};
          std::vector<S> usage;
          std::vector<double> shares;
          kernels::ref::Reasoning<S>(CaseShape(config, quantization.int8_input), all, in[0].data(), out.data(), usage,
                                     shares);
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kReasoningOp;
const OpDef kReasoningOp("reasoning", ReasoningBackward, ReasoningCases);

ReasoningResult Reasoning(Tape& tape, const Tensor& r, const ReasoningParams& params, const ReasoningConfig& config,
                          kernels::ReasoningPack& pack) {
  OpTimer timer(tape, kReasoningOp);
  const kernels::ReasoningShape shape{.rows = r.rows,
                                      .width = r.cols,
                                      .operations = config.operations,
                                      .slots = config.slots,
                                      .depth = config.depth,
                                      .training = tape.training(),
                                      .blend = config.blend,
                                      .int8 = params.router.quantization.int8_input,
                                      .noise = static_cast<float>(config.noise),
                                      .key = MakePhiloxKey(tape.seed(), Purpose::kRouting),
                                      .step = tape.random_step()};
  FLASHLM_CHECK(params.operations.rows == config.operations * r.cols && params.slots.rows == config.slots &&
                    config.operations >= 2 && r.cols <= 4096 && config.operations <= 4096,
                "reasoning of width {} with {} operations and {} slots", r.cols, config.operations, config.slots);
  RenewPack(tape, shape, params, pack);
  ReasoningResult result;
  result.state = tape.New(r.rows, r.cols, r.dtype);            // [N,R]
  result.usage = tape.New(1, config.operations, DType::kF32);  // [1,K]
  kernels::ReasoningSums sums;
  sums.usage = result.usage.f32();
  sums.shares = tape.Keep<float>(config.operations);
  sums.mean_address = tape.Keep<float>(config.slots);
  sums.mean_write = tape.Keep<float>(r.cols);
  sums.depths = tape.Keep<int32_t>(int64_t{r.rows});
  float* memory = tape.Keep<float>(Floats(kernels::ReasoningMemory(shape)));
  kernels::Reasoning(shape, pack, r.matrix(), memory, result.state.matrix(), sums);
  result.shares = sums.shares;
  result.mean_address = sums.mean_address;
  result.mean_write = sums.mean_write;
  result.passes = sums.passes;
  result.depths = sums.depths;
  for (const Param* map :
       {&params.router, &params.operations, &params.classifier, &params.read_key, &params.mix, &params.gain,
        &params.bias, &params.write_gate, &params.write_value, &params.write_key, &params.write_scale}) {
    tape.Uses(*map);
  }
  tape.Record({&kReasoningOp,
               {r},
               result.state,
               {},
               tape.Keep(ReasoningSaved{shape, memory, sums.passes, result.usage, params, &pack})});
  return result;
}

}  // namespace flashlm
