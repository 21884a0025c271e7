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
  entry.version = bank_.version();
  if (w.quantization.ternary == kernels::Ternary::kNone) {
    entry.packed.int8.SetValues(bank_.Value(w), w.rows, w.cols);
    entry.packed.training.SetValues(bank_.Value(w), w.rows, w.cols);
    return entry.packed.weight.SetValues(bank_.Value(w), w.rows, w.cols, entry.dtype);
  }
  entry.packed.scales.resize(static_cast<size_t>(w.rows));
  if (bank_.HasScales(w)) {  // the values are what products see, and their signs the trits
    bank_.ScalesOf(w, entry.packed.scales.data());
    entry.packed.int8.SetValues(bank_.Value(w), w.rows, w.cols);
    entry.packed.weight.SetValues(bank_.Value(w), w.rows, w.cols, entry.dtype);
    return entry.packed.trits.SetValues(bank_.Value(w), w.rows, w.cols);
  }
  const size_t size = static_cast<size_t>(w.rows) * static_cast<size_t>(w.cols);
  entry.trits.resize(size);
  entry.effective.resize(size);
  bank_.Ternarize(w, entry.trits.data(), entry.packed.scales.data());
  kernels::Scale({entry.trits.data(), DType::kF32, w.rows, w.cols, w.cols}, entry.packed.scales.data(), nullptr,
                 {entry.effective.data(), DType::kF32, w.rows, w.cols, w.cols});
  entry.packed.int8.SetValues(entry.effective.data(), w.rows, w.cols);
  entry.packed.weight.SetValues(entry.effective.data(), w.rows, w.cols, entry.dtype);
  entry.packed.trits.SetValues(entry.trits.data(), w.rows, w.cols);
}

}  // namespace flashlm
