// Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix (optim/orthogonal.h) instead of the raw
// update.
#include "kernels/optimizer/muon.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/vector/vector.h"
#include "optim/orthogonal.h"
#include "optim/rule.h"

namespace flashlm {
namespace {

constexpr char kQuinticForm[] = "quintic", kAolForm[] = "aol";

// Work memory of a thread, kept between calls: the largest matrix decides once.
class ThreadScratch {
 public:
  float* Update(int64_t n) { return AtLeast(update_, n); }
  float* Lines(int64_t n) { return AtLeast(lines_, n); }

 private:
  static float* AtLeast(std::vector<float>& memory, int64_t n) {
    if (static_cast<int64_t>(memory.size()) < n) memory.resize(static_cast<size_t>(n));
    return memory.data();
  }
  std::vector<float> update_, lines_;
};

ThreadScratch& Scratch() {
  thread_local ThreadScratch scratch;
  return scratch;
}

class Muon final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("muon_lr", lr_, 0, 10, "peak learning rate of Muon");
    v.Real("muon_momentum", momentum_, 0, 0.9999, "Nesterov momentum of Muon");
    v.Real("muon_momentum_low", low_momentum_, 0, 0.9999, "what it rises from and falls back to, if it does");
    v.Real("muon_momentum_warmup", warmup_, 0, 1, "first part of the budget, in which it rises; 0: none");
    v.Real("muon_momentum_cooldown", cooldown_, 0, 1, "last part of the budget, in which it falls; 0: none");
    v.Int("muon_steps", steps_, 1, 10, "Newton-Schulz iterations of Muon; 4 of aol are worth 5 of quintic");
    v.Text("muon_form", form_, {kQuinticForm, kAolForm}, "iteration of Muon: Jordan's, or Turbo-Muon's (1 to 5 steps)");
    v.Bool("muon_gram", gram_, "iterate on the short side where the other is at least twice as long: fewer products");
    v.Bool("muon_equal_rows", equal_rows_, "divide the rows of the momentum by their norms first (MuonEq-R)");
    v.Real("muon_beta2", beta2_, 0, 0.9999, "NorMuon: decay of the second moment of the update's rows; 0: none");
  }
  void Validate() const override {
    if (form_ == kAolForm && steps_ > kMostAolSteps) {
      throw UsageError(
          fmt::format("optim.muon_steps: {} with muon_form = \"aol\", which has {}", steps_, kMostAolSteps),
          "4 come as near to an orthogonal matrix as 5 of quintic");
    }
  }
  bool Takes(Role role) const override { return role == Role::kMatrix; }
  std::vector<std::string> States() const override { return {"m"}; }
  std::vector<std::string> LineStates() const override {
    return beta2_ > 0 ? std::vector<std::string>{"line_v"} : std::vector<std::string>();
  }
  bool DecaysCautiously() const override { return true; }
  bool ByMatrix() const override { return true; }
  double PeakRate(double) const override { return lr_; }

  // m <- momentum m + g;  W <- W (1 - lr wd) - lr sqrt(max(1, rows/cols)) orthogonal(g + momentum m). The update does
  // not depend on the gradient's scale, so clipping does not apply.
  void Update(const RulePiece& piece, const RuleStep& step) const override {
    float* update = Scratch().Update(piece.size);
    const Matrix matrix{update, DType::kF32, piece.rows, piece.cols, piece.cols};
    kernels::NesterovMomentum(Momentum(step.fraction), 1, piece.size, piece.gradients, piece.state[0], update);
    if (equal_rows_) EqualizeRows(matrix);
    const MuonForm form = form_ == kAolForm ? MuonForm::kAol : MuonForm::kQuintic;
    Orthogonalize(update, piece.rows, piece.cols, {steps_, form, gram_, step.dtype});
    if (beta2_ > 0) EvenOutLines(matrix, piece.state[1]);
    const auto keep = static_cast<float>(1.0 - step.lr * step.weight_decay);
    const double shape = std::sqrt(std::max(1.0, static_cast<double>(piece.rows) / piece.cols));
    const auto rate = static_cast<float>(step.lr * shape);
    if (step.cautious) {
      kernels::CautiousStep(rate, update, keep, piece.size, piece.values);
    } else {
      kernels::Axpby(-rate, update, keep, piece.values, piece.size);
    }
  }

 private:
  using Matrix = kernels::Matrix;

  // From low_momentum_ up over the first part of the budget, down to it over the last.
  float Momentum(double fraction) const {
    double missing = 0;
    if (fraction < warmup_) missing = 1 - fraction / warmup_;
    if (1 - fraction < cooldown_) missing = std::max(missing, 1 - (1 - fraction) / cooldown_);
    return static_cast<float>(momentum_ + missing * (low_momentum_ - momentum_));
  }

  // Every row divided by its root mean square.
  static void EqualizeRows(const Matrix& update) {
    float* scales = Scratch().Lines(update.rows);
    kernels::LineSquares(update, true, scales);
    for (int64_t r = 0; r < update.rows; ++r) scales[r] = 1 / std::sqrt(std::max(scales[r], kTinySquare));
    kernels::Scale(update, scales, nullptr, update);
  }

  // NorMuon (Li et al. 2025): lines (rows, or of a wide matrix columns) divided by the root of the running mean `v` of
  // their mean squares; then all by one number, so that the norm of the whole is as before. That undoes a common factor
  // of v, which therefore needs no correction for its start at zero.
  void EvenOutLines(const Matrix& update, float* v) const {
    const bool by_row = update.rows >= update.cols;
    const int64_t lines = std::max(update.rows, update.cols), length = std::min(update.rows, update.cols);
    float* scales = Scratch().Lines(lines);
    kernels::LineSquares(update, by_row, scales);
    double before = 0, after = 0;
    for (int64_t i = 0; i < lines; ++i) {
      const float square = scales[i];
      v[i] += static_cast<float>(1 - beta2_) * (square / static_cast<float>(length) - v[i]);
      scales[i] = 1 / std::sqrt(std::max(v[i], kTinySquare));
      before += square;
      after += double{square} * scales[i] * scales[i];
    }
    const auto whole = static_cast<float>(after > 0 ? std::sqrt(before / after) : 0);
    for (int64_t i = 0; i < lines; ++i) scales[i] *= whole;
    kernels::Scale(update, by_row ? scales : nullptr, by_row ? nullptr : scales, update);
  }

  static constexpr float kTinySquare = 1e-30f;

  double lr_ = 0.02, momentum_ = 0.95, low_momentum_ = 0.85, warmup_ = 0, cooldown_ = 0, beta2_ = 0;
  int steps_ = 5;
  std::string form_ = kQuinticForm;
  bool gram_ = false, equal_rows_ = false;
};

FLASHLM_REGISTER_RULE("muon", Muon);

}  // namespace

}  // namespace flashlm
