// Parallel loops on the one OpenMP pool that oneDNN shares. Work is cut into units whose number does not depend on
// the number of threads, so that every reduction keeps its order and results do not change with the thread count.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <vector>

namespace flashlm {

// No more than OMP_THREAD_LIMIT allows.
inline int ThreadCount() { return std::min(omp_get_max_threads(), omp_get_thread_limit()); }
inline void SetThreadCount(int threads) { omp_set_num_threads(threads); }

// While one of these lives, a parallel region of the calling thread gets as many threads as OpenMP promises. oneDNN
// cuts a product for the promised number and computes wrong numbers when fewer come, as OMP_THREAD_LIMIT and
// OMP_DYNAMIC have it. The settings are the process's own, not ours: they are back afterwards.
class ExactThreads {
 public:
  ExactThreads() : promised_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
    if (dynamic_ != 0) omp_set_dynamic(0);
    if (promised_ != ThreadCount()) omp_set_num_threads(ThreadCount());
  }
  ~ExactThreads() {
    if (dynamic_ != 0) omp_set_dynamic(dynamic_);
    if (promised_ != omp_get_max_threads()) omp_set_num_threads(promised_);
  }
  ExactThreads(const ExactThreads&) = delete;
  ExactThreads& operator=(const ExactThreads&) = delete;

 private:
  int promised_, dynamic_;
};

// The threads of one OpenMP region, of which the first runs a whole program and the others wait, spinning, for the
// parallel loops that it meets. Handing over a loop costs about 0.3 us where a region of its own costs 1.4 us, which
// decides when loops are as short as those of decoding one token. A share that its thread has not begun when the first
// thread is done with its own, because something else has that core, the first thread takes over.
// No library that opens regions itself may be called inside.
class Team {
 public:
  // Runs program() on the calling thread, with a team around it if there is more than one thread. Exceptions pass.
  template <class Program>
  static void Run(const Program& program) {
    if (ThreadCount() == 1 || current_ != nullptr) return program();
    Team team(ThreadCount());
    std::exception_ptr failure;
#pragma omp parallel
    {
      if (omp_get_thread_num() == 0) {
        current_ = &team;
        try {
          program();
        } catch (...) {
          failure = std::current_exception();
        }
        current_ = nullptr;
        team.round_.store(kOver, std::memory_order_release);
      } else {
        team.Work(omp_get_thread_num());
      }
    }
    if (failure) std::rethrow_exception(failure);
  }

  // The team whose program the calling thread runs, if any.
  static Team* Current() { return current_; }

  template <class Body>
  void For(int64_t n, const Body& body) {
    call_ = [](const void* context, int64_t i) { (*static_cast<const Body*>(context))(i); };
    context_ = &body;
    n_ = n;
    const int64_t round = round_.load(std::memory_order_relaxed) + 1;
    round_.store(round, std::memory_order_release);
    RunShare(0);
    FinishShares(round);
  }

 private:
  using Call = void (*)(const void* context, int64_t i);
  static constexpr int64_t kOver = -1;  // the round after the last one

  // The share of a thread in the current round.
  struct alignas(64) Share {
    std::atomic<int64_t> begun{0};  // the last round in which somebody has begun it
    std::atomic<int64_t> done{0};   // the last round in which its own thread has finished it
  };

  explicit Team(int threads) : threads_(threads), shares_(static_cast<size_t>(threads)) {}

  void Work(int thread);
  void FinishShares(int64_t round);

  void RunShare(int thread) const {
    const int64_t end = n_ * (thread + 1) / threads_;
    for (int64_t i = n_ * thread / threads_; i < end; ++i) call_(context_, i);
  }

  static thread_local Team* current_;

  // One cache line travels to the waiting threads; what they write lies on others, which would hold it up.
  alignas(64) std::atomic<int64_t> round_{0};
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t n_ = 0;
  int threads_;
  std::vector<Share> shares_;
};

// The items of one loop among the threads of a region. Each takes those of a contiguous run of its own, one after
// another, and then what others have left of theirs: on an idle machine a thread meets the same items in every loop
// over the same data, which its cache holds; where another program has one of the cores, the other threads do more. Who
// runs an item is no part of any result.
class SharedItems {
 public:
  SharedItems(int64_t n, int threads) : runs_(std::min(threads, kMostRuns)) {
    for (int r = 0; r < runs_; ++r) {
      run_[r].next.store(n * r / runs_, std::memory_order_relaxed);
      run_[r].end = n * (r + 1) / runs_;
    }
  }
  // Calls body(i) for what this thread gets.
  template <class Body>
  void Run(int thread, const Body& body) {
    for (int k = 0; k < runs_; ++k) {
      Items& run = run_[(thread + k) % runs_];
      for (int64_t i = 0; (i = run.next.fetch_add(1, std::memory_order_relaxed)) < run.end;) body(i);
    }
  }

 private:
  static constexpr int kMostRuns = 64;
  struct alignas(64) Items {
    std::atomic<int64_t> next;
    int64_t end;
  };
  int runs_;
  Items run_[kMostRuns];
};

// Calls body(i) for i in [0, n). `body` must not throw.
template <class Body>
void ParallelFor(int64_t n, const Body& body) {
  const int threads = n <= 1 ? 1 : ThreadCount();
  if (threads == 1) {  // even a region of one thread costs 0.3 us
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
  if (Team* team = Team::Current()) return team->For(n, body);
  SharedItems items(n, threads);
#pragma omp parallel num_threads(threads)
  items.Run(omp_get_thread_num(), body);
}

// Calls body(begin, end) for consecutive blocks of at most `block` of the n items.
template <class Body>
void ParallelBlocks(int64_t n, int64_t block, const Body& body) {
  const int64_t blocks = (n + block - 1) / block;
  ParallelFor(blocks, [&](int64_t b) { body(b * block, b * block + block < n ? b * block + block : n); });
}

// Calls body(i) for i in [0, n), each piece on one thread that runs the parallel loops inside it alone: for pieces too
// small to be shared well. Whoever is free takes the next. `body` must not throw, and must leave the number of threads
// alone.
template <class Body>
void ParallelPieces(int64_t n, const Body& body) {
  SharedItems pieces(n, ThreadCount());
#pragma omp parallel
  {
    SetThreadCount(1);  // of this thread, inside this region
    pieces.Run(omp_get_thread_num(), body);
  }
}

// Calls body(begin, end) once per thread for its share of the n items, or once for all of them if the work is not
// worth another thread. For work whose results do not depend on how it is cut.
template <class Body>
void ParallelShares(int64_t n, bool worth_threads, const Body& body) {
  const int64_t threads = worth_threads ? ThreadCount() : 1;
  ParallelBlocks(n, (n + threads - 1) / threads, body);
}

}  // namespace flashlm
