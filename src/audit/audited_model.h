// The model of the audit: one small network with the parts of the published ones in which the future could be read,
// each either as it was published or as it should be. Whatever is switched, the parameters are the same ones.
//
//   u = RMS(h), w = RMS(h);  g = sigmoid(W_gate u)                     CORTEX, v7.4 to v8.4
//   h <- h + W_c (g * W_o attention(u) + (1 - g) * W_m memory(w))      memory: of the past, or of the future
//   z = shift(LN(h));  s = gated scan of z;  h <- h + W_p norm(s)      v5; norm of a position, or over time
//   r = W_down h;  p <- p + W_pu RMS(p + W_ep mean(r));                P-RCSM, v6
//   h <- h + sigmoid(rho) W_up (r * sigmoid(W_pg p))                   mean so far, or of the whole sequence
//   h <- h + SwiGLU(RMS(h))
//   logits = E RMS(h)
//
// It is no architecture that others can name: the switches are this struct, not settings, and what is made from them
// is known to a process from the first MakeAuditedModel on, which only `flashlm audit` calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace flashlm {

struct Defects {
  bool future_memory = false;   // docs/spec/defects.md#d4
  bool norm_over_time = false;  // docs/spec/defects.md#d2
  bool whole_planner = false;   // docs/spec/defects.md#d3
  bool double_shift = false;    // docs/spec/defects.md#d1: in what it is trained on; the network is the same

  bool leaks() const { return future_memory || norm_over_time || whole_planner; }
  bool operator==(const Defects&) const = default;
  std::vector<std::string> Names() const;  // of those that are on, as above
};

struct AuditedSizes {
  int vocab = 1024;
  int d_model = 128, n_layers = 3, n_heads = 4, window = 32, d_mem = 16;

  void VisitFields(FieldVisitor& v) {
    v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary");
    v.Int("d_model", d_model, 8, 1024, "width of the residual stream");
    v.Int("n_layers", n_layers, 1, 16, "blocks");
    v.Int("n_heads", n_heads, 1, 64, "heads of attention and memory, and groups of the norm");
    v.Int("window", window, 1, 65536, "tokens that the attention sees, itself included");
    v.Int("d_mem", d_mem, 1, 128, "width of a memory head");
  }
};

// Parameters are allocated and all zero. Throws UsageError for sizes that do not go together.
std::unique_ptr<Model> MakeAuditedModel(const AuditedSizes& sizes, const Defects& defects, bool for_training);

}  // namespace flashlm
