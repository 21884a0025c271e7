#include "serve/prefix_cache.h"

#include <algorithm>

#include "infer/stream_reader.h"

namespace flashlm {
namespace {

bool Begins(std::span<const int32_t> whole, const std::vector<int32_t>& part) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace

std::vector<int32_t> CutsOf(int64_t tokens) {
  std::vector<int32_t> cuts;
  for (int64_t at = 0; at < tokens;) {
    at += PromptPiece(tokens - at);
    cuts.push_back(static_cast<int32_t>(at));
  }
  return cuts;
}

std::shared_ptr<const ReadPrefix> PrefixCache::Find(std::span<const int32_t> prompt, std::span<const int32_t> cuts) {
  auto best = prefixes_.end();
  for (auto p = prefixes_.begin(); p != prefixes_.end(); ++p) {
    const bool longer = best == prefixes_.end() || (*p)->tokens.size() > (*best)->tokens.size();
    if (longer && Begins(cuts, (*p)->cuts) && Begins(prompt, (*p)->tokens)) best = p;
  }
  if (best == prefixes_.end()) return nullptr;
  prefixes_.splice(prefixes_.begin(), prefixes_, best);
  return prefixes_.front();
}

void PrefixCache::Add(std::shared_ptr<const ReadPrefix> prefix) {
  if (prefix->Bytes() > most_bytes_) return;
  const auto known = std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& p) {
    return p->tokens == prefix->tokens && p->cuts == prefix->cuts;
  });
  if (known != prefixes_.end()) return;
  bytes_ += prefix->Bytes();
  prefixes_.push_front(std::move(prefix));
  while (bytes_ > most_bytes_) {
    bytes_ -= prefixes_.back()->Bytes();
    prefixes_.pop_back();
  }
}

}  // namespace flashlm
