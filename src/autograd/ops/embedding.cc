#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/embed/embed.h"

namespace flashlm {
namespace {

struct EmbeddingSaved {
  const int32_t* tokens;
  float scale;
};

void EmbeddingBackward(Tape& tape, const Node& node) {
  const Param& table = node.parameter;
  const EmbeddingSaved& saved = node.As<EmbeddingSaved>();
  kernels::EmbedGrad(
      saved.tokens, tape.GradientOf(node.output),
      {tape.ParamGradient(table, saved.tokens, tape.rows()), DType::kF32, table.rows, table.cols, table.cols},
      saved.scale);
}

std::vector<OpCase> EmbeddingCases() {
  static constexpr int32_t kTokens[] = {3, 0, 3, 6, 1, 3};
  std::vector<OpCase> cases;
  for (const float scale : {1.0f, 0.25f}) {
    cases.push_back(OpCase::Make(
        fmt::format("repeated tokens, times {}", scale), 2, 3, {{7, 5, true}},
        [scale](Tape& tape, const std::vector<Operand>& in) { return Embedding(tape, kTokens, in[0].param, scale); },
        [scale](const auto& in, auto& out) {
          for (int n = 0; n < out.rows; ++n) {
            for (int c = 0; c < out.cols; ++c) {
              out.v[n * out.cols + c] = in[0].v[kTokens[n] * out.cols + c] * double{scale};
            }
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kEmbeddingOp;
const OpDef kEmbeddingOp("embedding", EmbeddingBackward, EmbeddingCases);

Tensor Embedding(Tape& tape, const int32_t* tokens, const Param& table, float scale) {
  OpTimer timer(tape, kEmbeddingOp);
  for (int n = 0; n < tape.rows(); ++n) {
    FLASHLM_CHECK(tokens[n] >= 0 && tokens[n] < table.rows, "token id {} outside the vocabulary of {}", tokens[n],
                  table.rows);
  }
  const Tensor y = tape.New(tape.rows(), table.cols, DType::kF32);  // [N,C]
  auto* const values = const_cast<float*>(tape.bank().ValueOfRows(table, tokens, tape.rows()));
  kernels::Embed({values, DType::kF32, table.rows, table.cols, table.cols}, tokens, y.matrix(), scale);
  tape.Record({&kEmbeddingOp, {}, y, table, tape.Keep(EmbeddingSaved{tokens, scale})});
  return y;
}

}  // namespace flashlm
