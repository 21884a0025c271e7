#include "probes/probes.h"

#include <array>

#include "base/error.h"
#include "probes/draft.h"

namespace flashlm {
namespace {

// ProbeDocument's sets have indices from here on.
constexpr uint64_t kFirstDocument = uint64_t{1} << 55;

// The random numbers of a set, and of `what` is drawn beside it. The highest bit: stories are corpus, too, and have
// theirs where it is not set.
Rng NumbersOf(uint64_t seed, uint64_t index, uint64_t what) {
  return {seed, Purpose::kCorpus, uint64_t{1} << 63 | index << 4 | what};
}
constexpr uint64_t kItemOfDocument = 15, kHopsOfDocument = 14;  // beyond category and split

const std::vector<ProbeCategory>& Categories() {
  static const std::vector<ProbeCategory> categories = {
      {"pattern", DraftPattern, {0}},      {"if_then", DraftIfThen, {0}},      {"tracking", DraftTracking, {1, 2, 3}},
      {"in_context", DraftInContext, {0}}, {"k_hop", DraftKHop, {1, 2, 3, 4}}, {"recall", DraftRecall, {2, 4, 6, 8}}};
  return categories;
}

// A mark is two bytes that no text has: a control byte and the role's digit.
constexpr char kMark = '\1';

size_t RoleAt(std::string_view facts, size_t mark) { return static_cast<size_t>(facts[mark + 1] - '0'); }

// The facts where role r is played by words[(r + shift) mod n].
std::string Play(const Draft& draft, size_t shift) {
  std::string text;
  for (size_t i = 0; i < draft.facts.size(); ++i) {
    if (draft.facts[i] != kMark) {
      text += draft.facts[i];
      continue;
    }
    text += draft.words[(RoleAt(draft.facts, i) + shift) % draft.words.size()];
    ++i;
  }
  return text;
}

}  // namespace

std::string Role(size_t r) { return {kMark, static_cast<char>('0' + r)}; }

std::vector<size_t> MentionedRoles(std::string_view facts) {
  std::vector<size_t> roles;
  for (size_t i = facts.find(kMark); i != std::string_view::npos; i = facts.find(kMark, i + 1)) {
    roles.push_back(RoleAt(facts, i));
  }
  return roles;
}

std::span<const std::string_view> ProbeCategories() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const ProbeCategory& category : Categories()) all.push_back(category.name);
    return all;
  }();
  return names;
}

ProbeSet MakeProbeSet(std::string_view category, ProbeSplit split, uint64_t seed, uint64_t index) {
  const auto& all = Categories();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ProbeCategory& c) { return c.name == category; });
  FLASHLM_CHECK(found != all.end(), "there are no probes '{}'", category);
  const auto place = static_cast<uint64_t>(found - all.begin());
  Rng rng = NumbersOf(seed, index, place << 1 | (split == ProbeSplit::kHeldOut ? 1 : 0));
  WordDeal deal(split, rng);
  const int k = found->difficulties[index % found->difficulties.size()];
  const Draft draft = found->draft(deal, k);

  ProbeSet set{std::string(category), draft.form, draft.k, draft.question, {}, {}};
  const size_t n = draft.words.size();
  for (size_t i = 0; i < n; ++i) {
    set.endings.push_back(" " + draft.words[i] + ".");
    set.facts.push_back(Play(draft, n + i - draft.answer));  // the answer's role is played by words[i]
  }
  return set;
}

std::string ProbeDocument(uint64_t seed, uint64_t index, std::string_view category) {
  const std::span<const std::string_view> categories = ProbeCategories();
  uint64_t round = kFirstDocument + index;
  if (category.empty()) {
    round = kFirstDocument + index / categories.size();
    category = categories[index % categories.size()];
  }
  const ProbeSet set = MakeProbeSet(category, ProbeSplit::kTrain, seed, round);
  return set.Text(NumbersOf(seed, index, kItemOfDocument).Below(set.endings.size()));
}

std::string HopsDocument(uint64_t seed, uint64_t index, int most_hops) {
  FLASHLM_CHECK(most_hops >= 1 && most_hops <= kMostHops, "texts of {} hops", most_hops);
  Rng rng = NumbersOf(seed, index, kHopsOfDocument);
  WordDeal deal(ProbeSplit::kTrain, rng);
  return WriteHops(deal, most_hops);
}

}  // namespace flashlm
