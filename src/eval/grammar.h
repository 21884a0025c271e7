// Whether English sentences parse, as link-grammar sees it (Sleator and Temperley 1991; Debian's liblink-grammar-dev).
// Optional: FLASHLM_LINK_GRAMMAR of CMake, AUTO by default.
#pragma once

#include <memory>
#include <string>

namespace flashlm {

class Grammar {
 public:
  // Null if it is not built in, or if its English dictionary is not installed: `why_not` then says so. Takes a second
  // or two.
  static std::unique_ptr<Grammar> Open(std::string& why_not);
  virtual ~Grammar() = default;

  virtual std::string Name() const = 0;  // "link-grammar-5.12.0"
  // Whether all words of the sentence are linked, without one left out. A sentence that takes longer than a second does
  // not parse.
  virtual bool Parses(const std::string& sentence) = 0;
};

}  // namespace flashlm
