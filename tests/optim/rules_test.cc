// The rules against their definitions in double precision, and what holds for every registered one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "optim/optimizer.h"

namespace flashlm {
namespace {

using Doubles = std::vector<double>;

// Sizes that no vector width divides, neighbours of one kind and of several, a stack of maps, a joined pair, a buffer.
void Declare(ParamBank& bank) {
  const Init normal = Init::Normal(0.5f);
  bank.Add({.name = "embed", .shape = {11, 7}, .role = Role::kEmbedding, .init = normal});
  bank.Add({.name = "gain", .shape = {7}, .role = Role::kVector, .init = normal});
  bank.Add({.name = "bias", .shape = {3}, .role = Role::kVector, .init = normal});
  bank.Add({.name = "tall", .shape = {19, 5}, .init = normal});
  bank.Add({.name = "wide", .shape = {6, 5}, .init = normal}, true);
  bank.Add({.name = "stack", .shape = {12, 9}, .init = normal, .stacked = 3});
  bank.Add({.name = "slots", .shape = {2, 4}, .role = Role::kBuffer, .init = normal});
  bank.Add({.name = "value", .shape = {1, 9}, .role = Role::kValueHead, .init = normal});
  bank.Allocate(true);
  bank.Initialize(3);
}

void DrawGradients(ParamBank& bank, uint64_t step) {
  Rng rng(17, Purpose::kTest, step);
  for (const ParamInfo& info : bank.infos()) {
    if (info.role == Role::kBuffer) continue;
    for (int64_t i = 0; i < info.size; ++i) bank.gradients()[info.offset + i] = rng.Normal();
  }
}

Doubles Of(const float* x, int64_t n) { return {x, x + n}; }

// y = x^T of [rows, cols].
Doubles Transposed(const Doubles& x, int rows, int cols) {
  Doubles y(x.size());
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) y[static_cast<size_t>(c * rows + r)] = x[static_cast<size_t>(r * cols + c)];
  }
  return y;
}

// [n, k] . [k, m]
Doubles Product(const Doubles& a, const Doubles& b, int n, int k, int m) {
  Doubles c(static_cast<size_t>(n * m), 0.0);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < k; ++j) {
      for (int l = 0; l < m; ++l) {
        c[static_cast<size_t>(i * m + l)] += a[static_cast<size_t>(i * k + j)] * b[static_cast<size_t>(j * m + l)];
      }
    }
  }
  return c;
}

// Muon as published: X <- X / |X|, then five times X <- a X + (b A + c A^2) X with A = X X^T.
Doubles ReferenceOrthogonal(Doubles x, int rows, int cols, int steps) {
  double norm = 0;
  for (double v : x) norm += v * v;
  for (double& v : x) v /= std::sqrt(norm);
  for (int s = 0; s < steps; ++s) {
    const Doubles a = Product(x, Transposed(x, rows, cols), rows, cols, rows), aa = Product(a, a, rows, rows, rows);
    Doubles b(a.size());
    for (size_t i = 0; i < a.size(); ++i) b[i] = -4.7750 * a[i] + 2.0315 * aa[i];
    const Doubles bx = Product(b, x, rows, rows, cols);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 3.4445 * x[i] + bx[i];
  }
  return x;
}

struct Reference {
  Doubles values, m, v;
};

void ReferenceMuon(Reference& p, const Doubles& gradient, int rows, int cols, double lr, double decay) {
  Doubles update(gradient.size());
  for (size_t i = 0; i < gradient.size(); ++i) {
    p.m[i] = 0.9 * p.m[i] + gradient[i];
    update[i] = gradient[i] + 0.9 * p.m[i];
  }
  update = ReferenceOrthogonal(update, rows, cols, 4);
  const double scale = std::sqrt(std::max(1.0, double(rows) / cols));
  for (size_t i = 0; i < update.size(); ++i) p.values[i] = p.values[i] * (1 - lr * decay) - lr * scale * update[i];
}

void ReferenceAdamW(Reference& p, const Doubles& gradient, double lr, double decay, double scale, int update) {
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = scale * gradient[i];
    p.m[i] = 0.8 * p.m[i] + 0.2 * g;
    p.v[i] = 0.9 * p.v[i] + 0.1 * g * g;
    const double m = p.m[i] / (1 - std::pow(0.8, update)), v = p.v[i] / (1 - std::pow(0.9, update));
    p.values[i] = p.values[i] * (1 - lr * decay) - lr * m / (std::sqrt(v) + 0.03);
  }
}

OptimConfig FullConfig(const std::string& rule) {
  OptimConfig config;
  config.optimizer = rule;
  config.lr = 0.05;
  config.embedding_lr = 0.02;
  config.vector_lr = 0.03;
  config.weight_decay = 0.4;
  config.clip = 2;
  FieldsFromJson({{"beta1", 0.8},
                  {"beta2", 0.9},
                  {"eps", 0.03},  // large enough to show where it is added
                  {"muon_lr", 0.07},
                  {"muon_momentum", 0.9},
                  {"muon_steps", 4}},
                 "optim", config);
  return config;
}

// Four updates of every parameter, gradients of the norm 15 clipped to 2 in all but the last.
TEST(RulesTest, UpdatesAreThoseOfTheDefinition) {
  for (const char* rule : {"adamw", "muon"}) {
    ParamBank bank;
    Declare(bank);
    OptimConfig config = FullConfig(rule);
    Optimizer optimizer(config, bank);
    std::vector<Reference> reference;
    for (const ParamInfo& info : bank.infos()) {
      const Doubles zero(static_cast<size_t>(info.size), 0.0);
      reference.push_back({Of(bank.values() + info.offset, info.size), zero, zero});
    }
    for (int update = 1; update <= 4; ++update) {
      DrawGradients(bank, static_cast<uint64_t>(update));
      if (update == 4) {
        for (int64_t i = 0; i < bank.size(); ++i) bank.gradients()[i] *= 0.01f;  // not clipped
      }
      const double factor = 1.0 / update, norm = optimizer.GradientNorm();
      const double scale = std::min(1.0, 2 / (norm + 1e-6));
      EXPECT_EQ(scale == 1, update == 4);
      for (size_t i = 0; i < reference.size(); ++i) {
        const ParamInfo& info = bank.infos()[i];
        if (info.role == Role::kBuffer) continue;
        const Doubles gradient = Of(bank.gradients() + info.offset, info.size);
        const bool matrix = info.role == Role::kMatrix;
        if (matrix && config.optimizer == "muon") {
          const int rows = info.shape[0] / info.stacked, cols = info.shape[1];
          for (int part = 0; part < info.stacked; ++part) {
            const auto cut = [&](const Doubles& x) {
              return Doubles(x.begin() + part * rows * cols, x.begin() + (part + 1) * rows * cols);
            };
            Reference map{cut(reference[i].values), cut(reference[i].m), {}};
            ReferenceMuon(map, cut(gradient), rows, cols, 0.07 * factor, 0.4);
            std::copy(map.values.begin(), map.values.end(), reference[i].values.begin() + part * rows * cols);
            std::copy(map.m.begin(), map.m.end(), reference[i].m.begin() + part * rows * cols);
          }
          continue;
        }
        const double lr = info.role == Role::kEmbedding ? 0.02 : info.role == Role::kVector ? 0.03 : 0.05;
        ReferenceAdamW(reference[i], gradient, lr * factor, matrix ? 0.4 : 0.0, scale, update);
      }
      optimizer.Update(norm, factor, update);
      for (size_t i = 0; i < reference.size(); ++i) {
        const ParamInfo& info = bank.infos()[i];
        for (int64_t k = 0; k < info.size; ++k) {
          ASSERT_NEAR(bank.values()[info.offset + k], reference[i].values[static_cast<size_t>(k)], 2e-5)
              << rule << ", " << info.name << ", update " << update;
        }
      }
    }
  }
}

// The padding between parameters stays zero, buffers stay as they are, gradients are used up, threads change nothing.
TEST(RulesTest, EveryRuleKeepsToItsParameters) {
  for (const std::string& rule : Registry<UpdateRule>::Names()) {
    const int threads = ThreadCount();
    std::vector<std::vector<float>> results;
    for (const int count : {1, 2}) {
      SetThreadCount(count);
      ParamBank bank;
      Declare(bank);
      Optimizer optimizer(FullConfig(rule), bank);
      const ParamInfo& slots = *bank.Find("slots");
      const Doubles buffer = Of(bank.values() + slots.offset, slots.size);
      for (int update = 1; update <= 3; ++update) {
        DrawGradients(bank, static_cast<uint64_t>(update));
        optimizer.Update(optimizer.GradientNorm(), 1, update);
        EXPECT_EQ(Of(bank.gradients(), bank.size()), Doubles(static_cast<size_t>(bank.size()), 0.0)) << rule;
      }
      EXPECT_EQ(Of(bank.values() + slots.offset, slots.size), buffer) << rule;
      std::vector<bool> owned(static_cast<size_t>(bank.size()), false);
      for (const ParamInfo& info : bank.infos()) std::fill_n(owned.begin() + info.offset, info.size, true);
      for (size_t i = 0; i < owned.size(); ++i) {
        EXPECT_TRUE(owned[i] || bank.values()[i] == 0) << rule << ", padding at " << i;
      }
      results.emplace_back(bank.values(), bank.values() + bank.size());
    }
    SetThreadCount(threads);
    EXPECT_EQ(results[0], results[1]) << rule;
  }
}

TEST(RulesTest, EachRemembersWhatItNeedsAndNoMore) {
  ParamBank bank;
  Declare(bank);
  const auto holds = [&](const Optimizer& optimizer, const char* state) {
    std::string names;
    for (size_t i = 0; i < bank.infos().size(); ++i) {
      if (optimizer.state().Find(state, i) != nullptr) names += bank.infos()[i].name + " ";
    }
    return names;
  };
  const Optimizer adamw(FullConfig("adamw"), bank), muon(FullConfig("muon"), bank);
  EXPECT_EQ(holds(adamw, "m"), "embed gain bias tall wide stack value ");
  EXPECT_EQ(holds(adamw, "v"), "embed gain bias tall wide stack value ");
  EXPECT_EQ(holds(muon, "m"), "embed gain bias tall wide stack value ");
  EXPECT_EQ(holds(muon, "v"), "embed gain bias value ");
  const int64_t rest = 77 + 7 + 3 + 9, matrices = 95 + 30 + 108;
  EXPECT_EQ(StateSize(FullConfig("adamw"), bank), 2 * (rest + matrices));
  EXPECT_EQ(StateSize(FullConfig("muon"), bank), 2 * rest + matrices);
}

TEST(RulesTest, NorMuonRemembersOneNumberPerLine) {
  ParamBank bank;
  Declare(bank);
  OptimConfig config = FullConfig("muon");
  const int64_t without = StateSize(config, bank);
  FieldsFromJson({{"muon_beta2", 0.9}}, "optim", config);
  // tall [19,5]: rows; wide [6,5]: rows as well; three maps [4,9]: columns.
  EXPECT_EQ(StateSize(config, bank), without + 19 + 6 + 3 * 9);
  Optimizer optimizer(config, bank);
  EXPECT_EQ(optimizer.state().size(),
            Optimizer(FullConfig("muon"), bank).state().size() + optimizer.state().arrays().back().size);
  DrawGradients(bank, 1);
  optimizer.Update(optimizer.GradientNorm(), 1, 1);
  const ParamState::Array& lines = optimizer.state().arrays().back();
  EXPECT_EQ(lines.name, "line_v");
  EXPECT_EQ(lines.lines, (std::vector<int>{0, 0, 0, 19, 6, 27, 0, 0}));
  for (size_t i = 0; i < bank.infos().size(); ++i) {
    for (int k = 0; k < lines.lines[i]; ++k) EXPECT_GT(lines.Of(i)[k], 0) << bank.infos()[i].name << k;
  }
}

// The norm of an update stays what it was; its rows become alike.
TEST(RulesTest, NorMuonEvensOutRowsAndKeepsTheNorm) {
  const auto updated = [](double beta2) {
    ParamBank bank;
    bank.Add({.name = "tall", .shape = {40, 8}, .init = Init::Zero()});
    bank.Allocate(true);
    OptimConfig config = FullConfig("muon");
    config.weight_decay = 0;
    FieldsFromJson({{"muon_beta2", beta2}}, "optim", config);
    Optimizer optimizer(config, bank);
    DrawGradients(bank, 1);
    optimizer.Update(1, 1, 1);
    return Of(bank.values(), bank.size());
  };
  const auto squares = [](const Doubles& x) {  // of each row
    Doubles sums(40);
    for (size_t i = 0; i < 320; ++i) sums[i / 8] += x[i] * x[i];
    return sums;
  };
  const Doubles with = squares(updated(0.9)), without = squares(updated(0));
  double total = 0, before = 0;
  for (size_t r = 0; r < 40; ++r) {
    total += with[r];
    before += without[r];
    EXPECT_NEAR(with[r] / with[0], 1, 1e-4);  // the first update: v is the row's own mean square
  }
  EXPECT_NEAR(total / before, 1, 1e-5);
  EXPECT_GT(*std::max_element(without.begin(), without.end()), 1.5 * *std::min_element(without.begin(), without.end()));
}

// Muon and AdamW decay a value only if the step itself brings it nearer to zero; others refuse what they do not know.
TEST(RulesTest, CautiousDecayNeverWorksAgainstTheStep) {
  for (const char* rule : {"adamw", "muon"}) {
    const auto updated = [&](bool cautious, double decay) {
      ParamBank bank;
      Declare(bank);
      OptimConfig config = FullConfig(rule);
      config.weight_decay = config.embedding_decay = decay;
      config.cautious_decay = cautious;
      Optimizer optimizer(config, bank);
      DrawGradients(bank, 1);
      optimizer.Update(optimizer.GradientNorm(), 1, 1);
      return Of(bank.values(), bank.size());
    };
    ParamBank bank;
    Declare(bank);
    const Doubles plain = updated(false, 0), all = updated(false, 0.5), some = updated(true, 0.5);
    int kept = 0, decayed = 0;
    for (const ParamInfo& info : bank.infos()) {
      const bool decays = info.role == Role::kMatrix || info.role == Role::kEmbedding;
      for (int64_t k = info.offset; k < info.offset + info.size; ++k) {
        const auto i = static_cast<size_t>(k);
        const double start = bank.values()[k];
        const bool nearer = start * (start - plain[i]) > 0;
        EXPECT_NEAR(some[i], decays && nearer ? all[i] : plain[i], 1e-6) << rule << ", " << info.name;
        if (decays) ++(nearer ? decayed : kept);
      }
    }
    EXPECT_GT(kept, 50);
    EXPECT_GT(decayed, 50);
  }
}

TEST(RulesTest, DecayFollowsItsSchedule) {
  DecaySchedule decay;
  EXPECT_EQ(decay.Factor(0.3, 0.7), 1);
  decay.kind = "follow";
  EXPECT_EQ(decay.Factor(0.3, 0.7), 0.7);
  decay = {.kind = "dip", .hold_until = 0.2, .low_at = 0.6, .low = 0.1, .end = 1.5};
  for (const auto& [fraction, factor] :
       {std::pair{-1.0, 1.0}, {0.0, 1.0}, {0.2, 1.0}, {0.4, 0.55}, {0.6, 0.1}, {0.8, 0.8}, {1.0, 1.5}, {1.5, 1.5}}) {
    EXPECT_NEAR(decay.Factor(fraction, 0.7), factor, 1e-12) << fraction;
  }
  decay.low_at = 1;  // never raised
  EXPECT_NEAR(decay.Factor(0.6, 1), 0.55, 1e-12);
  EXPECT_NEAR(decay.Factor(1, 1), 0.1, 1e-12);
  decay.hold_until = 1;
  EXPECT_EQ(decay.Factor(1, 1), 1);
}

// A rule of a test's own: the sign of a running sum, for vectors alone.
class SignOfSum final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override { v.Real("sign_rate", rate_, 0, 1, "a test's"); }
  bool Takes(Role role) const override { return role == Role::kVector; }
  std::vector<std::string> States() const override { return {"sum"}; }
  double PeakRate(double) const override { return rate_; }
  void Update(const RulePiece& piece, const RuleStep& step) const override {
    for (int64_t i = 0; i < piece.size; ++i) {
      piece.state[0][i] += piece.gradients[i];
      if (piece.state[0][i] != 0)
        piece.values[i] -= static_cast<float>(step.lr) * std::copysign(1.0f, piece.state[0][i]);
      piece.gradients[i] = 0;
    }
  }

 private:
  double rate_ = 0;
};

FLASHLM_REGISTER_RULE("sign-of-sum", SignOfSum);

TEST(RulesTest, ANewRuleIsOneClass) {
  ParamBank bank;
  Declare(bank);
  OptimConfig config = FullConfig("adamw");
  FieldsFromJson({{"optimizer", "sign-of-sum"}, {"sign_rate", 0.25}}, "optim", config);
  Optimizer optimizer(config, bank);
  const int64_t gain = bank.Find("gain")->offset, embed = bank.Find("embed")->offset;
  const float before = bank.values()[gain], embedding = bank.values()[embed];
  bank.gradients()[gain] = 3;
  optimizer.Update(optimizer.GradientNorm(), 0.5, 1);
  EXPECT_FLOAT_EQ(bank.values()[gain], before - 0.125f);
  bank.gradients()[gain] = -2;  // the sum is still positive
  bank.gradients()[embed] = -2;
  optimizer.Update(optimizer.GradientNorm(), 0.5, 2);
  EXPECT_FLOAT_EQ(bank.values()[gain], before - 0.25f);
  EXPECT_GT(bank.values()[embed], embedding);  // AdamW has the rest
  EXPECT_EQ(optimizer.state().Find("sum", 0), nullptr);
  EXPECT_NE(optimizer.state().Find("sum", 1), nullptr);
  EXPECT_THROW(FieldsFromJson({{"optimizer", "sign"}}, "optim", config), UsageError);
  config.cautious_decay = true;
  EXPECT_THROW(Optimizer(config, bank), UsageError);
}

}  // namespace
}  // namespace flashlm
