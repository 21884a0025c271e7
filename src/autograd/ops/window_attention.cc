#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/ref.h"
#include "kernels/dropout/dropout.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

using kernels::Rope;

struct WindowAttentionSaved {
  kernels::AttentionShape shape;
  const float* log_sums;  // [B,H,T]
};

// The heads' gradients of shared values [N, H*D] -> their sums [N, value_heads*D].
void SumSharedValues(const kernels::Matrix& of_heads, const kernels::Matrix& dv) {
  for (int64_t begin = 0; begin < of_heads.cols; begin += dv.cols) {
    kernels::Copy(of_heads.Columns(begin, dv.cols), dv, begin > 0);
  }
}

void WindowAttentionBackward(Tape& tape, const Node& node) {
  const WindowAttentionSaved& saved = node.As<WindowAttentionSaved>();
  const kernels::Qkv in{node.inputs[0].matrix(), node.inputs[1].matrix(), node.inputs[2].matrix()};
  GradientWriter dq(tape, node.inputs[0]), dk(tape, node.inputs[1]), dv(tape, node.inputs[2]);
  kernels::Qkv din{dq.matrix(), dk.matrix(), dv.matrix()};
  const kernels::Matrix out = node.output.matrix();
  const bool shared = din.v.cols != out.cols;
  if (shared) din.v = {tape.Scratch(out.rows * out.cols), out.dtype, out.rows, out.cols, out.cols};
  kernels::AttentionGrad(saved.shape, in, out, saved.log_sums, tape.GradientOf(node.output), din);
  if (shared) SumSharedValues(din.v, dv.matrix());
}

std::vector<OpCase> WindowAttentionCases() {
  std::vector<OpCase> cases;
  for (const auto& [rope, name] :
       {std::pair{Rope::kNone, ""}, std::pair{Rope::kHalf, ", RoPE"}, std::pair{Rope::kInterleaved, ", pairs"},
        std::pair{Rope::kPartial, ", half of RoPE"}}) {
    for (const int window : {1, 3, 16}) {
      const AttentionConfig config{2, 4, window, rope, 0.0};
      cases.push_back(OpCase::Make(
          fmt::format("window {}{}", window, name), 2, 9, {{18, 24}},
          [config](Tape& tape, const std::vector<Operand>& in) { return WindowAttention(tape, in[0].tensor, config); },
          [config](const auto& in, auto& out) {
            kernels::ref::Attention(2, 9, config.heads, config.head_dim, config.window, config.rope, in[0].data(),
                                    out.data());
          }));
    }
  }
  const AttentionConfig slow{2, 8, 6, Rope::kHalf, 0.0, 0, 40.0};
  cases.push_back(OpCase::Make(
      "RoPE of another base", 2, 9, {{18, 48}},
      [slow](Tape& tape, const std::vector<Operand>& in) { return WindowAttention(tape, in[0].tensor, slow); },
      [slow](const auto& in, auto& out) {
        kernels::ref::Attention(2, 9, slow.heads, slow.head_dim, slow.window, slow.rope, in[0].data(), out.data(),
                                nullptr, slow.rope_base);
      }));
  const AttentionConfig shared{4, 6, 5, Rope::kNone, 0.0, 2};
  cases.push_back(OpCase::Make(
      "4 heads, 2 of values", 1, 9, {{9, 24}, {9, 24}, {9, 12}},
      [shared](Tape& tape, const std::vector<Operand>& in) {
        return WindowAttention(tape, in[0].tensor, in[1].tensor, in[2].tensor, shared);
      },
      [](const auto& in, auto& out) {
        auto qkv = in[0].v;
        qkv.clear();
        for (int n = 0; n < 9; ++n) {
          qkv.insert(qkv.end(), &in[0].v[n * 24], &in[0].v[n * 24] + 24);
          qkv.insert(qkv.end(), &in[1].v[n * 24], &in[1].v[n * 24] + 24);
          for (int twice = 0; twice < 2; ++twice) qkv.insert(qkv.end(), &in[2].v[n * 12], &in[2].v[n * 12] + 12);
        }
        kernels::ref::Attention(1, 9, 4, 6, 5, Rope::kNone, qkv.data(), out.data());
      }));
  return cases;
}

}  // namespace

extern const OpDef kWindowAttentionOp;
const OpDef kWindowAttentionOp("window_attention", WindowAttentionBackward, WindowAttentionCases);

Tensor WindowAttention(Tape& tape, const Tensor& q, const Tensor& k, const Tensor& v, const AttentionConfig& config) {
  OpTimer timer(tape, kWindowAttentionOp);
  const int width = config.heads * config.head_dim;
  const kernels::Dropout dropout = tape.NextDropout(config.dropout);
  const kernels::AttentionShape shape{tape.batch(),  tape.length(),      config.heads,    config.head_dim,
                                      config.window, config.rope,        dropout.p,       dropout.key,
                                      dropout.step,  config.value_heads, config.rope_base};
  const Tensor y = tape.New(q.rows, width, q.dtype);  // [N,H*D]
  float* log_sums = tape.training() ? tape.Keep<float>(int64_t{tape.batch()} * config.heads * tape.length()) : nullptr;
  const int64_t row_size = kernels::AttentionStateSize(shape, q.dtype);
  const kernels::AttentionState state{tape.Slot(row_size), row_size, tape.positions()};
  kernels::Attention(shape, {q.matrix(), k.matrix(), v.matrix()}, state.rings == nullptr ? nullptr : &state, y.matrix(),
                     log_sums);
  tape.Record({&kWindowAttentionOp, {q, k, v}, y, {}, tape.Keep(WindowAttentionSaved{shape, log_sums})});
  return y;
}

Tensor WindowAttention(Tape& tape, const Tensor& qkv, const AttentionConfig& config) {
  const int width = config.heads * config.head_dim;
  FLASHLM_CHECK(qkv.cols == 3 * width && config.value_heads == 0, "attention of {} heads x {} over {} columns",
                config.heads, config.head_dim, qkv.cols);
  return WindowAttention(tape, Tape::Columns(qkv, 0, width), Tape::Columns(qkv, width, width),
                         Tape::Columns(qkv, 2 * width, width), config);
}

}  // namespace flashlm
