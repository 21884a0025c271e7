// What the library throws, besides std::bad_alloc.
#pragma once

#include <flashlm/export.h>

#include <stdexcept>
#include <string>

namespace flashlm::FLASHLM_API {

// what(): what happened and where, for a person.
class FLASHLM_EXPORT Error : public std::runtime_error {
 public:
  enum class Kind : unsigned char {
    kFailed,  // a file is missing or damaged, a disk is full, a shape does not fit
    kUsage,   // the call is wrong: an unknown name, a value out of range
    kDefect,  // of FlashLM; please report it
  };

  Error(Kind kind, const std::string& what, std::string hint);
  ~Error() override;

  Kind kind() const { return kind_; }
  // What can be done about it; may be empty.
  const std::string& hint() const { return hint_; }
  // "WHAT (hint: HINT)", on one line.
  std::string OneLine() const;

 private:
  std::string hint_;
  Kind kind_;
};

}  // namespace flashlm::FLASHLM_API
