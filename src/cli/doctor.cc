// flashlm doctor
#include <dlfcn.h>
#include <omp.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "autograd/op_check.h"
#include "autograd/ops.h"
#include "base/error.h"
#include "base/parallel.h"
#include "cli/verbs.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/peak.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"

namespace flashlm::cli {
namespace {

// The best rate of several tries against their median: a neighbour on our cores shows as a wide gap.
double Unsteadiness(DType dtype) {
  double best = 0, worst = 1e30;
  for (int i = 0; i < 8; ++i) {
    const double rate = kernels::MeasureGemm(1024, 256, 1024, dtype, 3);
    best = std::max(best, rate);
    worst = std::min(worst, rate);
  }
  return best / worst;
}

// The library that runs parallel loops, as libgomp.so.1; "linked in" without one.
std::string OpenMpRuntime() {
  Dl_info info{};
  // A program may hold a stub of the function: its address among the loaded ones tells who defines it.
  void* const function = ::dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  if (function == nullptr || ::dladdr(function, &info) == 0 || info.dli_fname == nullptr) return "linked in";
  return std::filesystem::path(info.dli_fname).filename().string();
}

Json Machine() {
  Json json;
  json["cpu"] = kernels::CpuName();
  json["features"] = kernels::CpuFeatures();
  json["isa"] = kernels::NameOf(kernels::ActiveIsa());
  json["int8_vector_bits"] = kernels::VnniBits();
  json["threads"] = ThreadCount();
  json["processors"] = omp_get_num_procs();
  json["openmp"] = _OPENMP;
  json["openmp_runtime"] = OpenMpRuntime();
  const char *policy = std::getenv("OMP_WAIT_POLICY"), *spins = std::getenv("GOMP_SPINCOUNT");
  json["omp_wait_policy"] = policy != nullptr ? policy : fmt::format("spin {} times, then sleep", spins);
  json["gemm_library"] = kernels::GemmLibrary();
  // What this machine does not multiply has no rate: null.
  const auto peak = [](DType dtype, bool has) { return has ? Json(kernels::MeasureGemmPeak(dtype).gflops) : Json(); };
  json["gemm_gflops_f32"] = peak(DType::kF32, true);
  json["gemm_gflops_bf16"] = peak(DType::kBF16, kernels::MultipliesBf16());
  json["gemm_gops_int8"] = peak(DType::kI8, kernels::HasVnni());
  return json;
}

struct NamedWork {
  const char* name;
  kernels::Work work;
};
constexpr NamedWork kWorks[] = {
    {"train", kernels::Work::kTraining}, {"prefill", kernels::Work::kPrefill}, {"decode", kernels::Work::kDecoding}};

// What "auto" is here, and the rates that decided it.
void AddPrecision(Json& json) {
  for (const auto& [name, work] : kWorks) {
    const kernels::Rates& rates = kernels::MeasuredRates(work);
    json["precision"][name] = NameOf(kernels::ComputeType("auto", work));
    if (work == kernels::Work::kTraining) json["precision"]["train_products"] = NameOf(kernels::FasterProducts(rates));
    // Where there is nothing to choose nothing is measured.
    const auto rate = [](double measured) { return measured > 0 ? Json(measured) : Json(); };
    json["precision_rates"][name] = {{"f32", rate(rates.f32)}, {"bf16", rate(rates.bf16)}, {"int8", rate(rates.int8)}};
  }
}

void Run(bool as_json) {
  Json json = Machine();
  AddPrecision(json);
  double worst = 0;
  int failed = 0;
  for (const OpDef* op : AllOps()) {
    for (const OpCase& op_case : op->cases()) {
      const OpCheck check = CheckOp(*op, op_case);
      worst = std::max({worst, check.forward_error, check.gradient_error});
      failed += !check.passed();
      json["operations"].push_back({{"case", check.name},
                                    {"forward_error", check.forward_error},
                                    {"gradient_error", check.gradient_error},
                                    {"passed", check.passed()}});
    }
  }
  json["unsteadiness"] = Unsteadiness(DType::kF32);
  std::vector<std::string> notes;
  if (ThreadCount() == 1) notes.push_back("one thread only: check OMP_NUM_THREADS and the CPUs this process may use");
  if (json["unsteadiness"].get<double>() > 1.5) {
    notes.push_back("speed varies by more than half: other work runs on these cores, timings are not to be trusted");
  }
  json["notes"] = notes;
  if (as_json) {
    PrintJson(json);
  } else {
    for (const auto& [key, value] : json.items()) {
      if (key == "operations" || key == "notes" || key.starts_with("precision")) continue;
      Print(fmt::format("{:<18} {}\n", key,
                        value.is_string()         ? value.get<std::string>()
                        : value.is_null()         ? "not on this CPU"
                        : value.is_number_float() ? fmt::format("{:.4g}", value.get<double>())
                                                  : value.dump()));
    }
    for (const auto& [name, work] : kWorks) {
      Print(fmt::format("{:<18} {}\n", fmt::format("precision, {}", name), kernels::Explanation(work)));
    }
    Print(fmt::format("{:<18} {} cases against their scalar definition, {} failed, largest error {:.1e}\n",
                      "operations", json["operations"].size(), failed, worst));
    for (const std::string& note : notes) Print("note: " + note + "\n");
  }
  if (failed > 0) throw Error("operations differ from their definitions on this CPU", "try FLASHLM_ISA=avx2 or scalar");
}

}  // namespace

void AddDoctor(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("doctor", "what this machine is, its speed, and whether every operation is right");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "print JSON");
  verb->callback([json] { Run(*json); });
}

}  // namespace flashlm::cli
