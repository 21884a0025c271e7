#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <cstring>
#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm/buffer.h"
#include "kernels/gemm/few_rows.h"
#include "kernels/gemm/few_rows_int8.h"
#include "kernels/gemm/few_rows_trits.h"
#include "kernels/gemm/made_once.h"
#include "kernels/gemm/ref.h"
#include "kernels/gemm/ternary_gemv.h"
#include "kernels/isa.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm::kernels {
namespace {

using dnnl::memory;

memory::data_type TypeOf(DType dtype) {
  return dtype == DType::kBF16 ? memory::data_type::bf16
         : dtype == DType::kI8 ? memory::data_type::s8
                               : memory::data_type::f32;
}

// How the second operand lies in memory: as given, transposed, or in oneDNN's own blocks.
enum class Layout : uint8_t { kPlain, kTransposed, kPacked };

struct ProductKey {
  int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldc = 0;
  DType in = DType::kF32, out = DType::kF32;
  Layout a = Layout::kPlain, b = Layout::kPlain;
  bool accumulate = false;
  int threads = 1;  // oneDNN splits the work when a primitive is made, not when it runs
  bool operator==(const ProductKey&) const = default;
};

struct ProductHash {
  size_t operator()(const ProductKey& key) const {
    uint64_t hash = 1469598103934665603ull;
    for (int64_t part : {key.m, key.n, key.k, key.lda, key.ldb, key.ldc, int64_t{key.threads},
                         static_cast<int64_t>(key.in) * 64 + static_cast<int64_t>(key.out) * 16 +
                             static_cast<int64_t>(key.a) * 8 + static_cast<int64_t>(key.b) * 2 + key.accumulate}) {
      hash = (hash ^ static_cast<uint64_t>(part)) * 1099511628211ull;
    }
    return hash;
  }
};

struct Product {
  dnnl::matmul primitive;
  memory a, b, c, scratchpad;
};

struct Packer {
  dnnl::reorder reorder;
  memory source, target;
};

// The primitives of a thread. The compute thread opens all parallel regions and shares its products with the others;
// inside ParallelPieces each thread has products of its own. So nothing here needs a lock.
class OneDnn {
 public:
  static OneDnn& Get() {
    thread_local OneDnn instance;
    return instance;
  }

  void Run(const ProductKey& key, void* a, void* b, void* c) {
    const ExactThreads exact;
    Product& product = Prepare(key);
    product.a.set_data_handle(a);
    product.b.set_data_handle(b);
    product.c.set_data_handle(c);
    product.scratchpad.set_data_handle(scratch_.AtLeast(product.scratchpad.get_desc().get_size()));
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, product.a.get()},
                                         {DNNL_ARG_WEIGHTS, product.b.get()},
                                         {DNNL_ARG_DST, product.c.get()},
                                         {DNNL_ARG_SCRATCHPAD, product.scratchpad.get()}};
    Check(dnnl_primitive_execute(product.primitive.get(), stream_.get(), 4, arguments));
  }

  // The layout oneDNN prefers for the second operand [k,n] of a product with many rows.
  memory::desc PackedLayout(int64_t k, int64_t n, DType dtype) {
    constexpr int64_t kTypicalRows = 1024;
    const memory::desc a({kTypicalRows, k}, TypeOf(dtype), memory::format_tag::ab);
    const memory::desc b({k, n}, TypeOf(dtype), memory::format_tag::any);
    const memory::desc c({kTypicalRows, n}, TypeOf(dtype), memory::format_tag::ab);
    return Describe(a, b, c, {}).weights_desc();
  }

  // Re-lays [k,n] from plain or transposed rows of type `from_type`. Describing a reorder costs as much as running one,
  // so it is kept.
  void Pack(const void* from, DType from_type, bool transposed, int64_t k, int64_t n, DType dtype, Buffer& to) {
    const ExactThreads exact;
    const ProductKey key{.n = n,
                         .k = k,
                         .in = from_type,
                         .out = dtype,
                         .b = transposed ? Layout::kTransposed : Layout::kPlain,
                         .threads = ThreadCount()};
    auto found = packers_.find(key);
    if (found == packers_.end()) {
      const memory::desc plain({k, n}, TypeOf(from_type), transposed ? memory::format_tag::ba : memory::format_tag::ab);
      memory source(plain, engine_, nullptr), target(PackedLayout(k, n, dtype), engine_, nullptr);
      dnnl::reorder reorder(source, target);
      found = packers_.emplace(key, Packer{std::move(reorder), std::move(source), std::move(target)}).first;
    }
    Packer& packer = found->second;
    packer.source.set_data_handle(const_cast<void*>(from));
    packer.target.set_data_handle(to.AtLeast(packer.target.get_desc().get_size()));
    packer.reorder.execute(stream_, packer.source, packer.target);
    stream_.wait();
  }

 private:
  OneDnn() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    if (ActiveIsa() == Isa::kAvx2) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  }

  static void Check(dnnl_status_t status) {
    if (status != dnnl_success) throw Error(fmt::format("oneDNN failed with status {}", static_cast<int>(status)));
  }

  dnnl::matmul::primitive_desc Describe(const memory::desc& a, const memory::desc& b, const memory::desc& c,
                                        const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
    return {engine_, a, b, c, attributes};
#else
    return {dnnl::matmul::desc(a, b, c), attributes, engine_};
#endif
  }

  Product& Prepare(const ProductKey& key) {
    const auto found = products_.find(key);
    if (found != products_.end()) return found->second;
    const auto plain = [](int64_t rows, int64_t cols, DType dtype, int64_t stride, Layout layout) {
      return memory::desc({rows, cols}, TypeOf(dtype),
                          layout == Layout::kTransposed ? memory::dims{1, stride} : memory::dims{stride, 1});
    };
    const memory::desc a = plain(key.m, key.k, key.in, key.lda, key.a);
    const memory::desc b =
        key.b == Layout::kPacked ? PackedLayout(key.k, key.n, key.in) : plain(key.k, key.n, key.in, key.ldb, key.b);
    const memory::desc c = plain(key.m, key.n, key.out, key.ldc, Layout::kPlain);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (key.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description = Describe(a, b, c, attributes);
    Product product{dnnl::matmul(description), memory(a, engine_, nullptr), memory(b, engine_, nullptr),
                    memory(c, engine_, nullptr), memory(description.scratchpad_desc(), engine_, nullptr)};
    return products_.emplace(key, std::move(product)).first->second;
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  Buffer scratch_;
  std::unordered_map<ProductKey, Product, ProductHash> products_;
  std::unordered_map<ProductKey, Packer, ProductHash> packers_;
};

// An int8 matrix as both kinds of integer weights multiply by it: in panels for a few rows, beyond in oneDNN's blocks,
// where that one's products of integers are exact.
class Int8Weight {
 public:
  void Forget() {
    has_panels_.Forget();
    has_blocks_.Forget();
  }
  // fill(to): writes the matrix [out,in].
  template <class Fill>
  void Renew(int64_t out, int64_t in, const Fill& fill) {
    has_panels_.Renew([&] { MakePanels(out, in, fill); });
    has_blocks_.Renew([&] { MakeBlocks(out, in, fill); });
  }

  // y[N,out] = q[N,in] rows^T; of a few rows only if HasVnni(). fill: as of Renew, called only by the first call of
  // either kind after Forget.
  template <class Fill>
  void Forward(const Matrix& q, const Fill& fill, const Matrix& y) {
    // With 256 bits oneDNN's sums of two products may not fit into 16 bits.
    if (q.rows <= kFewRows || VnniBits() == 256) {
      has_panels_.Want([&] { MakePanels(y.cols, q.cols, fill); });
      return FewRowsInt8Product(q, panels_, y);
    }
    has_blocks_.Want([&] { MakeBlocks(y.cols, q.cols, fill); });
    OneDnn::Get().Run({q.rows, y.cols, q.cols, q.stride, 0, y.stride, DType::kI8, DType::kF32, Layout::kPlain,
                       Layout::kPacked, false, ThreadCount()},
                      q.data, blocks_.data(), y.data);
  }

 private:
  // In memory that is the same for all matrices, since only packing reads it.
  template <class Fill>
  static const int8_t* Filled(int64_t out, int64_t in, const Fill& fill) {
    thread_local Buffer scratch;
    auto* to = static_cast<int8_t*>(scratch.AtLeast(static_cast<size_t>(out * in)));
    fill(to);
    return to;
  }
  template <class Fill>
  void MakePanels(int64_t out, int64_t in, const Fill& fill) {
    panels_.SetValues(Filled(out, in, fill), out, in);
  }
  template <class Fill>
  void MakeBlocks(int64_t out, int64_t in, const Fill& fill) {
    OneDnn::Get().Pack(Filled(out, in, fill), DType::kI8, true, in, out, DType::kI8, blocks_);
  }

  Int8Panels panels_;
  Buffer blocks_;
  MadeOnce has_panels_, has_blocks_;
};

// Calls multiply(x, y) with rows that lie close together, and with `rows` of them, the last ones zeros: with columns of
// a wider matrix oneDNN would not use its kernels for packed weights, but loops that are a hundred times slower.
template <class Multiply>
void WithCloseRows(const Matrix& x, const Matrix& y, int64_t rows, bool accumulate, const Multiply& multiply) {
  thread_local Buffer x_buffer, y_buffer;
  const auto close = [rows](const Matrix& m, bool read, Buffer& buffer) {
    if (m.stride == m.cols && m.rows == rows) return m;
    const Matrix all{buffer.AtLeast(static_cast<size_t>(rows * m.cols) * SizeOf(m.dtype)), m.dtype, rows, m.cols,
                     m.cols};
    const Matrix rest = all.Rows(m.rows, rows - m.rows);
    std::memset(rest.data, 0, static_cast<size_t>(rest.rows * rest.cols) * SizeOf(rest.dtype));
    if (read) Copy(m, all.Rows(0, m.rows), false);
    return all;
  };
  const Matrix from = close(x, true, x_buffer), to = close(y, accumulate, y_buffer);
  multiply(from, to);
  if (to.data != y.data) Copy(to.Rows(0, y.rows), y, false);
}

void CheckInt8Product(const Matrix& q, int64_t out, int64_t in, const Matrix& y) {
  FLASHLM_CHECK(q.dtype == DType::kI8 && y.dtype == DType::kF32 && q.cols == in && y.cols == out && q.rows == y.rows,
                "int8 product of [{},{}] with a weight [{},{}]", q.rows, q.cols, out, in);
}

}  // namespace

struct PackedWeight::Impl {
  MatrixValues values;
  int64_t out = 0, in = 0;
  DType dtype = DType::kF32;
  // As oneDNN reads it. It may choose another layout for one thread than for several.
  struct Blocks {
    Buffer buffer;
    MadeOnce made;
  };
  Buffer rows_buffer;
  Blocks forward[2], backward[2];  // for one thread, for several
  Panels few_rows;
  MadeOnce has_rows, has_few_rows;

  static size_t Threads() { return ThreadCount() > 1 ? 1 : 0; }

  // W [out,in] in the operands' type, for plain loops.
  const void* Rows() {
    if (dtype == DType::kF32) return values();
    has_rows.Want([this] {
      void* rows = rows_buffer.AtLeast(static_cast<size_t>(out * in) * SizeOf(dtype));
      Copy({const_cast<float*>(values()), DType::kF32, out, in, in}, {rows, dtype, out, in, in}, false);
    });
    return rows_buffer.data();
  }
  void MakeForward(Buffer& to) { OneDnn::Get().Pack(values(), DType::kF32, true, in, out, dtype, to); }
  void* PackedForward() {
    Blocks& blocks = forward[Threads()];
    blocks.made.Want([&] { MakeForward(blocks.buffer); });
    return blocks.buffer.data();
  }
  void MakeFewRows() {
    few_rows.SetValues({const_cast<float*>(values()), DType::kF32, out, in, in}, dtype, PanelOutputs());
  }
  const Panels& PackedFewRows() {
    has_few_rows.Want([this] { MakeFewRows(); });
    return few_rows;
  }
  // One product of oneDNN.
  void Multiply(const Matrix& x, const Matrix& y, bool accumulate) {
    OneDnn::Get().Run({x.rows, out, in, x.stride, 0, y.stride, dtype, y.dtype, Layout::kPlain, Layout::kPacked,
                       accumulate, ThreadCount()},
                      x.data, PackedForward(), y.data);
  }
  void MakeBackward(Buffer& to) { OneDnn::Get().Pack(values(), DType::kF32, false, out, in, dtype, to); }
  void* PackedBackward() {
    Blocks& blocks = backward[Threads()];
    blocks.made.Want([&] { MakeBackward(blocks.buffer); });
    return blocks.buffer.data();
  }
};

PackedWeight::PackedWeight() : impl_(std::make_unique<Impl>()) {}
PackedWeight::~PackedWeight() = default;
PackedWeight::PackedWeight(PackedWeight&&) noexcept = default;
PackedWeight& PackedWeight::operator=(PackedWeight&&) noexcept = default;

void PackedWeight::SetValues(MatrixValues w, int64_t out, int64_t in, DType dtype) {
  impl_->values = std::move(w);
  impl_->out = out;
  impl_->in = in;
  impl_->dtype = dtype;
  impl_->has_rows.Forget();
  impl_->has_few_rows.Forget();
  for (size_t threads : {0, 1}) {
    impl_->forward[threads].made.Forget();
    impl_->backward[threads].made.Forget();
  }
}

void PackedWeight::Renew() {
  Impl& w = *impl_;
  Impl::Blocks &forward = w.forward[Impl::Threads()], &backward = w.backward[Impl::Threads()];
  forward.made.Renew([&] { w.MakeForward(forward.buffer); });
  backward.made.Renew([&] { w.MakeBackward(backward.buffer); });
  w.has_few_rows.Renew([&] { w.MakeFewRows(); });
}

void PackedWeight::Forward(const Matrix& x, const Matrix& y, bool accumulate, RowGroups groups) {
  Impl& w = *impl_;
  FLASHLM_CHECK(x.cols == w.in && y.cols == w.out && x.rows == y.rows && x.dtype == w.dtype,
                "product of [{},{}] with a weight [{},{}]", x.rows, x.cols, w.out, w.in);
  if (ActiveIsa() == Isa::kScalar) {
    const Matrix rows{const_cast<void*>(w.Rows()), w.dtype, w.out, w.in, w.in};
    return ref::MatMul(x, false, rows, true, y, accumulate);
  }
  // oneDNN's AVX2 product cuts the rows among threads and sums those at a cut in another order.
  const bool few =
      groups == RowGroups::kFastest ? x.rows <= kFewRows : groups == RowGroups::kFew || ActiveIsa() != Isa::kAvx512;
  if (few) {
    return FewRowsProduct(x, w.PackedFewRows(), y, accumulate);
  }
  const int64_t block = groups == RowGroups::kFastest ? x.rows : kBlockRows;
  for (int64_t begin = 0; begin < x.rows; begin += block) {
    const int64_t count = std::min(block, x.rows - begin);
    WithCloseRows(x.Rows(begin, count), y.Rows(begin, count), block, accumulate,
                  [&](const Matrix& from, const Matrix& to) { w.Multiply(from, to, accumulate); });
  }
}

void PackedWeight::InputGradient(const Matrix& dy, const Matrix& dx, bool accumulate) {
  Impl& w = *impl_;
  FLASHLM_CHECK(dy.cols == w.out && dx.cols == w.in && dx.rows == dy.rows && dy.dtype == w.dtype,
                "gradient [{},{}] of a weight [{},{}]", dy.rows, dy.cols, w.out, w.in);
  if (ActiveIsa() == Isa::kScalar) {
    const Matrix rows{const_cast<void*>(w.Rows()), w.dtype, w.out, w.in, w.in};
    return ref::MatMul(dy, false, rows, false, dx, accumulate);
  }
  WithCloseRows(dy, dx, dy.rows, accumulate, [&](const Matrix& from, const Matrix& to) {
    OneDnn::Get().Run({from.rows, w.in, w.out, from.stride, 0, to.stride, w.dtype, to.dtype, Layout::kPlain,
                       Layout::kPacked, accumulate, ThreadCount()},
                      from.data, w.PackedBackward(), to.data);
  });
}

struct PackedTrits::Impl {
  TritRows source;
  int64_t out = 0, in = 0;
  std::vector<int8_t> rows;  // [out,in], for plain loops
  TernaryMatVecWeight two_bits;
  TritPanels panels;
  Int8Weight int8;
  MadeOnce has_rows, has_two_bits, has_panels;

  void Fill(int8_t* to) const {
    constexpr int64_t kRowsAtATime = 16;
    ParallelBlocks(out, kRowsAtATime, [&](int64_t begin, int64_t end) {
      int8_t* const block = to + begin * in;
      source(begin, end - begin, reinterpret_cast<uint8_t*>(block));
      for (int64_t i = 0; i < (end - begin) * in; ++i) block[i] = static_cast<int8_t>(block[i] - 1);
    });
  }
  const int8_t* Rows() {
    has_rows.Want([this] {
      rows.resize(static_cast<size_t>(out * in));
      Fill(rows.data());
    });
    return rows.data();
  }
};

PackedTrits::PackedTrits() : impl_(std::make_unique<Impl>()) {}
PackedTrits::~PackedTrits() = default;
PackedTrits::PackedTrits(PackedTrits&&) noexcept = default;
PackedTrits& PackedTrits::operator=(PackedTrits&&) noexcept = default;

void PackedTrits::SetRows(TritRows rows, int64_t out, int64_t in) {
  FLASHLM_CHECK(in * 127 < (1 << 24), "a ternary map of {} inputs: its sums would not be exact", in);
  impl_->source = std::move(rows);
  impl_->out = out;
  impl_->in = in;
  for (MadeOnce* has : {&impl_->has_rows, &impl_->has_two_bits, &impl_->has_panels}) has->Forget();
  impl_->int8.Forget();
}

void PackedTrits::Renew() {
  Impl& w = *impl_;
  w.has_two_bits.Renew([&] { w.two_bits.SetRows(w.source, w.out, w.in); });
  w.has_panels.Renew([&] { w.panels.SetRows(w.source, w.out, w.in); });
  w.int8.Renew(w.out, w.in, [&](int8_t* to) { w.Fill(to); });
}

void PackedTrits::Forward(const Matrix& q, const Matrix& y) {
  Impl& w = *impl_;
  CheckInt8Product(q, w.out, w.in, y);
  if (ActiveIsa() == Isa::kScalar) return ref::IntegerMatMul(q, w.Rows(), y);
  if (q.rows <= kFewRows && HasVnni()) {
    w.has_panels.Want([&] { w.panels.SetRows(w.source, w.out, w.in); });
    return FewRowsTritProduct(q, w.panels, y);
  }
  if (q.rows <= kFewRows) {
    w.has_two_bits.Want([&] { w.two_bits.SetRows(w.source, w.out, w.in); });
    return TernaryMatVec(q, w.two_bits, y);
  }
  w.int8.Forward(
      q, [&](int8_t* to) { w.Fill(to); }, y);
}

struct PackedInt8::Impl {
  Int8Rows source;
  int64_t out = 0, in = 0;
  std::vector<float> scales;
  MadeOnce has_scales;
  Int8Weight int8;
};

PackedInt8::PackedInt8() : impl_(std::make_unique<Impl>()) {}
PackedInt8::~PackedInt8() = default;
PackedInt8::PackedInt8(PackedInt8&&) noexcept = default;
PackedInt8& PackedInt8::operator=(PackedInt8&&) noexcept = default;

void PackedInt8::SetValues(const float* w, int64_t out, int64_t in) {
  const auto round = [w, in](int64_t first, int64_t count, int8_t* integers, float* scales) {
    QuantizeRows({const_cast<float*>(w) + first * in, DType::kF32, count, in, in},
                 {integers, DType::kI8, count, in, in}, scales);
  };
  SetRows(round, out, in);
}

void PackedInt8::SetRows(Int8Rows rows, int64_t out, int64_t in) {
  impl_->source = std::move(rows);
  impl_->out = out;
  impl_->in = in;
  impl_->has_scales.Forget();
  impl_->int8.Forget();
}

const float* PackedInt8::scales() { return impl_->scales.data(); }

void PackedInt8::Forward(const Matrix& q, const Matrix& y) {
  Impl& w = *impl_;
  CheckInt8Product(q, w.out, w.in, y);
  w.int8.Forward(
      q,
      [&](int8_t* to) {
        // Each kind of copy computes them, while somebody may read those of the other.
        thread_local std::vector<float> scales;
        scales.resize(static_cast<size_t>(w.out));
        w.source(0, w.out, to, scales.data());
        w.has_scales.Want([&] { w.scales = scales; });
      },
      y);
}

void WeightGradient(const Matrix& dy, const Matrix& x, const Matrix& dw) { MatMul(dy, true, x, false, dw, true); }

void MatMul(const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b, const Matrix& c, bool accumulate) {
  const int64_t k = transpose_a ? a.rows : a.cols;
  FLASHLM_CHECK((transpose_a ? a.cols : a.rows) == c.rows && (transpose_b ? b.rows : b.cols) == c.cols &&
                    (transpose_b ? b.cols : b.rows) == k && a.dtype == b.dtype,
                "product of [{},{}] and [{},{}] into [{},{}]", a.rows, a.cols, b.rows, b.cols, c.rows, c.cols);
  if (ActiveIsa() == Isa::kScalar) return ref::MatMul(a, transpose_a, b, transpose_b, c, accumulate);
  OneDnn::Get().Run({c.rows, c.cols, k, a.stride, b.stride, c.stride, a.dtype, c.dtype,
                     transpose_a ? Layout::kTransposed : Layout::kPlain,
                     transpose_b ? Layout::kTransposed : Layout::kPlain, accumulate, ThreadCount()},
                    a.data, b.data, c.data);
}

std::string GemmLibrary() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

bool GemmUsesBf16() {
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);  // a set of bits, larger in newer CPUs
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

}  // namespace flashlm::kernels
