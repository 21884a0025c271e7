// Tokens are moved so that those of one expert lie together, and only the chosen expert is computed.
//
// A row of a product may depend on how many rows the product has (the library picks its tiles by that), so one
// product over all tokens of an expert would let a token's result depend on its neighbours' choices. Products are
// therefore made of a fixed number of rows, the last ones padded with zeros: in inference those of the tape's row
// groups, in training a number that only the size of the whole batch decides. A few tokens need no padding: the kernel
// for few rows gives each the same bits whatever is beside it.
#include <algorithm>
#include <array>
#include <cstring>

#include "autograd/linear_product.h"
#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"
#include "kernels/route/ref.h"
#include "kernels/route/route.h"
#include "kernels/ternary/ref.h"

namespace flashlm {
namespace {

using kernels::Matrix;

// Rows of a product for N tokens: with 16, few tokens spread over many experts are padded little; 64 keep the matrix
// units busy.
int PieceFor(const Tape& tape, int tokens) {
  switch (tape.row_groups()) {
    case kernels::RowGroups::kFew:
      return 1;
    case kernels::RowGroups::kBlocks:
      return kernels::kBlockRows;
    case kernels::RowGroups::kFastest:
      break;
  }
  return tokens <= kernels::kFewRows ? 1 : tokens <= 256 ? 16 : 64;
}

// One expert's share of a call.
struct Share {
  Expert expert;
  int64_t begin, rows;  // of the grouped matrices, padding included
  LinearInput up, down;
};

struct RoutedExpertsSaved {
  int experts;
  Share* shares;
  const float* probabilities;  // [N,K]
  const int32_t* choice;       // [N]
  const int32_t* place;        // [N]: the token's row among the grouped
  const float* weight;         // [N]: the chosen expert's probability
  Matrix hidden;               // grouped, before silu [R,F]
  Matrix result;               // grouped [R,C]
};

Matrix Rows(Tape& tape, int64_t rows, int64_t cols) {
  return {tape.Keep<char>(rows * cols * static_cast<int64_t>(SizeOf(tape.dtype()))), tape.dtype(), rows, cols, cols};
}

void ZeroRows(const Matrix& m, int64_t begin, int64_t end) {
  const int64_t row = m.stride * static_cast<int64_t>(SizeOf(m.dtype));
  std::memset(static_cast<char*>(m.data) + begin * row, 0, static_cast<size_t>((end - begin) * row));
}

// The rows that a share's tokens do not fill.
template <class F>
void ForPadding(const RoutedExpertsSaved& saved, int tokens, const F& f) {
  std::array<int64_t, kMaxExperts> count{};
  for (int n = 0; n < tokens; ++n) ++count[static_cast<size_t>(saved.choice[n])];
  for (int k = 0; k < saved.experts; ++k) {
    const Share& share = saved.shares[k];
    f(share.begin + count[static_cast<size_t>(k)], share.begin + share.rows);
  }
}

// Where everything of the call will lie: fills choice, place, weight and the shares' rows.
RoutedExpertsSaved Plan(Tape& tape, const Tensor& x, const Tensor& logits, const Expert* experts) {
  const int N = x.rows, K = logits.cols, piece = PieceFor(tape, N);
  float* probabilities = tape.Keep<float>(int64_t{N} * K);
  float* weight = tape.Keep<float>(int64_t{N});
  int32_t* choice = tape.Keep<int32_t>(int64_t{N});
  int32_t* place = tape.Keep<int32_t>(int64_t{N});
  Share* shares = tape.Keep<Share>(K);
  kernels::Route(logits.matrix(), probabilities, choice);
  std::array<int64_t, kMaxExperts> next{};
  for (int n = 0; n < N; ++n) ++next[static_cast<size_t>(choice[n])];
  int64_t begin = 0;
  for (int k = 0; k < K; ++k) {
    const int64_t rows = (next[static_cast<size_t>(k)] + piece - 1) / piece * piece;
    shares[k] = {experts[k], begin, rows, {}, {}};
    next[static_cast<size_t>(k)] = begin;
    begin += rows;
  }
  for (int n = 0; n < N; ++n) {
    place[n] = static_cast<int32_t>(next[static_cast<size_t>(choice[n])]++);
    weight[n] = probabilities[int64_t{n} * K + choice[n]];
  }
  return {K, shares, probabilities, choice, place, weight, {}, {}};
}

void RoutedExpertsBackward(Tape& tape, const Node& node) {
  const RoutedExpertsSaved& saved = node.As<RoutedExpertsSaved>();
  const Tensor &x = node.inputs[0], &logits = node.inputs[1];
  const auto scratch = [&](const Matrix& like) {
    return Matrix{tape.Scratch(like.rows * like.cols), like.dtype, like.rows, like.cols, like.cols};
  };
  const Matrix dresult = scratch(saved.result), dhidden = scratch(saved.hidden), dgrouped = scratch(saved.result);
  float* dweight = tape.Scratch(x.rows);
  ForPadding(saved, x.rows, [&](int64_t begin, int64_t end) { ZeroRows(dresult, begin, end); });
  kernels::ScaleRowsGrad(saved.result, saved.place, saved.weight, tape.GradientOf(node.output), dresult, dweight);
  for (int k = 0; k < saved.experts; ++k) {
    const Share& share = saved.shares[k];
    if (share.rows == 0) continue;
    const auto mine = [&](const Matrix& m) { return m.Rows(share.begin, share.rows); };
    MultiplyLinearGrad(tape, share.expert.down, share.down, mine(dresult), mine(dhidden), false);
    kernels::SiluGrad(mine(saved.hidden), mine(dhidden), mine(dhidden), false);
    MultiplyLinearGrad(tape, share.expert.up, share.up, mine(dhidden), mine(dgrouped), false);
  }
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd), dlogits(tape, logits);
  kernels::FetchRows(dgrouped, saved.place, dx.matrix(), dx.accumulate());
  kernels::RouteGrad(saved.probabilities, saved.choice, dweight, dlogits.matrix());
}

// 3 experts of 8 -> 12 -> 8 columns; parameters up, down of each in turn.
OpCase Case(const char* name, int rows, Quantization quantization) {
  std::vector<OpInput> inputs = {{rows, 8}, {rows, 3}};
  for (int k = 0; k < 3; ++k) {
    inputs.push_back({12, 8, true, 0.5, 0, quantization});
    inputs.push_back({8, 12, true, 0.5, 0, quantization});
  }
  return OpCase::Make(
      name, 1, rows, inputs,
      [](Tape& tape, const std::vector<Operand>& in) {
        const Expert experts[] = {{in[2].param, in[3].param}, {in[4].param, in[5].param}, {in[6].param, in[7].param}};
        return RoutedExperts(tape, in[0].tensor, in[1].tensor, experts);
      },
      [quantization](const auto& in, auto& out) {
        const auto map = [&](const auto& weight, auto x) {
          auto w = weight.v;
          if (quantization.ternary != kernels::Ternary::kNone) {
            kernels::ref::Ternarize(quantization.ternary, weight.data(), weight.rows, weight.cols, w.data());
          }
          if (quantization.int8_input) {
            const auto given = x;
            kernels::ref::QuantizeRows(given.data(), 1, weight.cols, x.data());
          }
          auto y = x;
          y.assign(static_cast<size_t>(weight.rows), 0.0);
          for (int o = 0; o < weight.rows; ++o) {
            for (int i = 0; i < weight.cols; ++i) y[o] += w[o * weight.cols + i] * x[i];
          }
          return y;
        };
        for (int n = 0; n < out.rows; ++n) {
          int choice;
          const auto p = kernels::ref::Route(&in[1].v[n * 3], 3, &choice);
          auto x = in[0].v;
          x.assign(&in[0].v[n * 8], &in[0].v[n * 8] + 8);
          auto hidden = map(in[2 + 2 * choice], x);
          for (auto& h : hidden) h *= kernels::ref::Sigmoid(h);
          const auto y = map(in[3 + 2 * choice], hidden);
          for (int c = 0; c < 8; ++c) out.v[n * 8 + c] = p * y[c];
        }
      });
}

std::vector<OpCase> RoutedExpertsCases() {
  using kernels::Ternary;
  return {Case("5 tokens", 5, {}), Case("40 tokens", 40, {}), Case("40 tokens, ternary", 40, {Ternary::kRow, false}),
          Case("9 tokens, ternary, int8 input", 9, {Ternary::kRow, true})};
}

}  // namespace

extern const OpDef kRoutedExpertsOp;
const OpDef kRoutedExpertsOp("routed_experts (GEMM)", RoutedExpertsBackward, RoutedExpertsCases);

Tensor RoutedExperts(Tape& tape, const Tensor& x, const Tensor& logits, const Expert* experts) {
  OpTimer timer(tape, kRoutedExpertsOp);
  const Param& up = experts[0].up;
  FLASHLM_CHECK(x.dtype == tape.dtype() && x.cols == up.cols && logits.cols <= kMaxExperts,
                "{} experts of {} columns over {}", logits.cols, up.cols, x.cols);
  RoutedExpertsSaved saved = Plan(tape, x, logits, experts);
  // As many rows as there can ever be, so that memory does not depend on the routing.
  const int64_t piece = PieceFor(tape, x.rows), capacity = x.rows + saved.experts * (piece - 1);
  const int64_t used = saved.shares[saved.experts - 1].begin + saved.shares[saved.experts - 1].rows;
  const auto rows = [&](int64_t cols) { return Rows(tape, capacity, cols).Rows(0, used); };
  const Matrix grouped = rows(x.cols), activated = rows(up.rows);
  saved.hidden = rows(up.rows);
  saved.result = rows(x.cols);
  ForPadding(saved, x.rows, [&](int64_t begin, int64_t end) { ZeroRows(grouped, begin, end); });
  kernels::MoveRows(x.matrix(), saved.place, grouped);
  const auto for_shares = [&](const auto& f) {
    for (int k = 0; k < saved.experts; ++k) {
      if (saved.shares[k].rows > 0) f(saved.shares[k]);
    }
  };
  const int64_t at_a_time = std::max<int64_t>(piece, kernels::kFewRows);
  const LinearInput input = ReadForLinear(tape, up.quantization, grouped);
  for_shares([&](Share& share) {
    share.up = input.Rows(share.begin, share.rows);
    MultiplyLinear(tape, share.expert.up, share.up, saved.hidden.Rows(share.begin, share.rows), at_a_time);
  });
  kernels::Silu(saved.hidden, activated);
  const LinearInput middle = ReadForLinear(tape, experts[0].down.quantization, activated);
  for_shares([&](Share& share) {
    share.down = middle.Rows(share.begin, share.rows);
    MultiplyLinear(tape, share.expert.down, share.down, saved.result.Rows(share.begin, share.rows), at_a_time);
  });
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,C]
  kernels::ScaleRows(saved.result, saved.place, saved.weight, nullptr, y.matrix());
  for (int k = 0; k < saved.experts; ++k) {
    tape.Uses(saved.shares[k].expert.up);
    tape.Uses(saved.shares[k].expert.down);
  }
  tape.Record({&kRoutedExpertsOp, {x, logits}, y, {}, tape.Keep(saved)});
  return y;
}

}  // namespace flashlm
