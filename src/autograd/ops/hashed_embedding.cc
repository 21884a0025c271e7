#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/embed/embed.h"
#include "kernels/embed/ngram.h"
#include "kernels/embed/ref.h"

namespace flashlm {
namespace {

struct HashedEmbeddingSaved {
  SparseTable* table;
  const int32_t* rows;  // [N]
};

void HashedEmbeddingBackward(Tape& tape, const Node& node) {
  const HashedEmbeddingSaved& saved = node.As<HashedEmbeddingSaved>();
  saved.table->AddGradient(saved.rows, tape.GradientOf(node.output));
}

std::vector<OpCase> HashedEmbeddingCases() {
  static constexpr int kBatch = 2, kLength = 6, kEnd = 3;
  // Repeated n-grams, and documents that end inside.
  static constexpr int32_t kTokens[] = {5, 6, 5, 6, 3, 6, 5, 6, 3, 3, 5, 6};
  std::vector<OpCase> cases;
  for (const auto& [order, rows] : {std::pair{2, 7}, std::pair{3, 11}, std::pair{4, 2}}) {
    const HashedEmbeddingConfig config{.order = order, .end = kEnd};
    const kernels::NgramShape shape{kBatch, kLength, order, kEnd, rows, 0};
    cases.push_back(OpCase::Make(
        fmt::format("{}-grams in {} rows", order, rows), kBatch, kLength, {{.rows = rows, .cols = 5, .table = true}},
        [config](Tape& tape, const std::vector<Operand>& in) {
          return HashedEmbedding(tape, kTokens, *in[0].table, config);
        },
        [shape](const auto& in, auto& out) {
          for (int n = 0; n < out.rows; ++n) {
            const int row = kernels::ref::NgramRow(shape, kTokens + int64_t{n} / kLength * kLength, n % kLength + 1);
            for (int c = 0; c < out.cols; ++c) out.v[n * out.cols + c] = in[0].v[row * out.cols + c];
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kHashedEmbeddingOp;
const OpDef kHashedEmbeddingOp("hashed_embedding", HashedEmbeddingBackward, HashedEmbeddingCases);

Tensor HashedEmbedding(Tape& tape, const int32_t* tokens, SparseTable& table, const HashedEmbeddingConfig& config) {
  OpTimer timer(tape, kHashedEmbeddingOp);
  FLASHLM_CHECK(config.order >= 2, "n-grams of {} tokens", config.order);
  const kernels::NgramShape shape{tape.batch(), tape.length(), config.order, config.end, table.rows(), config.variant};
  float* past = tape.Slot(config.order - 1);
  auto* rows = tape.Keep<int32_t>(int64_t{tape.rows()});
  kernels::NgramRows(shape, tokens, past, rows);
  if (past != nullptr) kernels::NgramPast(shape, tokens, past);
  const Tensor y = tape.New(tape.rows(), table.cols(), DType::kF32);  // [N,W]
  kernels::Embed(table.matrix(), rows, y.matrix());
  tape.Record({&kHashedEmbeddingOp, {}, y, {}, tape.Keep(HashedEmbeddingSaved{&table, rows})});
  return y;
}

}  // namespace flashlm
