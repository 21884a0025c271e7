// What every architecture can carry: settings of [model] that are not the architecture's own. Those that are off are
// not written to config.json, whose text stays what it was before they existed.
#pragma once

#include <string>

#include "base/fields.h"

namespace flashlm {

inline constexpr char kNGramChecksum[] = "ngram_sha256";  // in config.json, of the counted model's file

struct ModelExtras {
  int ngram_order = 0;
  int ngram_min_count = 2;
  int64_t ngram_tokens = 20'000'000;
  std::string ngram_sha256;

  void VisitFields(FieldVisitor& v) {
    v.Int("ngram_order", ngram_order, 0, 5, "a counted model of n-grams of up to so many tokens beside it; 0: none");
    v.Int("ngram_min_count", ngram_min_count, 1, 255,
          "n-grams of 4 and more tokens that are seen less often are pruned");
    v.Int64("ngram_tokens", ngram_tokens, 1, int64_t{1} << 31, "most training tokens that are counted");
    v.Text(kNGramChecksum, ngram_sha256, {}, "what was counted; set by training");
  }
  // Adds those that are on.
  void Write(Json& fields) const;
};

// Removes them from a model's fields. Throws UsageError for wrong values.
ModelExtras TakeExtras(Json& fields);
// Of a configuration as it is in config.json, or in RunConfig::model.
ModelExtras ExtrasOf(Json config);

}  // namespace flashlm
