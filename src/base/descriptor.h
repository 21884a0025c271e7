// An open file by its number, closed with its owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace flashlm {

class Descriptor {
 public:
  // Negative: none, as open() returns where it failed.
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int number() const { return number_; }
  // Whoever asks closes it.
  int Release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

}  // namespace flashlm
