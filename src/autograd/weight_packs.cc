#include "autograd/weight_packs.h"

#include "base/parallel.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm {

struct WeightPacks::Entry {
  Param weight;
  DType dtype;
  std::mutex renewing = {};
  std::atomic<uint64_t> version = 0;  // of the bank's values; 0: never packed
  std::atomic<bool> asked = false;    // for, since the last Renew
  PackedLinear packed = {};
  std::vector<float> trits = {}, effective = {};
  kernels::MadeOnce has_effective = {};

  bool Is(const Param& other, DType type) const {
    return weight.offset == other.offset && weight.rows == other.rows && dtype == type;
  }
};

WeightPacks::WeightPacks(const ParamBank& bank) : bank_(bank) {}
WeightPacks::~WeightPacks() = default;

PackedLinear& WeightPacks::Reader::Get(const Param& weight, DType dtype) {
  Entry* entry = nullptr;
  for (size_t i = 0; i < asked_.size() && entry == nullptr; ++i) {
    last_ = last_ + 1 < asked_.size() ? last_ + 1 : 0;
    if (asked_[last_]->Is(weight, dtype)) entry = asked_[last_];
  }
  if (entry == nullptr) {
    last_ = asked_.size();
    entry = asked_.emplace_back(&packs_.Find(weight, dtype));
  }
  if (!entry->asked.load(std::memory_order_relaxed)) entry->asked.store(true, std::memory_order_relaxed);
  if (entry->version.load(std::memory_order_acquire) != packs_.bank_.version()) packs_.Update(*entry);
  return entry->packed;
}

WeightPacks::Entry& WeightPacks::Find(const Param& weight, DType dtype) {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry->Is(weight, dtype)) return *entry;
  }
  return *entries_.emplace_back(new Entry{weight, dtype});
}

void WeightPacks::Update(Entry& entry) {
  const std::lock_guard lock(entry.renewing);
  if (entry.version.load(std::memory_order_relaxed) == bank_.version()) return;
  SetValues(entry);
  entry.version.store(bank_.version(), std::memory_order_release);
}

void WeightPacks::Renew() {
  // What fails for want of memory is tried again, and then said, by the product that wants it.
  const auto for_pieces = [](int64_t n, const auto& make) {
    ParallelPieces(n, [&](int64_t i) {
      try {
        make(i);
      } catch (const std::exception&) {
      }
    });
  };
  const auto entries = static_cast<int64_t>(entries_.size());
  for_pieces(entries, [&](int64_t i) {
    Entry& entry = *entries_[static_cast<size_t>(i)];
    if (entry.asked.exchange(false, std::memory_order_relaxed)) Update(entry);
  });
  // Each form by itself, so that threads have more to share.
  constexpr int64_t kForms = 3;
  for_pieces(kForms * entries, [&](int64_t i) {
    Entry& entry = *entries_[static_cast<size_t>(i / kForms)];
    if (entry.version.load(std::memory_order_relaxed) != bank_.version()) return;
    PackedLinear& packed = entry.packed;
    if (i % kForms == 1) return packed.training.RenewForward();
    if (i % kForms == 2) return packed.training.RenewInputGradient();
    packed.weight.Renew();
    packed.trits.Renew();
  });
}

void WeightPacks::SetValues(Entry& entry) {
  const Param& w = entry.weight;
  PackedLinear& packed = entry.packed;
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
  entry.has_effective.Forget();
  bank_.Ternarize(w, entry.trits.data(), packed.scales.data());
  packed.weight.SetValues([&entry] { return EffectiveOf(entry); }, w.rows, w.cols, entry.dtype);
  packed.trits.SetValues(entry.trits.data(), w.rows, w.cols);
  packed.training.SetValues(entry.trits.data(), w.rows, w.cols);
}

// Trits times scales, made when a product of floats asks for them.
const float* WeightPacks::EffectiveOf(Entry& entry) {
  const Param& w = entry.weight;
  entry.has_effective.Want([&] {
    entry.effective.resize(entry.trits.size());
    kernels::Scale({entry.trits.data(), DType::kF32, w.rows, w.cols, w.cols}, entry.packed.scales.data(), nullptr,
                   {entry.effective.data(), DType::kF32, w.rows, w.cols, w.cols});
  });
  return entry.effective.data();
}

// The bank makes the values of what it keeps in another form when they are asked for.
void WeightPacks::SetValuesLater(Entry& entry) {
  const Param& w = entry.weight;
  entry.packed.weight.SetValues([this, w]() -> const float* { return bank_.Value(w); }, w.rows, w.cols, entry.dtype);
}

}  // namespace flashlm
