#include "infer/search.h"

#include "base/error.h"

namespace flashlm {

Search::Search(Session& session, Sampler& sampler, int candidates, double beta)
    : session_(session), sampler_(sampler), candidates_(candidates), beta_(beta) {
  FLASHLM_CHECK(session.rows() == 1 && candidates >= 1, "search with {} candidates over {} streams", candidates,
                session.rows());
  if (session.position() > 0 && !session.has_values()) {
    throw Error("search needs a model with look-ahead value heads, and this one has none",
                "generate without search, or train with model.value_heads = true");
  }
}

Search::Choice Search::Next(std::span<const float> log_probs, std::span<const int32_t> history) {
  const auto choices = sampler_.Best(log_probs, history, candidates_);
  before_ = session_.state();
  int32_t best_token = 0;
  double best_score = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) session_.Restore(before_);
    const float* after = session_.Feed(choices[i].token);
    const double score = choices[i].log_p - beta_ * session_.value();
    if (i > 0 && !(score > best_score)) continue;
    best_score = score;
    best_token = choices[i].token;
    best_log_probs_.assign(after, after + session_.vocab());
    session_.Swap(best_state_);
  }
  session_.Swap(best_state_);
  return {best_token, best_log_probs_};
}

}  // namespace flashlm
