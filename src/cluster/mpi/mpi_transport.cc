// MPI, for the program alone and loaded only by a rank of several (cluster/launch.h): a library beside the binary,
// since to be linked with MPI costs every start of the program some 15 ms.
#define OMPI_SKIP_MPICXX 1  // bindings that nobody needs, of which the library is often missing
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cluster/transport.h"

namespace flashlm {
namespace {

class MpiTransport final : public Transport {
 public:
  MpiTransport() {
    // Open MPI's receiver asks for the pieces of a large message one by one, and over TCP what asks waits behind all
    // that goes the other way on the same connection: half of a link's rate was lost where both sides send. Two
    // connections have a way around. What `mpirun --mca` says counts; another MPI does not look at it.
    ::setenv("OMPI_MCA_btl_tcp_links", "2", /*overwrite=*/0);
    // Any thread of the process, never two at once.
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    if (provided < MPI_THREAD_SERIALIZED) {
      std::fputs("error: this MPI takes calls of one thread only (hint: another one, or another build of it)\n",
                 stderr);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    char name[MPI_MAX_PROCESSOR_NAME];
    int length = 0;
    MPI_Get_processor_name(name, &length);
    host_.assign(name, static_cast<size_t>(length));
  }
  ~MpiTransport() override { MPI_Finalize(); }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string host() const override { return host_; }

  int Send(int to, int tag, const void* data, size_t bytes) override {
    const int request = NewRequest();
    MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, tag, MPI_COMM_WORLD, &At(request));
    return request;
  }
  int Receive(int from, int tag, void* data, size_t bytes) override {
    const int request = NewRequest();
    MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, tag, MPI_COMM_WORLD, &At(request));
    return request;
  }
  bool Done(int request) override {
    int done = 0;
    MPI_Test(&At(request), &done, MPI_STATUS_IGNORE);
    if (done != 0) free_.push_back(request);
    return done != 0;
  }
  void Cancel(int request) override {
    MPI_Cancel(&At(request));
    MPI_Wait(&At(request), MPI_STATUS_IGNORE);
    free_.push_back(request);
  }
  [[noreturn]] void Abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    __builtin_trap();  // MPI_Abort does not return
  }

 private:
  MPI_Request& At(int request) { return requests_[static_cast<size_t>(request)]; }
  int NewRequest() {
    if (free_.empty()) {
      requests_.push_back(MPI_REQUEST_NULL);
      return static_cast<int>(requests_.size()) - 1;
    }
    const int request = free_.back();
    free_.pop_back();
    return request;
  }

  int rank_ = 0, size_ = 1;
  std::string host_;
  std::vector<MPI_Request> requests_;
  std::vector<int> free_;
};

}  // namespace
}  // namespace flashlm

extern "C" __attribute__((visibility("default"))) flashlm::Transport* flashlm_join_mpi() {
  return new flashlm::MpiTransport;
}
