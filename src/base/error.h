// Errors: exceptions that carry what happened, where, and a hint for the person at the keyboard.
// The library never aborts; a command prints one line `error: WHAT (hint: ...)` and exits with the error's code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace flashlm {

// Something failed: a bad file, a full disk, a shape that does not fit. Exit code 1.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string hint = "", int exit_code = 1)
      : std::runtime_error(what), hint_(std::move(hint)), exit_code_(exit_code) {}

  const std::string& hint() const { return hint_; }
  int exit_code() const { return exit_code_; }
  // "WHAT (hint: HINT)", on one line.
  std::string OneLine() const;

 private:
  std::string hint_;
  int exit_code_;
};

// The command itself is wrong: an unknown key, preset or flag, a value out of range. Exit code 2.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& what, std::string hint = "") : Error(what, std::move(hint), 2) {}
};

// The name in `known` nearest to `word` by edit distance, as the hint "did you mean 'x'?"; else lists what is known.
std::string NearestHint(const std::string& word, const std::vector<std::string>& known);

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace internal

}  // namespace flashlm

// An assumption about the caller (shapes, ranges); throws flashlm::Error with file and line. Always compiled in.
#define FLASHLM_CHECK(condition, ...)                                                               \
  do {                                                                                              \
    if (!(condition)) [[unlikely]]                                                                  \
      ::flashlm::internal::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)
