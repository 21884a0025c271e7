// What a person watches: a live line on a terminal, plain lines otherwise, nothing with --quiet. All of it goes to
// stderr, so that stdout holds only results.
#pragma once

#include <chrono>
#include <string>

namespace flashlm {

void SetQuiet(bool quiet);
bool Quiet();
// True if stderr is a terminal.
bool OnTerminal();

// A line that stays.
void Say(const std::string& line);
// A line that the next Say or ShowStatus replaces; dropped when stderr is not a terminal.
void ShowStatus(const std::string& line);

// "1:02:03" or "4:05".
std::string FormatDuration(double seconds);
// "12.3 k", "4.56 M", "7.1 G".
std::string FormatCount(double count);
// " ± 0.0031" with four decimals; nothing for an error of NaN or 0, which is that of a single document: not known.
std::string FormatError(double error, int decimals);

class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void Restart() { start_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// For work that saves something before it ends, and polls: from now on Ctrl-C, SIGTERM and SIGHUP set a flag; a second
// one ends the process at once. A signal that the process was told to ignore (nohup) stays ignored. Without this call
// the signals end the process as they always do.
void InstallInterruptHandler();
bool Interrupted();
int InterruptSignal();  // which one; 0: none

}  // namespace flashlm
