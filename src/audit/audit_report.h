// What an audit has found, as people and programs read it.
#pragma once

#include <string>
#include <vector>

#include "audit/audit_plan.h"
#include "audit/audit_reading.h"
#include "audit/audit_training.h"

namespace flashlm {

// OUT/runs/CASE/result.json.
struct AuditResult {
  std::string name;  // of its case
  int64_t parameters = 0, tokens = 0;
  double seconds = 0;  // of training on text
  Reading reported, truth;
  int reported_offset = 1;  // the target of what is reported: 2 is the token after next
  RandomTokens random;
  double leak = 0;               // LeakOf, in nats
  std::vector<int32_t> counted;  // after 0 1 2 3
  std::string prompt, sample;
  std::vector<LossPoint> curve;  // of training on text

  bool below_chance() const;  // on random tokens, by more than is an accident
  bool counts() const;        // 4 5 6 7 ...
  // Of "random tokens", "causality", "counting": the tests that it fails.
  std::vector<std::string> CaughtBy() const;
};
Json ToJson(const AuditResult& result);
AuditResult AuditResultFromJson(const Json& json, const std::string& where);

struct Audit {
  AuditPlan plan;
  std::string source;                // of the text, as meta.json of the data calls it
  std::string machine;               // "a CPU, 2 threads, bf16"
  std::vector<AuditResult> results;  // in the order of AuditCases()
};

// {"version", "plan", "source", "machine", "random": {"vocab", "length", "ln_vocab"}, "rows": [...]}.
Json ToJson(const Audit& audit);
std::string AuditMarkdown(const Audit& audit);
// A page of its own (report/page.h).
std::string AuditHtml(const Audit& audit);
// Reported and true bits per byte as bars, for other documents.
std::string AuditSvg(const Audit& audit);

}  // namespace flashlm
