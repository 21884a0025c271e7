#include "autograd/weight_packs.h"

#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm {

PackedLinear& WeightPacks::Get(const Param& weight, DType dtype) {
  // A model asks for its weights in the same order every time.
  for (size_t i = 0; i < entries_.size(); ++i) {
    last_ = last_ + 1 < entries_.size() ? last_ + 1 : 0;
    Entry& entry = *entries_[last_];
    if (entry.weight.offset == weight.offset && entry.weight.rows == weight.rows && entry.dtype == dtype) {
      if (entry.version != bank_.version()) Renew(entry);
      return entry.packed;
    }
  }
  last_ = entries_.size();
  entries_.push_back(std::make_unique<Entry>());
  entries_.back()->weight = weight;
  entries_.back()->dtype = dtype;
  Renew(*entries_.back());
  return entries_.back()->packed;
}

void WeightPacks::Renew(Entry& entry) {
  const Param& w = entry.weight;
  PackedLinear& packed = entry.packed;
  entry.version = bank_.version();
  if (w.quantization.ternary == kernels::Ternary::kNone) {
    if (kernels::Int8Rows kept = bank_.Int8Of(w)) {
      packed.int8.SetRows(std::move(kept), w.rows, w.cols);
      return SetValuesLater(entry);
    }
    packed.int8.SetValues(bank_.Value(w), w.rows, w.cols);
    packed.training.SetValues(bank_.Value(w), w.rows, w.cols);
    return packed.weight.SetValues(bank_.Value(w), w.rows, w.cols, entry.dtype);
  }
  packed.scales.resize(static_cast<size_t>(w.rows));
  if (bank_.HasScales(w)) {  // the values are what products see, and their signs the trits
    bank_.ScalesOf(w, packed.scales.data());
    packed.trits.SetRows(bank_.TritsOf(w), w.rows, w.cols);
    return SetValuesLater(entry);
  }
  entry.trits.resize(static_cast<size_t>(w.rows) * static_cast<size_t>(w.cols));
  entry.effective.clear();
  bank_.Ternarize(w, entry.trits.data(), packed.scales.data());
  packed.weight.SetValues([&entry] { return EffectiveOf(entry); }, w.rows, w.cols, entry.dtype);
  packed.trits.SetValues(entry.trits.data(), w.rows, w.cols);
  packed.training.SetValues(entry.trits.data(), w.rows, w.cols);
}

// Trits times scales, made when a product of floats asks for them.
const float* WeightPacks::EffectiveOf(Entry& entry) {
  const Param& w = entry.weight;
  if (entry.effective.empty()) {
    entry.effective.resize(entry.trits.size());
    kernels::Scale({entry.trits.data(), DType::kF32, w.rows, w.cols, w.cols}, entry.packed.scales.data(), nullptr,
                   {entry.effective.data(), DType::kF32, w.rows, w.cols, w.cols});
  }
  return entry.effective.data();
}

// The bank makes the values of what it keeps in another form when they are asked for.
void WeightPacks::SetValuesLater(Entry& entry) {
  const Param& w = entry.weight;
  entry.packed.weight.SetValues([this, w]() -> const float* { return bank_.Value(w); }, w.rows, w.cols, entry.dtype);
}

}  // namespace flashlm
