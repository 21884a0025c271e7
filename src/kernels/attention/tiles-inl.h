// The matrix products of attention, on tiles held in registers. Included inside kernel files only.
//
// The band of a query tile is cut at multiples of kTile keys, half a vector: with whole vectors of 16 keys, 8
// queries that see 32 keys each would compute 48 columns, with half vectors they compute 40.
#if defined(FLASHLM_KERNELS_ATTENTION_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_ATTENTION_TILES_INL_H_
#undef FLASHLM_KERNELS_ATTENTION_TILES_INL_H_
#else
#define FLASHLM_KERNELS_ATTENTION_TILES_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(DF()));
constexpr int64_t kTile = kLanes > 1 ? kLanes / 2 : 1;  // queries of a score tile
constexpr int64_t kRows = kTile < 4 ? kTile : 4;        // rows of a product tile
constexpr int64_t kVectors = kLanes == 16 ? 4 : 2;      // its columns: 16 accumulators of AVX-512's 32, 8 of AVX2's 16

constexpr int64_t RoundDown(int64_t n, int64_t to) { return n / to * to; }
constexpr int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// A panel is kLanes rows of a matrix, transposed: [depth, kLanes]. Panel p of a matrix starts at p * depth *
// kLanes. Each panel being contiguous keeps the rows of a tile out of each other's cache sets, where a plain
// transposed matrix of 256 or 1,024 keys would put them.
HWY_INLINE void TransposeToPanel(const float* rows, int64_t row_stride, int64_t depth, float* HWY_RESTRICT panel) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t c = 0; c < depth; ++c) panel[c] = rows[c];
  (void)row_stride;
#else
  const hn::CappedTag<float, 4> d4;
  const hn::Repartition<uint64_t, decltype(d4)> d2;
  const auto pair = [&](auto v) { return hn::BitCast(d2, v); };
  for (int64_t r = 0; r < kLanes; r += 4) {
    const float* x = rows + r * row_stride;
    float* to = panel + r;
    int64_t c = 0;
    for (; c + 4 <= depth; c += 4) {
      const auto x0 = hn::LoadU(d4, x + c), x1 = hn::LoadU(d4, x + row_stride + c);
      const auto x2 = hn::LoadU(d4, x + 2 * row_stride + c), x3 = hn::LoadU(d4, x + 3 * row_stride + c);
      const auto low01 = pair(hn::InterleaveLower(d4, x0, x1)), low23 = pair(hn::InterleaveLower(d4, x2, x3));
      const auto high01 = pair(hn::InterleaveUpper(d4, x0, x1)), high23 = pair(hn::InterleaveUpper(d4, x2, x3));
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, to + c * kLanes);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, to + (c + 1) * kLanes);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, to + (c + 2) * kLanes);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, to + (c + 3) * kLanes);
    }
    for (; c < depth; ++c) {
      for (int64_t i = 0; i < 4; ++i) to[c * kLanes + i] = x[i * row_stride + c];
    }
  }
#endif
}

// out[i][0, n) = a[i] . keys for kTile rows a and n = kHead * kTile + kFull * kLanes + kTail * kTile keys:
// the upper half of a panel, whole panels, the lower half of one. `panel` is where the first key stands in
// its panel.
template <int kHead, int kFull, int kTail>
HWY_NOINLINE void ScoreTile(const float* a, int64_t a_stride, const float* panel, int64_t depth,
                            float* HWY_RESTRICT out, int64_t out_stride) {
  const DF d;
  const hn::Half<DF> dh;
  using VH = hn::Vec<decltype(dh)>;
  constexpr int64_t kFulls = std::max(kFull, 1);
  const int64_t panel_size = depth * kLanes;
  const float* full_panel = panel + kHead * (panel_size - kTile);
  const float* tail_panel = full_panel + kFull * panel_size;
  VF full[kTile][kFulls];
  VH head[kTile], tail[kTile];
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    head[i] = tail[i] = hn::Zero(dh);
#pragma GCC unroll 4
    for (int j = 0; j < kFulls; ++j) full[i][j] = hn::Zero(d);
  }
  for (int64_t c = 0; c < depth; ++c) {
    VF keys[kFulls];
    VH head_keys, tail_keys;
    if constexpr (kHead) head_keys = hn::LoadU(dh, panel + c * kLanes);
    if constexpr (kTail) tail_keys = hn::LoadU(dh, tail_panel + c * kLanes);
#pragma GCC unroll 4
    for (int j = 0; j < kFull; ++j) keys[j] = hn::LoadU(d, full_panel + j * panel_size + c * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      const float x = a[i * a_stride + c];
      if constexpr (kHead) head[i] = hn::MulAdd(hn::Set(dh, x), head_keys, head[i]);
      if constexpr (kTail) tail[i] = hn::MulAdd(hn::Set(dh, x), tail_keys, tail[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kFull; ++j) full[i][j] = hn::MulAdd(hn::Set(d, x), keys[j], full[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    float* row = out + i * out_stride;
    if constexpr (kHead) hn::StoreU(head[i], dh, row);
#pragma GCC unroll 4
    for (int j = 0; j < kFull; ++j) hn::StoreU(full[i][j], d, row + kHead * kTile + j * kLanes);
    if constexpr (kTail) hn::StoreU(tail[i], dh, row + kHead * kTile + kFull * kLanes);
  }
}

// out[i][s - begin] = a[i] . key s for kTile rows a and keys [begin, end), multiples of kTile.
HWY_INLINE void ScoreBand(const float* a, int64_t a_stride, const float* panels, int64_t begin, int64_t end,
                          int64_t depth, float* out, int64_t out_stride) {
  using Tile = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t);
  static constexpr Tile kTiles[2][3][2] = {{{nullptr, ScoreTile<0, 0, 1>},
                                            {ScoreTile<0, 1, 0>, ScoreTile<0, 1, 1>},
                                            {ScoreTile<0, 2, 0>, ScoreTile<0, 2, 1>}},
                                           {{ScoreTile<1, 0, 0>, ScoreTile<1, 0, 0>},
                                            {ScoreTile<1, 1, 0>, ScoreTile<1, 1, 0>},
                                            {ScoreTile<1, 2, 0>, ScoreTile<1, 2, 0>}}};
  for (int64_t s = begin; s < end;) {
    const float* panel = panels + s / kLanes * depth * kLanes + s % kLanes;
    const int64_t head = s % kLanes != 0 ? 1 : 0;
    const int64_t left = end - s - head * kTile;
    if (head == 0 && left >= 3 * kLanes) {
      ScoreTile<0, 3, 0>(a, a_stride, panel, depth, out + (s - begin), out_stride);
      s += 3 * kLanes;
      continue;
    }
    const int64_t full = left >= 2 * kLanes ? 2 : left / kLanes;
    const int64_t tail = head == 0 && left - full * kLanes >= kTile ? 1 : 0;
    kTiles[head][full][tail](a, a_stride, panel, depth, out + (s - begin), out_stride);
    s += (head + tail) * kTile + full * kLanes;
  }
}

// An operand whose element (row, k) is at data[row * row_stride + k * k_stride], one of the strides being 1.
struct ProductLeft {
  const float* data;
  int64_t row_stride, k_stride;
};

template <int kWidth>
HWY_NOINLINE void ProductTile(ProductLeft a, const float* b, int64_t b_stride, int64_t depth, float* HWY_RESTRICT c,
                              int64_t c_stride, bool accumulate) {
  const DF d;
  VF sum[kRows][kWidth];
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; ++j) sum[i][j] = hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    VF row[kWidth];
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; ++j) row[j] = hn::LoadU(d, b + k * b_stride + j * kLanes);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const VF x = hn::Set(d, a.data[i * a.row_stride + k * a.k_stride]);
#pragma GCC unroll 4
      for (int j = 0; j < kWidth; ++j) sum[i][j] = hn::MulAdd(x, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; ++j) {
      float* to = c + i * c_stride + j * kLanes;
      if (accumulate) sum[i][j] = hn::Add(sum[i][j], hn::LoadU(d, to));
      hn::StoreU(sum[i][j], d, to);
    }
  }
}

// c[kRows, width] = (accumulate ? c : 0) + a[kRows, depth] b[depth, width]; width a multiple of kLanes, the
// row stride of b and c.
HWY_INLINE void ProductRows(ProductLeft a, const float* b, int64_t width, int64_t depth, float* c, bool accumulate) {
  int64_t vectors = width / kLanes;
  // Even shares: five vectors as 3 + 2, since one alone has too few accumulators to hide the latency of an
  // FMA.
  for (int64_t strips = (vectors + kVectors - 1) / kVectors; strips > 0; --strips) {
    const int64_t take = (vectors + strips - 1) / strips;
    switch (take) {
      case 1:
        ProductTile<1>(a, b, width, depth, c, width, accumulate);
        break;
      case 2:
        ProductTile<2>(a, b, width, depth, c, width, accumulate);
        break;
      case 3:
        ProductTile<3>(a, b, width, depth, c, width, accumulate);
        break;
      default:
        ProductTile<4>(a, b, width, depth, c, width, accumulate);
        break;
    }
    vectors -= take;
    b += take * kLanes;
    c += take * kLanes;
  }
}

// The part [first, last) of a row that a query sees, as masks of the vectors in which it is walked.
class SeenLanes {
 public:
  HWY_INLINE SeenLanes(int64_t first, int64_t last)
      : before_(hn::Set(DI(), static_cast<int32_t>(first) - 1)), last_(hn::Set(DI(), static_cast<int32_t>(last))) {}

  // Of elements [i, i + kLanes).
  HWY_INLINE hn::Mask<DF> At(int64_t i) const {
    const auto index = hn::Iota(DI(), static_cast<int32_t>(i));
    return hn::RebindMask(DF(), hn::And(hn::Gt(index, before_), hn::Lt(index, last_)));
  }

 private:
  const hn::Vec<DI> before_, last_;
};

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
