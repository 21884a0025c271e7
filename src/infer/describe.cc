#include "infer/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace flashlm {
namespace {

const char* NameOf(kernels::Ternary kind) {
  switch (kind) {
    case kernels::Ternary::kNone:
      return "none";
    case kernels::Ternary::kMean:
      return "mean";
    case kernels::Ternary::kMatrix:
      return "matrix";
    case kernels::Ternary::kRow:
      return "row";
    case kernels::Ternary::kScaleGradient:
      return "matrix, trained scale";
  }
  return "?";
}

using Counts = std::array<int64_t, 3>;  // of -1, 0, +1

Json Fractions(const Counts& counts) {
  const auto all = static_cast<double>(counts[0] + counts[1] + counts[2]);
  if (all == 0) return nullptr;
  return {static_cast<double>(counts[0]) / all, static_cast<double>(counts[1]) / all,
          static_cast<double>(counts[2]) / all};
}

Counts CountTrits(const ParamBank& bank, const ParamInfo& info) {
  const int cols = info.shape.back(), rows = static_cast<int>(info.size / cols);
  std::vector<float> trits(static_cast<size_t>(info.size)), scales(static_cast<size_t>(rows));
  bank.Ternarize({info.offset, rows, cols, info.quantization}, trits.data(), scales.data());
  Counts counts{};
  for (const float trit : trits) ++counts[static_cast<int>(trit) + 1];
  return counts;
}

std::string Percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

std::string FractionsText(const Json& fractions) {
  if (!fractions.is_array()) return "";
  return fmt::format("{:>4} /{:>5} /{:>5}", Percent(fractions[0].get<double>()), Percent(fractions[1].get<double>()),
                     Percent(fractions[2].get<double>()));
}

std::string ShapeText(const Json& shape) {
  std::string text;
  for (const Json& n : shape) text += fmt::format("{}{}", text.empty() ? "" : " x ", n.get<int>());
  return text;
}

Json DescribeNGrams(const NGramModel& ngrams) {
  Json counts = Json::array();
  for (int n = 1; n <= ngrams.order(); ++n) counts.push_back(ngrams.NGrams(n));
  return {{"order", ngrams.order()},
          {"counted_tokens", ngrams.counted_tokens()},
          {"counts", counts},
          {"file_bytes", ngrams.Serialize().size()},
          {"memory_mb", static_cast<double>(ngrams.MemoryBytes()) / 1048576}};
}

}  // namespace

Json TernaryFractions(const ParamBank& bank) {
  Counts all{};
  for (const ParamInfo& info : bank.infos()) {
    if (info.quantization.ternary == kernels::Ternary::kNone) continue;
    const Counts counts = CountTrits(bank, info);
    for (size_t i = 0; i < all.size(); ++i) all[i] += counts[i];
  }
  return Fractions(all);
}

Json DescribeModel(const Model& model, int64_t state_floats) {
  const ParamBank& bank = model.bank();
  Json json, tensors = Json::array();
  Counts all{};
  int64_t bytes = 0, packed = 0;
  int64_t finders = 0;  // of the gradients of tables' rows: what a step reads of them comes on top
  for (const ParamInfo& info : bank.infos()) {
    Json tensor = {
        {"name", info.name}, {"shape", info.shape}, {"parameters", info.size}, {"role", flashlm::NameOf(info.role)}};
    const int64_t full = info.size * 4;
    int64_t small = full;
    if (info.quantization.ternary != kernels::Ternary::kNone) {
      const bool by_row = info.quantization.ternary == kernels::Ternary::kRow;
      const int64_t scales = by_row ? info.size / info.shape.back() : 1;
      small = (info.size + 3) / 4 + 4 * scales;
      const Counts counts = CountTrits(bank, info);
      for (size_t i = 0; i < all.size(); ++i) all[i] += counts[i];
      tensor["ternary"] = NameOf(info.quantization.ternary);
      tensor["scales"] = scales;
      tensor["ternary_fractions"] = Fractions(counts);
    }
    tensor["bytes"] = full;
    tensor["packed_bytes"] = small;
    bytes += full;
    packed += small;
    tensors.push_back(std::move(tensor));
  }
  for (const auto& table : bank.tables()) {
    const int64_t full = table->size() * 4;
    tensors.push_back({{"name", table->name()},
                       {"shape", {table->rows(), table->cols()}},
                       {"parameters", table->size()},
                       {"role", "table"},
                       {"bytes", full},
                       {"packed_bytes", full}});
    bytes += full;
    packed += full;
    finders += table->rows();
  }
  const auto mb = [](int64_t floats) { return 4 * static_cast<double>(floats) / 1048576; };
  json["architecture"] = model.architecture();
  json["parameters"] = bank.ParameterCount();
  json["table_parameters"] = bank.TableCount();
  json["ternary_parameters"] = bank.TernaryCount();
  json["ternary_share"] = static_cast<double>(bank.TernaryCount()) / static_cast<double>(bank.ParameterCount());
  json["ternary_fractions"] = Fractions(all);
  json["bytes"] = bytes;
  json["packed_bytes"] = packed;
  json["memory_mb"] = {{"parameters", mb(bank.size() + bank.TableCount())},
                       {"tables", mb(bank.TableCount())},
                       {"training", mb(2 * bank.size() + bank.TableCount() + finders + state_floats)}};
  json["training_flops_per_token"] = model.TrainingFlopsPerToken();
  if (model.ngram() != nullptr) json["ngrams"] = DescribeNGrams(model.ngram()->model());
  json["config"] = model.config();
  json["tensors"] = std::move(tensors);
  return json;
}

std::string DescriptionTable(const Json& description) {
  const bool ternary = description.at("ternary_parameters") != 0;
  std::vector<std::vector<std::string>> lines = {{"tensor", "shape", "parameters", "role", "bytes"}};
  if (ternary) lines[0].insert(lines[0].end(), {"packed", "% -1 / 0 / +1"});
  for (const Json& tensor : description.at("tensors")) {
    lines.push_back({tensor.at("name").get<std::string>(), ShapeText(tensor.at("shape")),
                     tensor.at("parameters").dump(), tensor.at("role").get<std::string>(), tensor.at("bytes").dump()});
    if (!ternary) continue;
    lines.back().push_back(tensor.at("packed_bytes").dump());
    lines.back().push_back(FractionsText(tensor.value("ternary_fractions", Json())));
  }
  std::vector<size_t> widths(lines[0].size());
  for (const auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  std::string table;
  for (const auto& line : lines) {
    std::string row;
    for (size_t c = 0; c < line.size(); ++c) {
      const bool words = c == 0 || c == 3;  // the rest are numbers
      row += words ? fmt::format("{:<{}}  ", line[c], widths[c]) : fmt::format("{:>{}}  ", line[c], widths[c]);
    }
    table += row.substr(0, row.find_last_not_of(' ') + 1) + '\n';
  }
  const auto megabytes = [&](const char* key) { return description.at(key).get<double>() / 1048576; };
  table += fmt::format("\n{}: {} parameters, {:.1f} MFLOP per trained token\n",
                       description.at("architecture").get<std::string>(), description.at("parameters").dump(),
                       description.at("training_flops_per_token").get<double>() / 1e6);
  if (const Json ngrams = description.value("ngrams", Json()); ngrams.is_object()) {
    table += fmt::format("n-grams of 1 to {} tokens: {} counted in {} tokens, {:.1f} MB on disk, {:.1f} MB in memory\n",
                         ngrams.at("order").dump(), ngrams.at("counts").dump(), ngrams.at("counted_tokens").dump(),
                         ngrams.at("file_bytes").get<double>() / 1048576, ngrams.at("memory_mb").get<double>());
  }
  if (ternary) {
    table += fmt::format(
        "{} of them ternary ({:.1f} %), {} %: -1 / 0 / +1\n", description.at("ternary_parameters").dump(),
        100 * description.at("ternary_share").get<double>(), FractionsText(description.at("ternary_fractions")));
  }
  table += fmt::format("{:.1f} MB as f32", megabytes("bytes"));
  if (ternary) table += fmt::format(", {:.1f} MB with ternary weights in 2 bits", megabytes("packed_bytes"));
  return table + fmt::format(", {:.1f} MB with gradients and optimiser\n",
                             description.at("memory_mb").at("training").get<double>());
}

}  // namespace flashlm
