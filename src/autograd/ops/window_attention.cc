#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/ref.h"

namespace flashlm {
namespace {

struct Saved {
  kernels::AttentionShape shape;
  const float* log_sums;  // [B,H,T]
};

void Backward(Tape& tape, const Node& node) {
  const Saved& saved = node.As<Saved>();
  const Tensor& qkv = node.inputs[0];
  bool accumulate;
  const kernels::Matrix dqkv = tape.GradientFor(qkv, &accumulate);
  FLASHLM_CHECK(!accumulate, "the attention's input has another reader");
  kernels::AttentionGrad(saved.shape, qkv.matrix(), node.output.matrix(), saved.log_sums,
                         tape.GradientOf(node.output), dqkv);
}

std::vector<OpCase> Cases() {
  std::vector<OpCase> cases;
  for (const bool rope : {false, true}) {
    for (const int window : {1, 3, 16}) {
      const AttentionConfig config{2, 4, window, rope, 0.0};
      cases.push_back(OpCase::Make(
          fmt::format("window {}{}", window, rope ? ", RoPE" : ""), 2, 9, {{18, 24}},
          [config](Tape& tape, const std::vector<Operand>& in) {
            return WindowAttention(tape, in[0].tensor, config);
          },
          [config](const auto& in, auto& out) {
            kernels::ref::Attention(2, 9, config.heads, config.head_dim, config.window, config.rope, in[0].data(),
                                    out.data());
          }));
    }
  }
  return cases;
}

}  // namespace

extern const OpDef kWindowAttentionOp;
const OpDef kWindowAttentionOp("window_attention", Backward, Cases);

Tensor WindowAttention(Tape& tape, const Tensor& qkv, const AttentionConfig& config) {
  OpTimer timer(tape, kWindowAttentionOp);
  const int width = config.heads * config.head_dim;
  FLASHLM_CHECK(qkv.cols == 3 * width, "attention of {} heads x {} over {} columns", config.heads, config.head_dim,
                qkv.cols);
  const kernels::Dropout dropout = tape.NextDropout(config.dropout);
  const kernels::AttentionShape shape{tape.batch(),  tape.length(), config.heads, config.head_dim, config.window,
                                      config.rope,   dropout.p,     dropout.key,  dropout.step};
  const Tensor y = tape.New(qkv.rows, width, qkv.dtype);  // [N,H*D]
  float* log_sums =
      tape.training() ? tape.Keep<float>(int64_t{tape.batch()} * config.heads * tape.length()) : nullptr;
  const int64_t row_size = kernels::AttentionStateSize(shape);
  const kernels::AttentionState state{tape.Slot(row_size), row_size, tape.positions()};
  kernels::Attention(shape, qkv.matrix(), state.rings == nullptr ? nullptr : &state, y.matrix(), log_sums);
  tape.Record({&kWindowAttentionOp, {qkv}, y, {}, tape.Keep(Saved{shape, log_sums})});
  return y;
}

}  // namespace flashlm
