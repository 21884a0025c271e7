#include "models/extras.h"

#include "base/error.h"

namespace flashlm {

void ModelExtras::Write(Json& fields) const {
  if (ngram_order == 0) return;
  fields.update(FieldsToJson(*this));
  if (ngram_sha256.empty()) fields.erase(kNGramChecksum);
}

ModelExtras TakeExtras(Json& fields) {
  ModelExtras extras;
  TakeFields(fields, "model", extras);
  if (extras.ngram_order == 1) {
    throw UsageError("model.ngram_order = 1: single tokens say nothing of what follows them", "2 to 5, or 0 for none");
  }
  return extras;
}

ModelExtras ExtrasOf(Json config) { return TakeExtras(config); }

}  // namespace flashlm
