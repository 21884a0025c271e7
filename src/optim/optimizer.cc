#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

// Updates what the rule of a run does not take.
constexpr char kRuleOfTheRest[] = "adamw";

// The rule of every parameter of the bank; null for buffers.
std::vector<const UpdateRule*> RulesOf(const OptimConfig& config, const ParamBank& bank) {
  const UpdateRule& chosen = config.rules.Get(config.optimizer);
  const UpdateRule& rest = config.rules.Get(kRuleOfTheRest);
  std::vector<const UpdateRule*> rules;
  for (const ParamInfo& info : bank.infos()) {
    const bool trained = info.role != Role::kBuffer;
    rules.push_back(!trained ? nullptr : chosen.Takes(info.role) ? &chosen : &rest);
  }
  return rules;
}

// Calls add(name, holds) for each array of state that the rules need.
template <class F>
void ForEachState(const std::vector<const UpdateRule*>& rules, const F& add) {
  std::vector<std::string> names;
  for (const UpdateRule* rule : rules) {
    if (rule == nullptr) continue;
    for (const std::string& name : rule->States()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    std::vector<bool> holds;
    for (const UpdateRule* rule : rules) {
      const std::vector<std::string> own = rule == nullptr ? std::vector<std::string>() : rule->States();
      holds.push_back(std::find(own.begin(), own.end(), name) != own.end());
    }
    add(name, holds);
  }
}

double PeakRateOf(const OptimConfig& config, const UpdateRule& rule, const ParamInfo& info) {
  const auto or_default = [&](double lr) { return lr > 0 ? lr : config.lr; };
  return info.lr_scale * rule.PeakRate(info.role == Role::kEmbedding ? or_default(config.embedding_lr)
                                       : info.role == Role::kVector  ? or_default(config.vector_lr)
                                                                     : config.lr);
}

}  // namespace

Optimizer::Optimizer(const OptimConfig& config, ParamBank& bank, DType dtype)
    : config_(config), bank_(bank), dtype_(dtype), state_(bank), tables_(config.tables, bank, state_) {
  const std::vector<const UpdateRule*> rules = RulesOf(config_, bank);
  ForEachState(rules, [&](const std::string& name, const std::vector<bool>& holds) { state_.Add(name, holds); });
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i] != nullptr) AddPieces(*rules[i], i, i > 0 && rules[i - 1] == rules[i]);
  }
}

void Optimizer::AddPieces(const UpdateRule& rule, size_t i, bool joins) {
  const ParamInfo& info = bank_.infos()[i];
  const double lr = PeakRateOf(config_, rule, info);
  const double decay = info.role == Role::kMatrix ? config_.weight_decay : 0.0;
  const std::vector<std::string> states = rule.States();
  FLASHLM_CHECK(states.size() <= RulePiece::kMaxStates, "a rule with {} states", states.size());
  float *values = bank_.values() + info.offset, *gradients = bank_.gradients() + info.offset;
  Piece piece{&rule, lr, decay, {info.size, 0, 0, values, gradients}};
  for (size_t s = 0; s < states.size(); ++s) piece.memory.state[s] = state_.Find(states[s], i);
  if (!rule.ByMatrix()) {
    // Neighbours of one kind, and the zero padding between them, are updated in one sweep.
    if (joins && runs_.back().peak_lr == lr && runs_.back().weight_decay == decay) {
      RulePiece& run = runs_.back().memory;
      run.size = values + info.size - run.values;
    } else {
      runs_.push_back(piece);
    }
    return;
  }
  RulePiece& part = piece.memory;
  part.size = info.size / info.stacked;
  part.rows = info.shape[0] / info.stacked;
  part.cols = static_cast<int>(info.size / info.shape[0]);
  for (int p = 0; p < info.stacked; ++p) {
    matrices_.push_back(piece);
    part.values += part.size;
    part.gradients += part.size;
    for (size_t s = 0; s < states.size(); ++s) part.state[s] += part.size;
  }
}

double Optimizer::GradientNorm() const {
  return std::sqrt(kernels::SumOfSquares(bank_.gradients(), bank_.size()) + tables_.SumOfSquares());
}

void Optimizer::Run(const Piece& piece, double factor, double gradient_scale, int64_t update) const {
  piece.rule->Update(piece.memory, {piece.peak_lr * factor, piece.weight_decay, gradient_scale, update, dtype_});
}

void Optimizer::Update(double gradient_norm, double factor, int64_t update) {
  const double scale = config_.clip > 0 ? std::min(1.0, config_.clip / (gradient_norm + 1e-6)) : 1.0;
  for (const Piece& run : runs_) Run(run, factor, scale, update);
  ParallelPieces(static_cast<int64_t>(matrices_.size()),
                 [&](int64_t i) { Run(matrices_[static_cast<size_t>(i)], factor, scale, update); });
  tables_.Update((config_.tables.lr > 0 ? config_.tables.lr : config_.lr) * factor, scale, update);
  bank_.Touch();
}

void Optimizer::Discard() { bank_.ClearGradients(); }

int64_t StateSize(const OptimConfig& config, const ParamBank& bank) {
  int64_t floats = 0;
  ForEachState(RulesOf(config, bank), [&](const std::string&, const std::vector<bool>& holds) {
    for (size_t i = 0; i < holds.size(); ++i) floats += holds[i] ? bank.infos()[i].size : 0;
  });
  for (const auto& table : bank.tables()) floats += config.tables.StateSize(*table);
  return floats;
}

}  // namespace flashlm
