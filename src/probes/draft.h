// What the categories' files write: a set before its words are dealt to the roles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "probes/words.h"

namespace flashlm {

struct Draft {
  int form = 0, k = 0;
  std::vector<std::string> words;  // of the endings, [n]
  std::string facts;               // with Role(r) wherever the word of role r stands
  std::string question;            // without roles
  size_t answer = 0;               // the role whose word is the right ending
};

// How role r < 10 is marked in `facts`.
std::string Role(size_t r);
// The roles of `facts` in the order in which they are mentioned.
std::vector<size_t> MentionedRoles(std::string_view facts);

struct ProbeCategory {
  std::string_view name;
  Draft (*draft)(WordDeal& deal, int k);
  std::vector<int> difficulties;  // the values of k; one 0 where it is not counted
};

Draft DraftPattern(WordDeal& deal, int k);
Draft DraftIfThen(WordDeal& deal, int k);
Draft DraftTracking(WordDeal& deal, int k);
Draft DraftInContext(WordDeal& deal, int k);
Draft DraftKHop(WordDeal& deal, int k);
// HopsDocument's text.
std::string WriteHops(WordDeal& deal, int most_hops);
Draft DraftRecall(WordDeal& deal, int k);

}  // namespace flashlm
