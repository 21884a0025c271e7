// What carries bytes between the ranks of a job: MPI (cluster/mpi), or in tests memory.
#pragma once

#include <cstddef>
#include <string>

namespace flashlm {

class Transport {
 public:
  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string host() const = 0;

  // Begin to send or receive, and return what to ask Done for. Messages between two ranks with one tag arrive in the
  // order in which they were sent; both sides name the same size, below 2^31 bytes. `data` stays as it is until then.
  virtual int Send(int to, int tag, const void* data, size_t bytes) = 0;
  virtual int Receive(int from, int tag, void* data, size_t bytes) = 0;
  // Whether it is over; once it is, the number may be given to another.
  virtual bool Done(int request) = 0;
  // Gives up a receive that has not begun.
  virtual void Cancel(int request) = 0;

  // Ends all ranks.
  [[noreturn]] virtual void Abort(int exit_code) = 0;
};

}  // namespace flashlm
