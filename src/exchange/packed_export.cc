#include "exchange/packed_export.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "data/documents.h"
#include "eval/stories.h"
#include "io/model_folder.h"
#include "train/validation.h"

namespace flashlm {
namespace {

// The text that the cost is measured on, and where it is from.
class CostText {
 public:
  CostText(const LoadedModel& loaded, const std::string& path) {
    if (!path.empty()) {
      file_.emplace(path);
      documents_.assign(file_->documents().begin(), file_->documents().end());
      name_ = path;
      return;
    }
    const std::string data = TrainingDataOf(loaded);
    if (data.empty()) return;
    validation_.emplace(data);
    documents_.assign(validation_->test().begin(), validation_->test().end());
    name_ = "the validation text of its run (" + validation_->test_name() + " part)";
  }
  std::span<const std::string_view> documents() const { return documents_; }
  const std::string& name() const { return name_; }

 private:
  std::optional<DocumentFile> file_;
  std::optional<Validation> validation_;
  std::vector<std::string_view> documents_;
  std::string name_;
};

struct Reading {
  EvalResult result;
  std::vector<double> nats;  // by document
};

Reading Read(const LoadedModel& loaded, DType dtype, std::span<const std::string_view> documents,
             const PackedOptions& options, double seconds) {
  Reading reading;
  EvalOptions eval;
  eval.interactive = options.interactive;
  eval.seconds = seconds;
  eval.on_document = [&](const DocumentScore& score) {
    double nats = 0;
    for (const float n : score.nats) nats += n;
    reading.nats.push_back(nats);
  };
  reading.result = Evaluate(*loaded.model, dtype, loaded.tokenizer, documents, eval);
  return reading;
}

// The ratio estimator's error of the difference: both readings are of the same documents.
double PairedError(const Reading& a, const Reading& b, std::span<const std::string_view> documents, double difference) {
  const auto n = static_cast<double>(a.nats.size());
  if (n < 2) return 0;
  double squares = 0, bytes = 0;
  for (size_t d = 0; d < a.nats.size(); ++d) {
    const auto size = static_cast<double>(documents[d].size());
    squares += std::pow((b.nats[d] - a.nats[d]) / std::log(2.0) - difference * size, 2);
    bytes += size;
  }
  return std::sqrt(n / (n - 1) * squares) / bytes;
}

RoundingCost Measure(const LoadedModel& exact, const LoadedModel& packed, const CostText& text,
                     const PackedOptions& options) {
  RoundingCost cost;
  cost.text = text.name();
  cost.dtype = ScoringType(exact, "auto");
  const Reading before = Read(exact, cost.dtype, text.documents(), options, options.seconds);
  const auto same = text.documents().first(before.nats.size());
  const Reading after = Read(packed, cost.dtype, same, options, 0);
  cost.exact = before.result;
  cost.packed = after.result;
  cost.bits_per_byte = after.result.bits_per_byte() - before.result.bits_per_byte();
  cost.stderr_bits_per_byte = PairedError(before, after, same, cost.bits_per_byte);
  return cost;
}

void CountBytes(const PackedFile& file, PackedReport& report) {
  int64_t ternary = 0;
  report.bytes = static_cast<uint64_t>(StampOf(file.path()).bytes);
  for (const PackedSection& section : file.sections()) {
    if (section.packing == Packing::kTernary || section.packing == Packing::kTernaryRows) {
      report.ternary_bytes += section.bytes;
      ternary += section.size();
    } else if (section.packing != Packing::kBytes) {
      report.float_bytes += section.bytes;
    } else if (section.name == kNGramFile) {
      report.ngram_bytes += section.bytes;
    }
  }
  report.other_bytes = report.bytes - report.ternary_bytes - report.float_bytes - report.ngram_bytes;
  if (ternary > 0) {
    report.bits_per_ternary_weight = 8 * static_cast<double>(report.ternary_bytes) / static_cast<double>(ternary);
  }
}

}  // namespace

PackedReport ExportPacked(const LoadedModel& loaded, const std::string& path, const PackedOptions& options) {
  const CostText text(loaded, options.text);  // first: what is wrong with it is said before anything is written
  const NGramGate* ngram = loaded.model->ngram();
  WritePackedFile(path,
                  {loaded.model->config(), AboutTraining(loaded), loaded.tokenizer.ToJson(),
                   ngram == nullptr ? "" : ngram->model().Serialize()},
                  loaded.model->bank(), options.floats);
  PackedReport report;
  report.path = path;
  report.floats = options.floats;
  CountBytes(PackedFile(path), report);
  const LoadedModel packed = LoadModel(path);
  if (text.documents().empty()) {
    report.not_measured = "the validation text of its run is not there; name a text with --text FILE";
  } else {
    report.cost = Measure(loaded, packed, text, options);
  }
  return report;
}

Json ToJson(const PackedReport& report) {
  Json json = {{"format", "packed"},
               {"out", report.path},
               {"bytes", report.bytes},
               {"ternary_bytes", report.ternary_bytes},
               {"float_bytes", report.float_bytes},
               {"ngram_bytes", report.ngram_bytes},
               {"other_bytes", report.other_bytes},
               {"bits_per_ternary_weight", report.bits_per_ternary_weight},
               {"floats", NameOf(report.floats)}};
  const bool measured = report.cost.has_value();
  const auto set = [&](const char* key, const auto& value_of) { json[key] = measured ? Json(value_of()) : Json(); };
  set("cost_bits_per_byte", [&] { return report.cost->bits_per_byte; });
  set("cost_stderr", [&] { return report.cost->stderr_bits_per_byte; });
  set("bits_per_byte", [&] { return report.cost->exact.bits_per_byte(); });
  set("packed_bits_per_byte", [&] { return report.cost->packed.bits_per_byte(); });
  set("documents", [&] { return report.cost->exact.documents; });
  set("text", [&] { return report.cost->text; });
  set("precision", [&] { return NameOf(report.cost->dtype); });
  if (!measured) json["not_measured"] = report.not_measured;
  return json;
}

std::string Describe(const PackedReport& report) {
  const auto mb = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  std::string text = fmt::format("{}: {:.2f} MB", report.path, mb(report.bytes));
  if (report.ternary_bytes > 0) {
    text += fmt::format(", of which {:.2f} MB ternary weights at {:.2f} bits", mb(report.ternary_bytes),
                        report.bits_per_ternary_weight);
  }
  text += fmt::format(", {:.2f} MB other parameters ({})", mb(report.float_bytes), NameOf(report.floats));
  if (report.ngram_bytes > 0) text += fmt::format(", {:.2f} MB n-grams", mb(report.ngram_bytes));
  text += fmt::format(", {:.2f} MB tokenizer and the rest\n", mb(report.other_bytes));
  if (!report.cost)
    return text + fmt::format("what {} costs was not measured: {}\n", NameOf(report.floats), report.not_measured);
  const RoundingCost& cost = *report.cost;
  return text + fmt::format(
                    "{} costs {:+.5f}{} bits per byte: {:.4f} instead of {:.4f} ({} documents of {}; "
                    "products in {})\n",
                    NameOf(report.floats), cost.bits_per_byte, FormatError(cost.stderr_bits_per_byte, 5),
                    cost.packed.bits_per_byte(), cost.exact.bits_per_byte(), cost.exact.documents, cost.text,
                    NameOf(cost.dtype));
}

}  // namespace flashlm
