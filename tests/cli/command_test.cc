// The implementation of command.h, and that it tells success from failure.
#include "command.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace flashlm {

Command::Command(const std::vector<std::string>& arguments, const Scratch& scratch, int64_t file_limit,
                 const std::string& input) {
  static int counter = 0;
  out_path_ = scratch / ("out" + std::to_string(counter));
  err_path_ = scratch / ("err" + std::to_string(counter++));
  child_ = ::fork();
  if (child_ != 0) return;
  ::close(STDIN_FILENO);
  ::open(input.c_str(), input == "/dev/null" ? O_RDONLY : O_RDWR);
  ::dup2(::open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
  ::dup2(::open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
  if (file_limit > 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{static_cast<rlim_t>(file_limit), static_cast<rlim_t>(file_limit)};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  std::vector<char*> argv = {const_cast<char*>(FLASHLM_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(FLASHLM_BINARY, argv.data());
  ::_exit(127);
}

bool Command::WaitFor(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!ended_) {
    ended_ = ::waitpid(child_, &status_, WNOHANG) == child_;
    if (ended_ || std::chrono::steady_clock::now() >= end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return ended_;
}

CommandResult Command::Wait() {
  if (!ended_) ::waitpid(child_, &status_, 0);
  ended_ = true;
  CommandResult result;
  result.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  result.out = ReadFile(out_path_);
  result.err = ReadFile(err_path_);
  return result;
}

TEST(Command, TellsSuccessFromUsageErrors) {
  Scratch scratch;
  EXPECT_EQ(RunCommand({"--help"}, scratch).exit_code, 0);
  EXPECT_EQ(RunCommand({"no-such-verb"}, scratch).exit_code, 2);
}

}  // namespace flashlm
