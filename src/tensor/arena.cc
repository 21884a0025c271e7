#include "tensor/arena.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/memory.h"

namespace flashlm {
namespace {

constexpr size_t kLargestReservation = size_t{1} << 36;  // 64 GiB of addresses, no memory
constexpr size_t kCommitStep = size_t{1} << 25;

// Where the process has a limit of addresses (ulimit -v), an arena leaves room for the others and for all else.
size_t FirstReservation() {
  constexpr size_t kShares = 24;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kLargestReservation;
  return std::clamp<size_t>(limit.rlim_cur / kShares / kCommitStep * kCommitStep, kCommitStep, kLargestReservation);
}

}  // namespace

Arena::Arena() {
  // Other limits on address space make large reservations fail, too: ask for less until one succeeds.
  for (reserved_ = FirstReservation(); reserved_ >= kCommitStep; reserved_ /= 2) {
    void* range = ::mmap(nullptr, reserved_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED) {
      base_ = static_cast<char*>(range);
      // A step walks tens of MB in rows of a page or less: with 4 KB pages the translation misses cost several per
      // cent of the matrix products (docs/lab-book.md). Without huge pages in the kernel this changes nothing.
      ::madvise(base_, reserved_, MADV_HUGEPAGE);
      return;
    }
  }
  throw Error("cannot reserve 32 MB of address space", "raise the limit shown by `ulimit -v`");
}

Arena::~Arena() { ::munmap(base_, reserved_); }

void* Arena::Allocate(size_t bytes) {
  const size_t begin = used_;
  const size_t end = begin + (bytes + 63) / 64 * 64;
  if (end > committed_) {
    const size_t wanted = std::min(reserved_, (end + kCommitStep - 1) / kCommitStep * kCommitStep);
    if (end > reserved_ && reserved_ < kLargestReservation) {
      throw Error(fmt::format("{} MB of activations do not fit into a share of the address space", end >> 20),
                  "raise the limit shown by `ulimit -v`, or use a smaller train.micro_batch");
    }
    // The kernel would promise more than there is, and end the process when it is written to.
    if (end > reserved_ || wanted - committed_ > AvailableMemory() ||
        ::mprotect(base_ + committed_, wanted - committed_, PROT_READ | PROT_WRITE) != 0) {
      throw Error(fmt::format("out of memory: {} MB of activations do not fit", end >> 20),
                  "use a smaller train.micro_batch or train.sequence_length");
    }
    committed_ = wanted;
  }
  used_ = end;
  if (used_ > peak_) {
    peak_ = used_;
    ++grow_events_;
  }
#ifndef NDEBUG
  std::memset(base_ + begin, 0xff, end - begin);  // all-NaN: reading before writing shows at once
#endif
  return base_ + begin;
}

void Arena::Release(size_t mark) { used_ = mark; }

void Arena::GiveBack() {
  const size_t kept = std::min(committed_, (used_ + kCommitStep - 1) / kCommitStep * kCommitStep);
  ::madvise(base_ + kept, committed_ - kept, MADV_DONTNEED);
  if (::mprotect(base_ + kept, committed_ - kept, PROT_NONE) == 0) committed_ = kept;
}

}  // namespace flashlm
