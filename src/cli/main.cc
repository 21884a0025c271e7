// flashlm: prepare data, train, evaluate and run small language models. Exit codes: 0, 1 (failed), 2 (usage), and where
// a signal ended work that had to clean up after itself 128 + its number, as the shell has it for all others.
#include <flashlm/error.h>
#include <flashlm/version.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "cluster/launch.h"

namespace flashlm::cli {
namespace {

int exit_code = 0;

// Threads that wait in libgomp spin for milliseconds by default. On a busy machine they then keep the cores from the
// very threads they wait for: with one core taken by another program, training runs at 0.6 of the speed it has when
// they spin for some 10 us, which costs nothing measurable on an idle machine (docs/lab-book.md). The library reads
// this when it is loaded, hence the new start of the program; where that fails only speed is lost.
void LimitSpinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "2000", 0);
  execv("/proc/self/exe", argv);
}

// The parser would ask for "a subcommand" where one is given that there is not.
void RefuseUnknownVerbs(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto verbs = at->get_subcommands([](const CLI::App*) { return true; });
    if (verbs.empty()) return;  // what follows are the verb's own arguments
    if (word.starts_with('-')) continue;
    std::vector<std::string> names;
    at = nullptr;
    for (const CLI::App* verb : verbs) {
      names.push_back(verb->get_name());
      if (names.back() == word) at = verb;
    }
    if (at == nullptr) throw UsageError(fmt::format("unknown verb '{}'", word), NearestHint(word, names));
  }
}

// An empty value, as an unset variable of a script leaves, would be taken for an option that was not given.
void RefuseEmptyValues(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const bool flag = option->get_items_expected_max() == 0;
    if (flag || option->check_lname("prompt")) continue;  // of which an empty one means something
    option->check([](const std::string& value) { return std::string(value.empty() ? "must not be empty" : ""); });
  }
  for (CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) RefuseEmptyValues(*verb);
}

int Run(int argc, char** argv) {
  CLI::App app{"FlashLM: small language models, trained from scratch on plain CPUs", "flashlm"};
  app.require_subcommand(1);
  app.fallthrough();
  app.option_defaults()->always_capture_default();
  const std::string revision = *Revision() == '\0' ? "" : fmt::format(" ({})", Revision());
  app.set_version_flag("--version", fmt::format("flashlm {}{}", Version(), revision), "which flashlm this is");
  bool quiet = false;
  app.add_flag("--quiet", quiet, "no progress, no notes; results only");
  AddData(app);
  AddTokenizer(app);
  AddTrain(app);
  AddCompare(app);
  AddScaling(app);
  AddAudit(app);
  AddReport(app);
  AddEval(app);
  AddProbe(app);
  AddGenerate(app);
  AddServe(app);
  AddBench(app);
  AddSelftest(app);
  AddInspect(app);
  AddExport(app);
  AddImport(app);
  AddDoctor(app);
  RefuseEmptyValues(app);
  // Callbacks run while parsing; --quiet may stand anywhere, so it is looked for first.
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--quiet") SetQuiet(true);
  }
  ReportLostMaps();
  RefuseUnknownVerbs(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      app.exit(e, text);
      Print(text.str());
      return 0;
    }
    std::string line = e.what();
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    fmt::print(stderr, "error: {} (hint: flashlm --help)\n", line);
    return 2;
  }
  return exit_code;
}

int Fail(const std::string& line, int code) {
  ShowStatus("");
  fmt::print(stderr, "error: {}\n", line);
  return Interrupted() ? 128 + InterruptSignal() : code;
}

}  // namespace

CLI::Option* AddSettings(CLI::App& verb, std::vector<std::string>& sets, const std::string& description) {
  return verb.add_option("--set", sets, description)->take_all()->allow_extra_args(false);
}

void Print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) {
    throw Error(fmt::format("cannot write the result to standard output: {}", std::strerror(errno)),
                "free some disk space, or send it elsewhere");
  }
}
void PrintJson(const Json& json) { Print(ToText(json, 2) + "\n"); }
void SetExitCode(int code) { exit_code = code; }

}  // namespace flashlm::cli

int main(int argc, char** argv) {
  flashlm::cli::LimitSpinning(argv);
  try {
    return flashlm::cli::Run(argc, argv);
  } catch (const flashlm::Error& e) {
    return flashlm::cli::Fail(e.OneLine(), e.exit_code());
  } catch (const flashlm::api::Error& e) {
    return flashlm::cli::Fail(e.OneLine(), e.kind() == flashlm::api::Error::Kind::kUsage ? 2 : 1);
  } catch (const flashlm::SaidByAnother& e) {
    return e.exit_code;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory (hint: use smaller settings or close other programs)\n");
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {} (hint: this is a defect of FlashLM; please report it)\n", e.what());
  }
  return 1;
}
