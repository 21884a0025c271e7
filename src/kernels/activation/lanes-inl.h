// Element-wise loops written once for whole vectors and for the rest of a row. Included inside kernel files
// only.
#if defined(FLASHLM_KERNELS_ACTIVATION_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_ACTIVATION_LANES_INL_H_
#undef FLASHLM_KERNELS_ACTIVATION_LANES_INL_H_
#else
#define FLASHLM_KERNELS_ACTIVATION_LANES_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

struct WholeVector {
  template <class T>
  HWY_INLINE VF Load(const T* p) const {
    return LoadF32(DF(), p);
  }
  template <class T>
  HWY_INLINE void Store(VF v, T* p) const {
    StoreF32(v, DF(), p);
  }
};

struct PartialVector {
  size_t count;
  template <class T>
  HWY_INLINE VF Load(const T* p) const {
    return LoadPartial(DF(), p, count);
  }
  template <class T>
  HWY_INLINE void Store(VF v, T* p) const {
    StorePartial(v, DF(), p, count);
  }
};

// Calls body(lanes, i) along the n elements; the body loads and stores through `lanes` at element i. Lanes
// beyond the end load as zero and are not stored.
template <class Body>
HWY_INLINE void ForLanes(size_t n, const Body& body) {
  ForVectors(
      n, [&](size_t i) { body(WholeVector{}, i); },
      [&](size_t i, size_t count) { body(PartialVector{count}, i); });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
