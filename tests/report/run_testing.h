// Run folders for tests of reports.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/json.h"

namespace flashlm {

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_report_XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~ReportTest() override { std::filesystem::remove_all(root_); }

  std::string Folder(const std::string& name) const {
    std::filesystem::create_directories(root_ + "/" + name);
    return root_ + "/" + name;
  }
  static void Write(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }

  static Json Step(int64_t step) {
    Json line;
    line["step"] = step;
    line["tokens"] = 2048 * step;
    line["cross_entropy"] = 2.0 + 6.0 / static_cast<double>(step) + 0.01 * static_cast<double>(step % 7);
    line["bits_per_byte"] = 0.7 + 2.0 / static_cast<double>(step) + 0.003 * static_cast<double>(step % 7);
    line["auxiliary"] = 0.0;
    line["value_loss"] = 0.5;
    line["grad_norm"] = 1.0 + static_cast<double>(step % 5);
    line["lr_factor"] = 1.0;
    line["lr"] = step < 10 ? 0.001 * static_cast<double>(step) : 0.01;
    line["verdict"] = step == 3 ? "skipped" : "applied";
    line["tokens_per_s"] = 20000.0 + static_cast<double>(step % 11);
    line["seconds"] = 0.1 * static_cast<double>(step);
    return line;
  }
  static Json Evaluation(int64_t step) {
    return {{"eval_step", step},
            {"tokens", 2048 * step},
            {"part", "dev"},
            {"eval", {{"nats_per_token", 2.5}, {"bits_per_byte", 0.9 - 0.001 * static_cast<double>(step)}}},
            {"seconds", 0.1 * static_cast<double>(step)}};
  }

  // A run of so many steps, evaluated after the 20th and the last; `change` may change a step's line.
  template <class Change>
  std::string MakeRun(const std::string& name, int64_t steps, Change change) const {
    const std::string folder = Folder(name);
    std::string log;
    for (int64_t step = 1; step <= steps; ++step) {
      Json line = Step(step);
      change(line);
      log += line.dump() + "\n";
      if (step == 20 || step == steps) log += Evaluation(step).dump() + "\n";
    }
    Write(folder + "/log.jsonl", log);
    Write(folder + "/config.toml",
          "preset = 'gpt'\nseed = 1\n[budget]\nkind = 'steps'\namount = 100.0\n[model]\narchitecture = 'gpt'\n");
    Write(folder + "/results.json",
          R"({"architecture": "gpt", "params": 1234567, "tokens": 81920, "steps": 40, "seconds": 4, "epochs": null,
          "val_bits_per_byte": 0.8123, "stderr": 0.004, "final_ppl": 9.5, "best_bits_per_byte": 0.8, "cpu": "a CPU",
          "threads": 2, "precision": "bf16"})");
    Write(folder + "/samples.txt", "== step 20\nOnce there\n\nwas a cat\n\n== step 40\nOnce upon a time\n\n");
    return folder;
  }
  std::string MakeRun(const std::string& name, int64_t steps = 40) const {
    return MakeRun(name, steps, [](Json&) {});
  }

  std::string root_;
};

}  // namespace flashlm
