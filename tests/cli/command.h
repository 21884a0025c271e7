// Runs the flashlm binary as a user would and keeps what it said.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"

namespace flashlm {

struct CommandResult {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string out, err;
  int ErrorLines() const { return static_cast<int>(std::count(err.begin(), err.end(), '\n')); }
};

// A folder of its own under the system's temporary folder, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_cli_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class Command {
 public:
  // `file_limit`: largest file the child may write, in bytes (as a full disk would), 0: none. `input`: its stdin; a
  // FIFO is held open, so that it never ends.
  explicit Command(const std::vector<std::string>& arguments, const Scratch& scratch, int64_t file_limit = 0,
                   const std::string& input = "/dev/null");
  void Kill(int signal) const { ::kill(child_, signal); }
  // True if it has ended.
  bool WaitFor(double seconds);
  CommandResult Wait();

 private:
  std::string out_path_, err_path_;
  pid_t child_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

inline CommandResult RunCommand(const std::vector<std::string>& arguments, const Scratch& scratch,
                                int64_t file_limit = 0) {
  return Command(arguments, scratch, file_limit).Wait();
}

}  // namespace flashlm
