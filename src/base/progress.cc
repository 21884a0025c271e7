#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <utility>

#include "base/listener.h"

namespace flashlm {
namespace {

bool quiet_mode = false;
bool status_shown = false;
std::atomic<int> interrupt_signal{0};

struct Listening {
  std::recursive_mutex mutex;  // a listener may set another one
  Listener listener;
};
// Never destroyed: what still runs while the process ends may say something.
Listening& Listeners() {
  static auto* const listening = new Listening;
  return *listening;
}

bool ToListener(const std::string& line) {
  Listening& listening = Listeners();
  const std::lock_guard lock(listening.mutex);
  if (!listening.listener) return false;
  const Listener now = listening.listener;  // alive until it returns, whatever it sets
  now(line);
  return true;
}

void OnSignal(int signal) {
  if (interrupt_signal.exchange(signal) != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void SetQuiet(bool quiet) { quiet_mode = quiet; }
bool Quiet() { return quiet_mode; }
bool OnTerminal() { return ::isatty(STDERR_FILENO) == 1; }

void SetListener(Listener listener) {
  const std::lock_guard lock(Listeners().mutex);
  std::swap(Listeners().listener, listener);
}

void Say(const std::string& line) {
  if (ToListener(line) || quiet_mode) return;
  fmt::print(stderr, "{}{}\n", status_shown ? "\r\x1b[K" : "", line);
  status_shown = false;
}

void ShowStatus(const std::string& line) {
  if (quiet_mode || !OnTerminal()) return;
  fmt::print(stderr, "\r\x1b[K{}", line);
  std::fflush(stderr);
  status_shown = true;
}

std::string FormatDuration(double seconds) {
  const auto whole = static_cast<long>(seconds < 0 ? 0 : seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string FormatCount(double count) {
  if (count >= 1e9) return fmt::format("{:.2f} G", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.2f} M", count / 1e6);
  if (count >= 1e3) return fmt::format("{:.1f} k", count / 1e3);
  return fmt::format("{:.0f}", count);
}

std::string FormatError(double error, int decimals) {
  return error > 0 ? fmt::format(" ± {:.{}f}", error, decimals) : "";
}

void InstallInterruptHandler() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, OnSignal) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

bool Interrupted() { return InterruptSignal() != 0; }
int InterruptSignal() { return interrupt_signal.load(); }

}  // namespace flashlm
