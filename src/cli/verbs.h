// The verbs of the command line, one file each. A verb declares its options on a subcommand and what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm::cli {

void AddData(CLI::App& app);
void AddTokenizer(CLI::App& app);
void AddTrain(CLI::App& app);
void AddCompare(CLI::App& app);
void AddScaling(CLI::App& app);
void AddAudit(CLI::App& app);
void AddReport(CLI::App& app);
void AddEval(CLI::App& app);
void AddProbe(CLI::App& app);
void AddGenerate(CLI::App& app);
void AddServe(CLI::App& app);
void AddBench(CLI::App& app);
void AddSelftest(CLI::App& app);
void AddInspect(CLI::App& app);
void AddExport(CLI::App& app);
void AddImport(CLI::App& app);
void AddDoctor(CLI::App& app);

// --set KEY=VALUE, as often as one likes, into `sets`.
CLI::Option* AddSettings(CLI::App& verb, std::vector<std::string>& sets, const std::string& description);

// Results go to stdout, everything else to stderr (base/progress.h).
void Print(const std::string& text);
void PrintJson(const Json& json);
// Ends the process with this code after the verb has returned; 0 unless set.
void SetExitCode(int code);

}  // namespace flashlm::cli
