#include "cluster/launch.h"

#include <dlfcn.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/progress.h"

namespace flashlm {
namespace {

Ranks* current = nullptr;

// What has failed on rank 0 too is said there. A launcher ends all processes with the first one, so the others wait:
// until it has spoken, where it is known to, or might have.
constexpr std::chrono::milliseconds kFirstSpeaks(300), kFirstMaySpeak(3000);

int NumberIn(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::atoi(text);
}

// What a launcher says of its processes: how many, and which one this is. The first variable is its mark.
struct Launcher {
  const char *mark, *size, *rank;
};
constexpr std::array kLaunchers = {Launcher{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                   Launcher{"PMI_SIZE", "PMI_SIZE", "PMI_RANK"},  // MPICH, srun with PMI-2
                                   Launcher{"PMIX_RANK", "SLURM_STEP_NUM_TASKS", "PMIX_RANK"}};  // srun with PMIx

const Launcher* FindLauncher() {
  for (const Launcher& launcher : kLaunchers) {
    if (std::getenv(launcher.mark) != nullptr) return &launcher;
  }
  return nullptr;
}

// The library with MPI: beside the program, or where it is installed.
std::unique_ptr<Transport> JoinMpi() {
  namespace fs = std::filesystem;
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& place : {folder, folder.parent_path() / "lib" / "flashlm"}) {
    const fs::path path = place / "libflashlm_mpi.so";
    if (!fs::exists(path)) continue;
    // MPI loads further libraries, which look for its symbols.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    void* join = library == nullptr ? nullptr : dlsym(library, "flashlm_join_mpi");
    if (join == nullptr) {
      throw Error(fmt::format("cannot load '{}': {}", path.string(), dlerror()),
                  "is Open MPI, or its like, installed?");
    }
    return std::unique_ptr<Transport>(reinterpret_cast<Transport* (*)()>(join)());
  }
  throw UsageError(
      fmt::format("started as one of {} processes, but this flashlm was built without MPI", LaunchedRanks()),
      "install it with: tools/setup.sh mpi, then build again");
}

}  // namespace

int LaunchedRanks() {
  const Launcher* launcher = FindLauncher();
  return launcher == nullptr ? 1 : NumberIn(launcher->size, 1);
}

int LaunchedRank() {
  const Launcher* launcher = FindLauncher();
  return launcher == nullptr ? 0 : NumberIn(launcher->rank, 0);
}

Ranks* CurrentRanks() { return current; }

Membership::Membership() {
  if (LaunchedRanks() <= 1) return;
  if (LaunchedRank() > 0) SetQuiet(true);
  try {
    ranks_ = std::make_unique<Ranks>(JoinMpi());
  } catch (const Error& e) {
    if (LaunchedRank() > 0) throw SaidByAnother{e.exit_code()};
    throw;
  }
  current = ranks_.get();
}

Membership::~Membership() { current = nullptr; }

void Membership::Run(const std::function<void()>& work) {
  if (ranks_ == nullptr) return work();
  std::string line;
  int code = 1;
  try {
    work();
    ranks_->Gather("");  // until the last one is done
    return;
  } catch (const Error& e) {
    code = e.exit_code();
    if (ranks_->FailedTogether()) {
      if (ranks_->first()) throw;
      std::this_thread::sleep_for(kFirstSpeaks);
      throw SaidByAnother{code};
    }
    line = e.OneLine();
  } catch (const std::exception& e) {
    line = e.what();
  }
  if (!ranks_->first()) {
    std::this_thread::sleep_for(kFirstMaySpeak);
    line = fmt::format("{}: {}", ranks_->NameOf(ranks_->rank()), line);
  }
  ranks_->GiveUp(line, code);
}

}  // namespace flashlm
