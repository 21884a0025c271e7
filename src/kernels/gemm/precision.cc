#include "kernels/gemm/precision.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/int8_training.h"
#include "kernels/isa.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {
namespace {

constexpr double kSecondsOfARace = 15e-3, kSecondsOfACloseRace = 150e-3;
constexpr int kFewestRounds = 4, kMostRounds = 60;

// On a busy machine two threads are rarely left alone at the same moment, one often is: its rates are steady where
// theirs vary by a factor. And threads that have never been started do not stand in the way of a later fork.
class OneThread {
 public:
  OneThread() { SetThreadCount(1); }
  ~OneThread() { SetThreadCount(threads_); }

 private:
  int threads_ = omp_get_max_threads();
};

struct Contender {
  DType dtype;
  double flops;
  std::function<void()> run;
  double seconds = std::numeric_limits<double>::infinity();  // of its best turn
};

double RateOf(DType dtype, std::span<const Contender> contenders) {
  double flops = 0, seconds = 0;
  for (const Contender& contender : contenders) {
    if (contender.dtype != dtype) continue;
    flops += contender.flops;
    seconds += contender.seconds;
  }
  return seconds > 0 ? flops / seconds / 1e9 : 0;
}

// True while the race could still go either way, had one of the two met more of other people's work.
bool IsClose(std::span<const Contender> contenders) {
  const double ratio = RateOf(DType::kBF16, contenders) / RateOf(DType::kF32, contenders);
  return ratio > 0.8 && ratio < 1.5;
}

// Runs the contenders in turns, so that a busy moment meets all of them, and keeps each one's best: other work on these
// cores can only slow a turn down, and turns are short enough that some of them are left alone.
void Race(std::span<Contender> contenders) {
  for (Contender& contender : contenders) contender.run();  // packs weights, generates code
  const Stopwatch race;
  const auto goes_on = [&](int round) {
    return round < kFewestRounds || race.Seconds() < (IsClose(contenders) ? kSecondsOfACloseRace : kSecondsOfARace);
  };
  for (int round = 0; round < kMostRounds && goes_on(round); ++round) {
    for (Contender& contender : contenders) {
      const Stopwatch turn;
      contender.run();
      contender.seconds = std::min(contender.seconds, turn.Seconds());
    }
  }
}

// [rows, cols] of small numbers in the type that is asked for.
class Operand {
 public:
  Operand(int64_t rows, int64_t cols, DType dtype) : rows_(rows), cols_(cols), dtype_(dtype) {
    f32_.assign(static_cast<size_t>(rows * cols), 0.01f);
    if (dtype != DType::kBF16) return;
    bf16_.resize(f32_.size());
    Copy({f32_.data(), DType::kF32, rows, cols, cols}, {bf16_.data(), dtype, rows, cols, cols}, false);
  }
  Matrix matrix() {
    void* data = dtype_ == DType::kBF16 ? static_cast<void*>(bf16_.data()) : f32_.data();
    return {data, dtype_, rows_, cols_, cols_};
  }

 private:
  int64_t rows_, cols_;
  DType dtype_;
  std::vector<float> f32_;
  std::vector<BFloat16> bf16_;
};

// One linear map of the presets' size on 256 tokens, with what reads and writes it in training.
struct ManyRows {
  static constexpr int64_t kRows = 256, kIn = 256, kOut = 1024;
  static constexpr double kFlops = 2.0 * kRows * kIn * kOut;

  explicit ManyRows(DType type)
      : dtype(type),
        x(kRows, kIn, type),
        y(kRows, kOut, type),
        dx(kRows, kIn, type),
        w(kOut, kIn, DType::kF32),
        dw(kOut, kIn, DType::kF32) {
    packed.SetValues(static_cast<const float*>(w.matrix().data), kOut, kIn, type);
  }
  void AddForward(std::vector<Contender>& race) {
    race.push_back({dtype, kFlops, [this] { packed.Forward(x.matrix(), y.matrix(), false); }});
  }
  void AddGradients(std::vector<Contender>& race) {
    race.push_back({dtype, kFlops, [this] { packed.InputGradient(y.matrix(), dx.matrix(), false); }});
    race.push_back({dtype, kFlops, [this] { WeightGradient(y.matrix(), x.matrix(), dw.matrix()); }});
  }

  DType dtype;
  Operand x, y, dx, w, dw;
  PackedWeight packed;
};

// The same map in int8; operands are rounded from f32 on the way, as a step does it.
struct ManyInt8Rows {
  static constexpr int64_t kRows = ManyRows::kRows, kIn = ManyRows::kIn, kOut = ManyRows::kOut;

  ManyInt8Rows() : x(kRows, kIn, DType::kF32), y(kRows, kOut, DType::kF32), w(kOut, kIn, DType::kF32) {
    weight.SetValues(static_cast<const float*>(w.matrix().data), kOut, kIn);
  }
  Matrix Rounded(const Matrix& m) {
    const Matrix integers{rounded.data(), DType::kI8, m.rows, m.cols, m.cols};
    QuantizeRows(m, integers, scales.data());
    return integers;
  }
  void AddTo(std::vector<Contender>& race) {
    const auto add = [&](std::function<void()> run) { race.push_back({DType::kI8, ManyRows::kFlops, std::move(run)}); };
    add([this] { weight.Forward(Rounded(x.matrix()), scales.data(), y.matrix(), false); });
    // One rounding serves both products of the gradient; what the second reads is what the first has left.
    add([this] { weight.InputGradient(Rounded(y.matrix()), scales.data(), x.matrix(), false); });
    add([this] {
      Int8WeightGradient({rounded.data(), DType::kI8, kRows, kOut, kOut}, scales.data(), x.matrix(), w.matrix());
    });
  }

  Operand x, y, w;
  TrainingInt8Weight weight;
  std::vector<int8_t> rounded = std::vector<int8_t>(kRows * kOut);
  std::vector<float> scales = std::vector<float>(kRows);
};

// As many weights as a small model has, read once: 12 MB in f32, 6 MB in bf16.
struct OneRow {
  static constexpr int64_t kWidth = 1024, kLayers = 3;
  static constexpr double kFlops = 2.0 * kWidth * kWidth * kLayers;

  explicit OneRow(DType type) : dtype(type), x(1, kWidth, type), y(1, kWidth, type), w(kWidth, kWidth, DType::kF32) {
    for (PackedWeight& layer : layers) {
      layer.SetValues(static_cast<const float*>(w.matrix().data), kWidth, kWidth, type);
    }
  }
  void AddForward(std::vector<Contender>& race) {
    race.push_back({dtype, kFlops, [this] {
                      for (PackedWeight& layer : layers) layer.Forward(x.matrix(), y.matrix(), false);
                    }});
  }

  DType dtype;
  Operand x, y, w;
  std::array<PackedWeight, kLayers> layers;
};

template <class Products>
Rates RaceOf(bool with_gradients) {
  std::optional<Products> f32, bf16;
  std::optional<ManyInt8Rows> int8;
  std::vector<Contender> race;
  const auto add = [&](std::optional<Products>& products, DType type) {
    products.emplace(type).AddForward(race);
    if constexpr (requires { products->AddGradients(race); }) {
      if (with_gradients) products->AddGradients(race);
    }
  };
  add(f32, DType::kF32);
  if (MultipliesBf16()) add(bf16, DType::kBF16);
  if (with_gradients && HasVnni()) int8.emplace().AddTo(race);
  Race(race);
  return {RateOf(DType::kF32, race), RateOf(DType::kBF16, race), RateOf(DType::kI8, race)};
}

Rates Measure(Work work) {
  if (!MultipliesBf16() && (work != Work::kTraining || !HasVnni())) return {};
  const OneThread alone;
  return work == Work::kDecoding ? RaceOf<OneRow>(false) : RaceOf<ManyRows>(work == Work::kTraining);
}

}  // namespace

bool MultipliesBf16() {
  static const bool multiplies = HasNativeBf16() && GemmUsesBf16();
  return multiplies;
}

const Rates& MeasuredRates(Work work) {
  switch (work) {
    case Work::kTraining: {
      static const Rates rates = Measure(work);
      return rates;
    }
    case Work::kPrefill: {
      static const Rates rates = Measure(work);
      return rates;
    }
    case Work::kDecoding:
      break;
  }
  static const Rates rates = Measure(Work::kDecoding);
  return rates;
}

DType ComputeType(const std::string& precision, Work work) {
  if (precision == "f32") return DType::kF32;
  if (precision == "auto") return TensorType(MeasuredRates(work));
  if (precision == "int8") {
    if (!HasVnni()) throw UsageError("this CPU has no int8 vector products (VNNI)", "use bf16, f32, or auto");
    return DType::kI8;
  }
  if (precision != "bf16") {
    throw UsageError(fmt::format("unknown precision '{}'", precision),
                     NearestHint(precision, {"auto", "f32", "bf16", "int8"}));
  }
  if (!MultipliesBf16()) throw UsageError("this CPU does not multiply bf16 natively", "use f32, or auto");
  return DType::kBF16;
}

std::string Explanation(Work work) {
  const Rates& rates = MeasuredRates(work);
  if (FasterProducts(rates) == DType::kI8) {
    return fmt::format("{} tensors, products of int8 ({:.0f} GFLOP/s a thread, with its rounding; f32 {:.0f}{})",
                       NameOf(TensorType(rates)), rates.int8, rates.f32,
                       rates.bf16 > 0 ? fmt::format(", bf16 {:.0f}", rates.bf16) : "");
  }
  std::string text = "f32 (no bf16 products here)";
  if (MultipliesBf16()) {
    text = FasterType(rates) == DType::kBF16
               ? fmt::format("bf16 ({:.0f} GFLOP/s a thread; f32 {:.0f})", rates.bf16, rates.f32)
               : fmt::format("f32 ({:.0f} GFLOP/s a thread; bf16 {:.0f})", rates.f32, rates.bf16);
  }
  if (rates.int8 <= 0) return text;
  return fmt::format("{}, products of {} (int8 {:.0f}, with its rounding)", text, NameOf(FasterType(rates)),
                     rates.int8);
}

}  // namespace flashlm::kernels
