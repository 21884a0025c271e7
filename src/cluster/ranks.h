// The processes that share a run, as one of them sees them. All calls that exchange something are made by all ranks, in
// the same order (on a channel), and by one thread at a time. Whoever waits for a rank that stays silent for too long
// ends the job with a line that names it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/transport.h"

namespace flashlm {

class Ranks {
 public:
  // Exchanges hosts and CPUs.
  explicit Ranks(std::unique_ptr<Transport> transport);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return transport_->rank(); }
  int size() const { return transport_->size(); }
  bool first() const { return rank() == 0; }  // that writes and decides
  // "rank 1 on HOST".
  std::string NameOf(int rank) const;
  int HostCount() const;
  // "4 ranks on 2 hosts (a, b)".
  std::string Describe() const;
  // Compute threads of all ranks together; those on one host that may use the same CPUs count once.
  int Threads() const { return threads_; }

  // For how long a silent rank is waited for.
  void SetPatience(double seconds) { patience_ = seconds; }

  // A part of an array, in bytes.
  struct Part {
    size_t begin, bytes;
  };
  // Each rank has its part_of(rank) of the array `all`; afterwards all have all parts.
  void ShareParts(void* all, const std::function<Part(int rank)>& part_of);
  // What rank 0 has, to all.
  void Broadcast(void* data, size_t bytes);
  std::string Broadcast(const std::string& text);
  // What each has, by rank.
  std::vector<std::string> Gather(const std::string& own);
  // Runs `work`, which exchanges nothing and may take as long as it likes, on every rank. What fails on one fails on
  // all: the error of the first that has one, with its name if others had none.
  void Together(const std::function<void()>& work);
  // Whether it has thrown: all ranks know of the failure.
  bool FailedTogether() const { return failed_together_; }

  // Messages under way. Those between two ranks on one channel, from 0 on, arrive in the order in which they were sent.
  void Send(int to, const void* data, size_t bytes, int channel = 0);
  void Receive(int from, void* data, size_t bytes, int channel = 0);
  // Waits for all of them.
  void Wait();
  // Moves them on without waiting.
  void Progress() { Look(); }
  // How many are not over, as far as was looked.
  size_t under_way() const { return messages_.size(); }

  int64_t bytes_sent() const { return bytes_sent_; }

  // While one lives, this rank does something that the others do not and may be waited for longer: a thread tells them
  // that it is alive, as long as the one that made this uses CPU time: what waits for a disk that does not answer is
  // silent. No message is sent or received meanwhile.
  class Busy {
   public:
    explicit Busy(Ranks* ranks);  // null: nothing to do
    ~Busy();
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    void Beat();

    // CPU time that the thread which made this has used.
    double SecondsWorked() const;

    Ranks* ranks_;
    clockid_t clock_{};  // of that thread
    std::mutex mutex_;
    std::condition_variable wake_;
    bool over_ = false;
    std::thread thread_;
  };

  // Says why and ends the job.
  [[noreturn]] void GiveUp(const std::string& line, int exit_code);

 private:
  struct Message {
    int request, peer;
    bool receives;
  };

  void Look();  // at what is under way and at signs of life
  [[noreturn]] void GiveUpSilent();
  void CountThreads(const std::vector<std::string>& facts);

  std::unique_ptr<Transport> transport_;
  std::vector<std::string> hosts_;
  int threads_ = 1;
  double patience_ = 60;
  bool failed_together_ = false;
  int64_t bytes_sent_ = 0;
  std::vector<Message> messages_;  // under way
  std::vector<int> beats_;         // by rank: the receive of its next sign of life
  std::vector<char> heard_;        // what these write
  bool alive_ = false;             // somebody has given one since this was last set to false
};

// Runs `work` as Ranks::Together; where this process is alone it just runs it.
void Together(Ranks* ranks, const std::function<void()>& work);

}  // namespace flashlm
