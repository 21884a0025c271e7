#include "base/child_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "base/error.h"
#include "base/progress.h"

namespace flashlm {
namespace {

[[noreturn]] void BeChild(int pipe, pid_t parent, const std::function<std::string()>& body) {
  // A group of its own: the terminal's Ctrl-C reaches the caller alone, which passes it on. Twice would mean "at once".
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  int code = 0;
  try {
    const std::string text = body();
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = ::write(pipe, text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) ::_exit(1);
      done += static_cast<size_t>(n);
    }
  } catch (const std::exception& e) {
    Say(e.what());
    code = 1;
  }
  std::fflush(nullptr);
  ::_exit(code);  // the caller's exit handlers are not ours to run
}

// Everything until the other end closes.
std::string ReadAll(int pipe, pid_t child) {
  std::string text;
  bool passed_on = false;
  for (;;) {
    if (Interrupted() && !passed_on) {
      ::kill(child, SIGINT);
      passed_on = true;
    }
    pollfd ready{pipe, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    char buffer[4096];
    const ssize_t n = ::read(pipe, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace

ChildResult RunInChild(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  std::fflush(nullptr);  // or both processes would write what is buffered
  const pid_t parent = ::getpid(), child = ::fork();
  if (child < 0) {
    const int code = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    throw Error(fmt::format("cannot start a process: {}", std::strerror(code)));
  }
  if (child == 0) {
    ::close(ends[0]);
    BeChild(ends[1], parent, body);
  }
  ::close(ends[1]);
  ChildResult result;
  result.text = ReadAll(ends[0], child);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    result.problem =
        fmt::format("killed by signal {}{}", WTERMSIG(status), WTERMSIG(status) == SIGKILL ? " (out of memory?)" : "");
  } else if (WEXITSTATUS(status) != 0) {
    result.problem = fmt::format("ended with exit code {}", WEXITSTATUS(status));
  }
  return result;
}

}  // namespace flashlm
