#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/optimizer/optimizer.h"

namespace flashlm {

Optimizer::Optimizer(const OptimConfig& config, ParamBank& bank, DType dtype)
    : config_(config), bank_(bank), dtype_(dtype) {
  const auto or_default = [&](double lr) { return lr > 0 ? lr : config.lr; };
  for (const ParamInfo& info : bank.infos()) {
    if (info.role == Role::kBuffer) continue;
    if (info.role == Role::kMatrix && config.optimizer == "muon") {
      const int rows = info.shape[0] / info.stacked;
      for (int part = 0; part < info.stacked; ++part) {
        muon_.emplace_back(info.offset + int64_t{part} * rows * info.shape[1], rows, info.shape[1]);
      }
      continue;
    }
    const double lr = info.role == Role::kEmbedding ? or_default(config.embedding_lr)
                      : info.role == Role::kVector  ? or_default(config.vector_lr)
                                                    : config.lr;
    const double decay = info.role == Role::kMatrix ? config.weight_decay : 0.0;
    const Range range{info.offset, info.offset + info.size, lr, decay};
    // Neighbours of one kind, and the zero padding between them, are updated in one sweep.
    if (!adamw_.empty() && adamw_.back().lr == lr && adamw_.back().weight_decay == decay &&
        range.begin - adamw_.back().end < 16) {
      adamw_.back().end = range.end;
    } else {
      adamw_.push_back(range);
    }
  }
}

double Optimizer::GradientNorm() const { return std::sqrt(kernels::SumOfSquares(bank_.gradients(), bank_.size())); }

void Optimizer::Update(double gradient_norm, double factor, int64_t update) {
  const double clip = config_.clip > 0 ? std::min(1.0, config_.clip / (gradient_norm + 1e-6)) : 1.0;
  for (const Range& range : adamw_) {
    const kernels::AdamWStep step{range.lr * factor,  config_.beta1, config_.beta2, config_.eps,
                                  range.weight_decay, update,        clip};
    kernels::AdamW(step, range.end - range.begin, bank_.values() + range.begin, bank_.gradients() + range.begin,
                   bank_.first_moments() + range.begin, bank_.second_moments() + range.begin);
  }
  ParallelPieces(static_cast<int64_t>(muon_.size()), [&](int64_t i) {
    muon_[static_cast<size_t>(i)].Update(bank_, config_.muon_lr * factor, config_.muon_momentum, config_.weight_decay,
                                         config_.muon_steps, dtype_);
  });
  bank_.Touch();
}

void Optimizer::Discard() { std::memset(bank_.gradients(), 0, static_cast<size_t>(bank_.size()) * sizeof(float)); }

}  // namespace flashlm
