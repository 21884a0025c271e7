// flashlm bench exchange, a part of flashlm bench.
#pragma once

#include <CLI/CLI.hpp>

namespace flashlm::cli {

void AddBenchExchange(CLI::App& bench);

}  // namespace flashlm::cli
