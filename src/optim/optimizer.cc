#include "optim/optimizer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

// Updates what the rule of a run does not take.
constexpr char kRuleOfTheRest[] = "adamw";

// The rule of every parameter of the bank, one of `config`; null for buffers.
std::vector<const UpdateRule*> RulesOf(const OptimConfig& config, const ParamBank& bank) {
  const UpdateRule& chosen = config.rules.Get(config.optimizer);
  const auto rule_of = [&](Role role) -> const UpdateRule* {
    if (role == Role::kBuffer) return nullptr;
    if (config.lookups.Takes(role)) return &config.lookups;
    return chosen.Takes(role) ? &chosen : &config.rules.Get(kRuleOfTheRest);
  };
  std::vector<const UpdateRule*> rules;
  for (const ParamInfo& info : bank.infos()) rules.push_back(rule_of(info.role));
  return rules;
}

// An array of what rules remember.
struct State {
  std::string name;
  bool by_line;  // a float per row or column, else one per value
  bool operator==(const State&) const = default;
};

// Of a rule, in the order of RulePiece::state; of none, none.
std::vector<State> StatesOf(const UpdateRule* rule) {
  std::vector<State> states;
  if (rule == nullptr) return states;
  for (const std::string& name : rule->States()) states.push_back({name, false});
  for (const std::string& name : rule->LineStates()) states.push_back({name, true});
  FLASHLM_CHECK(states.size() <= RulePiece::kMaxStates, "a rule with {} states", states.size());
  FLASHLM_CHECK(rule->ByMatrix() || rule->LineStates().empty(), "a rule of runs has no lines");
  return states;
}

// Calls add(state, holds) for each array of state that the rules need.
template <class F>
void ForEachState(const std::vector<const UpdateRule*>& rules, const F& add) {
  std::vector<State> states;
  for (const UpdateRule* rule : rules) {
    for (const State& state : StatesOf(rule)) {
      if (std::find(states.begin(), states.end(), state) == states.end()) states.push_back(state);
    }
  }
  for (const State& state : states) {
    std::vector<bool> holds;
    for (const UpdateRule* rule : rules) {
      const std::vector<State> own = StatesOf(rule);
      holds.push_back(std::find(own.begin(), own.end(), state) != own.end());
    }
    add(state, holds);
  }
}

// The matrices of a parameter, one or several stacked, without their memory.
RulePiece MatrixOf(const ParamInfo& info) {
  return {.size = info.size / info.stacked,
          .rows = info.shape[0] / info.stacked,
          .cols = static_cast<int>(info.size / info.shape[0]),
          .values = nullptr,
          .gradients = nullptr};
}

std::vector<int> LinesOf(const ParamBank& bank, const std::vector<bool>& holds) {
  std::vector<int> lines;
  for (size_t i = 0; i < holds.size(); ++i) {
    const ParamInfo& info = bank.infos()[i];
    lines.push_back(holds[i] ? info.stacked * MatrixOf(info).Lines() : 0);
  }
  return lines;
}

double PeakRateOf(const OptimConfig& config, const UpdateRule& rule, const ParamInfo& info) {
  const auto or_default = [&](double lr) { return lr > 0 ? lr : config.lr; };
  return info.lr_scale * rule.PeakRate(IsTable(info.role)           ? or_default(config.embedding_lr)
                                       : info.role == Role::kVector ? or_default(config.vector_lr)
                                                                    : config.lr);
}

}  // namespace

Optimizer::Optimizer(const OptimConfig& config, ParamBank& bank, DType dtype)
    : config_(config), bank_(bank), dtype_(dtype), state_(bank), tables_(config.tables, bank, state_) {
  config_.Validate();
  const std::vector<const UpdateRule*> rules = RulesOf(config_, bank);
  ForEachState(rules, [&](const State& state, const std::vector<bool>& holds) {
    if (state.by_line) {
      state_.AddLines(state.name, LinesOf(bank, holds));
    } else {
      state_.Add(state.name, holds);
    }
  });
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i] != nullptr) AddPieces(*rules[i], i, i > 0 && rules[i - 1] == rules[i]);
  }
}

void Optimizer::AddPieces(const UpdateRule& rule, size_t i, bool joins) {
  const ParamInfo& info = bank_.infos()[i];
  const double lr = PeakRateOf(config_, rule, info);
  const double decay = info.role == Role::kMatrix ? config_.weight_decay
                       : IsTable(info.role)       ? config_.embedding_decay
                                                  : 0.0;
  const std::vector<State> states = StatesOf(&rule);
  float *values = bank_.values() + info.offset, *gradients = bank_.gradients() + info.offset;
  Piece piece{&rule, lr, decay, {info.size, 0, 0, values, gradients}};
  for (size_t s = 0; s < states.size(); ++s) piece.memory.state[s] = state_.Find(states[s].name, i);
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
  const RulePiece matrix = MatrixOf(info);
  part.size = matrix.size;
  part.rows = matrix.rows;
  part.cols = matrix.cols;
  for (int p = 0; p < info.stacked; ++p) {
    matrices_.push_back(piece);
    part.values += part.size;
    part.gradients += part.size;
    for (size_t s = 0; s < states.size(); ++s) part.state[s] += states[s].by_line ? part.Lines() : part.size;
  }
}

double Optimizer::GradientNorm() const {
  return std::sqrt(kernels::SumOfSquares(bank_.gradients(), bank_.size()) + tables_.SumOfSquares());
}

void Optimizer::Update(double gradient_norm, double factor, int64_t update, double fraction, UpdateWatch* watch) {
  const double scale = config_.clip > 0 ? std::min(1.0, config_.clip / (gradient_norm + 1e-6)) : 1.0;
  const double decay_factor = config_.decay.Factor(fraction, factor);
  const auto run = [&](const Piece& piece) {
    piece.rule->Update(piece.memory, {piece.peak_lr * factor, piece.weight_decay * decay_factor, config_.cautious_decay,
                                      scale, update, fraction, dtype_});
  };
  for (const Piece& piece : runs_) {
    run(piece);
    if (watch != nullptr) watch->Between();
  }
  std::map<int, std::atomic<int>> left;  // matrices of each part
  if (watch != nullptr) {
    for (const auto& [part, count] : matrices_of_part_) {
      left[part] = count;
      if (count == 0) watch->Updated(part);
    }
  }
  ParallelPieces(static_cast<int64_t>(matrices_.size()), [&](int64_t i) {
    const Piece& piece = matrices_[static_cast<size_t>(i)];
    run(piece);
    if (watch == nullptr) return;
    if (--left.find(piece.part)->second == 0) watch->Updated(piece.part);
    watch->Between();
  });
  tables_.Update((config_.tables.lr > 0 ? config_.tables.lr : config_.lr) * factor, scale, update);
  bank_.Touch();
}

namespace {

// A gradient to a member and a new value to the others, 8 bytes at 1 Gbit/s: what a slow network waits for counts more
// than an update.
constexpr double kNanosecondsToSend = 64;

// About the nanoseconds that updating a piece takes one thread: some floats are read and written per value, and a
// matrix that has products (Muon) is multiplied with itself again and again.
double CostOf(const RulePiece& piece, bool products) {
  const double once = 2 * static_cast<double>(piece.size);
  if (!products) return once;
  const double shorter = std::min(piece.rows, piece.cols), longer = std::max(piece.rows, piece.cols);
  return once + 5 * (4 * shorter * shorter * longer + 2 * shorter * shorter * shorter) / 200;
}

// Floats [begin, end) of the bank's arrays.
struct Stretch {
  int64_t begin, end;
  double cost;
  bool whole;  // it is not cut

  int64_t size() const { return end - begin; }
};

// What of the stretches lies from `begin` to `end`, where none is cut that is whole.
std::vector<Stretch> Within(const std::vector<Stretch>& stretches, int64_t begin, int64_t end) {
  std::vector<Stretch> within;
  for (const Stretch& all : stretches) {
    Stretch some = all;
    some.begin = std::max(some.begin, begin);
    some.end = std::min(some.end, end);
    if (some.size() <= 0) continue;
    some.cost *= static_cast<double>(some.size()) / static_cast<double>(all.size());
    within.push_back(some);
  }
  return within;
}

double TotalCost(const std::vector<Stretch>& stretches) {
  double total = 0;
  for (const Stretch& stretch : stretches) total += stretch.cost;
  return total;
}

// Where the parts of [begin, end) begin, one for each wish, of about these costs; the first at `begin`. Appended to
// cuts.
void CutByWishes(const std::vector<Stretch>& stretches, int64_t begin, int64_t end, const std::vector<double>& wishes,
                 std::vector<int64_t>& cuts) {
  double before = 0;      // of what lies before a stretch
  double at = wishes[0];  // where the next cut should be
  size_t cut = 1;
  cuts.push_back(begin);
  for (const Stretch& stretch : stretches) {
    for (; cut < wishes.size() && at - before < stretch.cost; ++cut) {
      const double share = std::max(0.0, (at - before) / stretch.cost);
      const auto lines = static_cast<int64_t>(share * static_cast<double>(stretch.size())) / kFloatsPerLine;
      const int64_t inside = stretch.whole ? (share < 0.5 ? 0 : stretch.size()) : lines * kFloatsPerLine;
      cuts.push_back(std::max(cuts.back(), stretch.begin + inside));
      at += wishes[cut];
    }
    before += stretch.cost;
  }
  for (; cut < wishes.size(); ++cut) cuts.push_back(end);
}

}  // namespace

std::vector<int64_t> Optimizer::Cuts(int members, int rounds) const {
  std::vector<Stretch> by_cost;
  for (const auto* pieces : {&runs_, &matrices_}) {
    for (const Piece& piece : *pieces) {
      const RulePiece& memory = piece.memory;
      const int64_t begin = BeginOf(piece);
      const bool whole = piece.rule->ByMatrix();
      const double sent = kNanosecondsToSend * static_cast<double>(memory.size);
      by_cost.push_back(
          {begin, begin + memory.size, sent + CostOf(memory, whole && piece.rule != &config_.lookups), whole});
    }
  }
  std::sort(by_cost.begin(), by_cost.end(), [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  std::vector<Stretch> by_size = by_cost;
  for (Stretch& stretch : by_size) stretch.cost = static_cast<double>(stretch.size());
  std::vector<int64_t> begins, cuts;
  const std::vector<double> equal(static_cast<size_t>(rounds), TotalCost(by_size) / rounds);
  CutByWishes(by_size, 0, bank_.size(), equal, begins);
  begins.push_back(bank_.size());
  // What a member has had too much of, since matrices are not cut, it gets less of in the next round.
  std::vector<double> had(static_cast<size_t>(members)), wishes(had.size());
  double all = 0;
  for (size_t r = 0; r + 1 < begins.size(); ++r) {
    const std::vector<Stretch> round = Within(by_cost, begins[r], begins[r + 1]);
    const double cost = TotalCost(round);
    all += cost;
    double wished = 0;
    for (size_t m = 0; m < had.size(); ++m) wished += wishes[m] = std::max(0.0, all / members - had[m]);
    for (double& wish : wishes) wish *= wished > 0 ? cost / wished : 0;
    const size_t first = cuts.size();
    CutByWishes(round, begins[r], begins[r + 1], wishes, cuts);
    for (size_t m = 0; m < had.size(); ++m) {
      const int64_t end = first + m + 1 < cuts.size() ? cuts[first + m + 1] : begins[r + 1];
      had[m] += TotalCost(Within(round, cuts[first + m], end));
    }
  }
  cuts.push_back(bank_.size());
  return cuts;
}

std::vector<std::span<float>> Optimizer::MemoryOf(const Piece& piece) {
  const auto by_value = piece.rule->States().size(), all = by_value + piece.rule->LineStates().size();
  std::vector<std::span<float>> states;
  for (size_t s = 0; s < all; ++s) {
    const int64_t n = s < by_value ? piece.memory.size : piece.memory.Lines();
    states.emplace_back(piece.memory.state[s], static_cast<size_t>(n));
  }
  return states;
}

void Optimizer::Share(const std::vector<int64_t>& cuts, int member, int members) {
  shared_.resize(static_cast<size_t>(members));
  for (int part = member; part + 1 < static_cast<int>(cuts.size()); part += members) matrices_of_part_[part] = 0;
  std::vector<Piece> runs, matrices;
  for (const auto* pieces : {&runs_, &matrices_}) {
    for (const Piece& piece : *pieces) {
      const bool whole = piece.rule->ByMatrix();
      const int64_t begin = BeginOf(piece), end = begin + piece.memory.size;
      for (size_t p = 0; p + 1 < cuts.size(); ++p) {
        // A whole piece is the member's in whose part it begins.
        const bool begins = cuts[p] <= begin && begin < cuts[p + 1];
        const int64_t from = whole ? begin : std::max(begin, cuts[p]), to = whole ? end : std::min(end, cuts[p + 1]);
        if (whole ? !begins : from >= to) continue;
        FLASHLM_CHECK(to <= cuts[p + 1], "a matrix that is cut");
        Piece part = piece;
        part.memory.size = to - from;
        part.memory.values += from - begin;
        part.memory.gradients += from - begin;
        for (float*& state : part.memory.state) {
          if (state != nullptr) state += from - begin;
        }
        const int owner = static_cast<int>(p) % members;
        for (const std::span<float> state : MemoryOf(part)) shared_[static_cast<size_t>(owner)].push_back(state);
        if (owner != member) continue;
        part.part = static_cast<int>(p);
        (whole ? matrices : runs).push_back(part);
        if (whole) ++matrices_of_part_[part.part];
      }
    }
  }
  runs_ = std::move(runs);
  matrices_ = std::move(matrices);
}

void Optimizer::Discard() { bank_.ClearGradients(); }

int64_t StateSize(const OptimConfig& config, const ParamBank& bank) {
  int64_t floats = 0;
  ForEachState(RulesOf(config, bank), [&](const State& state, const std::vector<bool>& holds) {
    const std::vector<int> lines = state.by_line ? LinesOf(bank, holds) : std::vector<int>();
    for (size_t i = 0; i < holds.size(); ++i) {
      floats += state.by_line ? lines[i] : holds[i] ? bank.infos()[i].size : 0;
    }
  });
  for (const auto& table : bank.tables()) floats += config.tables.StateSize(*table);
  return floats;
}

}  // namespace flashlm
