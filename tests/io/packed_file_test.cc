// Packed models: what goes in comes out, and every way in which a file can be bad ends in one clear line.
#include "io/packed_file.h"

#include <cmath>
#include <map>

#include "base/dtype.h"
#include "io/model_folder.h"
#include "tests/io/io_testing.h"

namespace flashlm {
namespace {

constexpr size_t kHeader = 128, kTableAt = 128;

// Matrices of every kind: float, wide enough for int8 and not, ternary by matrix and by row, a buffer, a table.
void Declare(ParamBank& bank) {
  const auto ternary = [](kernels::Ternary kind) { return Quantization{kind, true}; };
  bank.Add({.name = "embed.weight", .shape = {11, 19}, .role = Role::kEmbedding, .init = Init::Normal(1)});
  bank.Add({.name = "q.weight",
            .shape = {5, 18},
            .init = Init::Normal(1),
            .quantization = ternary(kernels::Ternary::kMean)});
  bank.Add(
      {.name = "k.weight", .shape = {3, 18}, .init = Init::Normal(1), .quantization = ternary(kernels::Ternary::kMean)},
      true);
  bank.Add(
      {.name = "r.weight", .shape = {7, 13}, .init = Init::Normal(1), .quantization = ternary(kernels::Ternary::kRow)});
  bank.Add({.name = "conv.kernel", .shape = {9, 4}, .init = Init::Normal(1)});
  bank.Add({.name = "norm.gain", .shape = {19}, .role = Role::kVector, .init = Init::Normal(1)});
  bank.Add({.name = "slots", .shape = {2, 17}, .role = Role::kBuffer, .init = Init::Normal(1)});
  bank.AddTable("grams", 33, 16, Init::Normal(1));
}

std::vector<float> Trits(const ParamBank& bank, const char* name, std::vector<float>& scales) {
  const ParamInfo& info = *bank.Find(name);
  std::vector<float> trits(static_cast<size_t>(info.size));
  scales.assign(static_cast<size_t>(info.shape[0]), 0);
  bank.Ternarize({info.offset, info.shape[0], info.shape[1], info.quantization}, trits.data(), scales.data());
  for (float& trit : trits) trit += 0.0f;  // -0 is 0
  return trits;
}

std::vector<float> ValuesOf(const ParamBank& bank, const char* name) {
  const ParamInfo& info = *bank.Find(name);
  return {bank.values() + info.offset, bank.values() + info.offset + info.size};
}

class PackedFileTest : public testing::Test {
 protected:
  PackedFileTest() {
    Declare(bank_);
    bank_.Allocate(false);
    bank_.Initialize(3);
  }
  std::string Write(Packing floats = Packing::kInt8) {
    const std::string path = scratch_ / "model.flm";
    WritePackedFile(path, {{{"architecture", "test"}}, {{"step", 7}}, "{\n \"a\": 1 }", "counted"}, bank_, floats);
    return path;
  }
  // The error of opening and loading a file whose bytes `change` has changed; with `sign`, the checksum fits again.
  template <class Change>
  std::string ErrorAfter(const Change& change, bool sign = true) {
    std::string bytes = ReadFile(Write());
    change(bytes);
    if (sign && bytes.size() > kHeader) bytes.replace(64, 64, Sha256(std::string_view(bytes).substr(kHeader)));
    const std::string path = scratch_ / "bad.flm";
    Overwrite(path, bytes);
    return ErrorOf([&] { LoadInto(path); });
  }
  // The same where `from` in the table becomes `to`.
  std::string ErrorWith(const std::string& from, const std::string& to) {
    return ErrorAfter([&](std::string& bytes) {
      uint64_t sizes[2];  // of the table and the file
      std::memcpy(sizes, bytes.data() + 16, sizeof sizes);
      std::string table = bytes.substr(kTableAt, sizes[0]);
      const size_t at = table.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      table.replace(at, from.size(), to);
      table.resize((table.size() + 63) / 64 * 64, ' ');
      bytes.replace(kTableAt, sizes[0], table);
      sizes[0] = table.size();
      sizes[1] = bytes.size();
      std::memcpy(bytes.data() + 16, sizes, sizeof sizes);
    });
  }
  static void LoadInto(const std::string& path) {
    ParamBank bank;
    Declare(bank);
    bank.Allocate(false);
    PackedFile(path).Load(bank);
  }

  Scratch scratch_;
  ParamBank bank_;
};

TEST_F(PackedFileTest, FilesComeBack) {
  const PackedFile file(Write());
  EXPECT_EQ(file.config(), Json({{"architecture", "test"}}));
  EXPECT_EQ(file.about(), Json({{"step", 7}}));
  EXPECT_EQ(file.Bytes(kTokenizerFile), "{\"a\":1}");
  EXPECT_EQ(file.Bytes(kNGramFile), "counted");
  EXPECT_EQ(file.Bytes("absent"), "");
  EXPECT_EQ(file.Bytes("embed.weight"), "");  // no file
}

TEST_F(PackedFileTest, TernaryMatricesComeBackBitForBit) {
  for (const Packing floats : {Packing::kInt8, Packing::kBF16, Packing::kF32}) {
    ParamBank loaded;
    Declare(loaded);
    loaded.Allocate(false);
    PackedFile(Write(floats)).Load(loaded);
    for (const char* name : {"q.weight", "k.weight", "r.weight"}) {
      std::vector<float> scales, loaded_scales;
      EXPECT_EQ(Trits(bank_, name, scales), Trits(loaded, name, loaded_scales)) << name;
      EXPECT_EQ(scales, loaded_scales) << name;
    }
  }
}

TEST_F(PackedFileTest, FloatsComeBackAsRounded) {
  for (const Packing floats : {Packing::kInt8, Packing::kBF16, Packing::kF32}) {
    ParamBank loaded, rounded;
    for (ParamBank* bank : {&loaded, &rounded}) {
      Declare(*bank);
      bank->Allocate(false);
    }
    rounded.Initialize(3);
    RoundAsPacked(rounded, floats);
    PackedFile(Write(floats)).Load(loaded);
    for (const char* name : {"embed.weight", "conv.kernel", "norm.gain", "slots"}) {
      EXPECT_EQ(ValuesOf(loaded, name), ValuesOf(rounded, name)) << name << " " << NameOf(floats);
    }
    const SparseTable &a = *loaded.tables()[0], &b = *rounded.tables()[0];
    EXPECT_EQ(std::memcmp(a.values(), b.values(), static_cast<size_t>(a.size()) * sizeof(float)), 0);
    // Vectors, buffers and, in int8, narrow matrices lose nothing.
    EXPECT_EQ(ValuesOf(loaded, "norm.gain"), ValuesOf(bank_, "norm.gain"));
    EXPECT_EQ(ValuesOf(loaded, "slots"), ValuesOf(bank_, "slots"));
    const auto is_exact = [&](const char* name) { return ValuesOf(loaded, name) == ValuesOf(bank_, name); };
    EXPECT_EQ(is_exact("conv.kernel"), floats != Packing::kBF16);
    EXPECT_EQ(is_exact("embed.weight"), floats == Packing::kF32);
  }
}

TEST_F(PackedFileTest, Int8IsWithinHalfAStep) {
  ParamBank loaded;
  Declare(loaded);
  loaded.Allocate(false);
  PackedFile(Write()).Load(loaded);
  const std::vector<float> exact = ValuesOf(bank_, "embed.weight"), rounded = ValuesOf(loaded, "embed.weight");
  for (size_t row = 0; row < 11; ++row) {
    float largest = 0;
    for (size_t c = 0; c < 19; ++c) largest = std::max(largest, std::abs(exact[row * 19 + c]));
    for (size_t c = 0; c < 19; ++c) {
      EXPECT_LE(std::abs(exact[row * 19 + c] - rounded[row * 19 + c]), 0.5001f * largest / 127);
    }
  }
}

// Two ternary matrices side by side, of one handle: their rows, wherever one begins to read.
TEST_F(PackedFileTest, ProductsTakeMatricesFromTheMap) {
  ParamBank loaded, rounded;
  for (ParamBank* bank : {&loaded, &rounded}) {
    Declare(*bank);
    bank->Allocate(false);
  }
  rounded.Initialize(3);
  RoundAsPacked(rounded, Packing::kInt8);
  PackedFile(Write()).Load(loaded);  // the bank keeps the map
  const Param both{loaded.Find("q.weight")->offset, 8, 18, loaded.Find("q.weight")->quantization};
  std::vector<float> trits(8 * 18), scales(8);
  rounded.Ternarize(both, trits.data(), scales.data());
  ASSERT_TRUE(loaded.HasScales(both));
  for (int64_t first = 0; first < 8; ++first) {
    for (int64_t count = 1; first + count <= 8; ++count) {
      std::vector<uint8_t> codes(static_cast<size_t>(count * 18) + 8, 9);
      loaded.TritsOf(both)(first, count, codes.data());
      for (int64_t i = 0; i < count * 18; ++i) {
        ASSERT_EQ(codes[static_cast<size_t>(i)] - 1, trits[static_cast<size_t>(first * 18 + i)]) << first << " " << i;
      }
      EXPECT_EQ(std::vector<uint8_t>(codes.end() - 8, codes.end()), std::vector<uint8_t>(8, 9)) << "beyond its rows";
    }
  }
  const Param embed{loaded.Find("embed.weight")->offset, 11, 19, {}};
  ASSERT_TRUE(loaded.Int8Of(embed));
  EXPECT_FALSE(rounded.Int8Of(embed));
  EXPECT_FALSE(loaded.Int8Of({loaded.Find("conv.kernel")->offset, 9, 4, {}})) << "too narrow for int8";
  const int32_t some[] = {4, 9, 4};
  const float* rows = loaded.ValueOfRows(embed, some, 3);
  for (const int32_t row : some) {
    for (int c = 0; c < 19; ++c) EXPECT_EQ(rows[row * 19 + c], rounded.Value(embed)[row * 19 + c]);
  }
  EXPECT_EQ(rows[5 * 19], 0.0f) << "a row that nobody asked for";
  std::vector<int8_t> integers(3 * 19);
  std::vector<float> row_scales(3);
  loaded.Int8Of(embed)(5, 3, integers.data(), row_scales.data());
  for (size_t i = 0; i < integers.size(); ++i) {
    EXPECT_EQ(row_scales[i / 19] * static_cast<float>(integers[i]), rounded.Value(embed)[5 * 19 + i]);
  }
  for (int i = 0; i < 11 * 19; ++i) EXPECT_EQ(loaded.Value(embed)[i], rounded.Value(embed)[i]);
}

// Whoever takes the flat array may change it: then products see what it has, not what the file had.
TEST_F(PackedFileTest, ChangedValuesCount) {
  ParamBank loaded;
  Declare(loaded);
  loaded.Allocate(false);
  PackedFile(Write()).Load(loaded);
  const ParamInfo& info = *loaded.Find("r.weight");
  const Param map{info.offset, 7, 13, info.quantization};
  std::vector<uint8_t> before(7 * 13), after(7 * 13);
  loaded.TritsOf(map)(0, 7, before.data());
  for (int64_t i = 0; i < info.size; ++i) loaded.values()[info.offset + i] *= -1;
  loaded.Touch();
  loaded.TritsOf(map)(0, 7, after.data());
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i], 2 - before[i]);
  EXPECT_FALSE(loaded.Int8Of({loaded.Find("embed.weight")->offset, 11, 19, {}}));
  // And read again, it is the file once more.
  PackedFile(scratch_ / "model.flm").Load(loaded);
  loaded.TritsOf(map)(0, 7, after.data());
  EXPECT_EQ(after, before);
}

TEST_F(PackedFileTest, EveryWriteIsTheSame) { EXPECT_EQ(ReadFile(Write()), ReadFile(Write())); }

TEST_F(PackedFileTest, TernaryCostsLessThanTwoBits) {
  const PackedFile file(Write());
  std::map<std::string, uint64_t> bytes;
  for (const PackedSection& section : file.sections()) {
    EXPECT_EQ(section.offset % 64, 0u) << section.name;
    bytes[section.name] = section.bytes;
  }
  EXPECT_EQ(bytes.at("q.weight"), 4u + 18);  // 90 weights, five a byte
  EXPECT_EQ(bytes.at("r.weight"), 4u * 7 + 19);
  EXPECT_EQ(bytes.at("embed.weight"), 11u * (4 + 19));
}

TEST_F(PackedFileTest, KnowsItsOwn) {
  EXPECT_TRUE(IsPackedFile(Write()));
  Overwrite(scratch_ / "text", "FLMMODE");
  EXPECT_FALSE(IsPackedFile(scratch_ / "text"));
  EXPECT_FALSE(IsPackedFile(scratch_.path()));
  EXPECT_FALSE(IsPackedFile(scratch_ / "absent"));
}

TEST_F(PackedFileTest, RefusesBadHeaders) {
  const auto set = [](std::string& bytes, size_t at, auto value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  ExpectContains(ErrorAfter([](std::string& b) { b.resize(20); }), "only 20 bytes");
  ExpectContains(ErrorAfter([](std::string& b) { b.resize(0); }), "only 0 bytes");
  ExpectContains(ErrorAfter([](std::string& b) { b[0] = 'G'; }), "does not begin with FLMMODEL");
  for (const uint32_t version : {0u, 2u, 0xFFFFFFFFu}) {
    ExpectContains(ErrorAfter([&](std::string& b) { set(b, 8, version); }), fmt::format("version {}", version));
  }
  for (const uint32_t alignment : {0u, 1u, 63u, 0x80000000u}) {
    ExpectContains(ErrorAfter([&](std::string& b) { set(b, 12, alignment); }), "alignment");
  }
  for (const uint64_t table : {uint64_t{1}, uint64_t{1} << 40, ~uint64_t{63}, ~uint64_t{0}}) {
    ExpectContains(ErrorAfter([&](std::string& b) { set(b, 16, table); }), "table would have");
  }
  ExpectContains(ErrorAfter([&](std::string& b) { set(b, 16, uint64_t{0}); }), "not a JSON list");
  ExpectContains(ErrorAfter([&](std::string& b) { set(b, 24, ~uint64_t{0}); }), "truncated");
  ExpectContains(ErrorAfter([](std::string& b) { b[40] = 1; }), "must be zero");
}

TEST_F(PackedFileTest, RefusesTruncatedAndExtendedFiles) {
  const size_t whole = ReadFile(Write()).size();
  for (const size_t size : {whole - 1, whole - 64, whole / 2, size_t{200}, kHeader}) {
    ExpectContains(ErrorAfter([&](std::string& b) { b.resize(size); }), "truncated");
  }
  ExpectContains(ErrorAfter([](std::string& b) { b.append(64, '\0'); }), "too long");
  // With a header that agrees the sections do not.
  const auto resized = [&](size_t size) {
    return ErrorAfter([&](std::string& b) {
      b.resize(size);
      const uint64_t bytes = size;
      std::memcpy(b.data() + 24, &bytes, sizeof bytes);
    });
  };
  ExpectContains(resized(whole + 64), "bytes follow its last section");
  ExpectContains(resized(whole - 64 * 9), "of which");
}

TEST_F(PackedFileTest, RefusesAFlippedBitAnywhere) {
  const size_t size = ReadFile(Write()).size();
  for (size_t at = 0; at < size; at += at < kHeader + 64 ? 1 : 97) {
    const std::string error = ErrorAfter([&](std::string& b) { b[at] = static_cast<char>(b[at] ^ 0x10); }, false);
    ExpectContains(error, "bad.flm");
  }
}

TEST_F(PackedFileTest, RefusesBadTables) {
  ExpectContains(ErrorWith("[{\"name\"", "{{\"name\""), "not a JSON list");
  ExpectContains(ErrorWith("[{\"name\"", "[[[[[]]"), "table");
  ExpectContains(ErrorWith("\"name\":\"embed.weight\"", "\"nama\":\"embed.weight\""), "no text \"name\"");
  ExpectContains(ErrorWith("\"packing\":\"int8\"", "\"packing\":8"), "no text \"packing\"");
  ExpectContains(ErrorWith("\"packing\":\"int8\"", "\"packing\":\"int4\""), "unknown packing");
  ExpectContains(ErrorWith("\"name\":\"k.weight\"", "\"name\":\"q.weight\""), "twice");
  ExpectContains(ErrorWith("\"packing\":\"int8\"", "\"bytes\":1"), "its table has \"bytes\" twice");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[]"), "1 to 3 dimensions");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[0,9]"), "dimension of");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[-1,9]"), "dimension of");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[9,2.5]"), "dimension of");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[19,9]"), "its shape asks for");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[2147483647,536870912]"), "overflows");
  ExpectContains(ErrorWith("\"shape\":[11,19]", "\"shape\":[4294967297,1]"), "dimension of");
  ExpectContains(ErrorWith("\"bytes\":253", "\"bytes\":-53"), "no number \"bytes\"");
  ExpectContains(ErrorWith("\"bytes\":253", "\"bytes\":999"), "its shape asks for");
}

TEST_F(PackedFileTest, RefusesSectionsThatAreTooLong) {
  // Of a file, which nothing but the end of the whole bounds.
  const std::string ngrams = "\"ngram.bin\",\"packing\":\"bytes\",\"bytes\":";
  for (const char* bytes : {"9999999999", "18446744073709551615", "18446744073709551553"}) {
    ExpectContains(ErrorWith(ngrams + "7", ngrams + bytes), "of which");
  }
}

TEST_F(PackedFileTest, RefusesWhatDoesNotFitTheModel) {
  ExpectContains(ErrorWith("\"name\":\"norm.gain\"", "\"name\":\"norm.gian\""), "norm.gain");
  ExpectContains(ErrorWith("\"shape\":[5,18]", "\"shape\":[9,10]"), "q.weight");
}

TEST_F(PackedFileTest, RefusesBytesThatAreNoDigits) {
  ExpectContains(ErrorAfter([&](std::string& b) {
                   const PackedFile packed(Write());
                   for (const PackedSection& section : packed.sections()) {
                     if (section.name == "q.weight") b[section.offset + 4] = static_cast<char>(243);
                   }
                 }),
                 "no ternary digits");
}

TEST_F(PackedFileTest, RefusesScalesThatAreNotFinite) {
  // Of int8, of a ternary matrix, of its rows, of a table.
  for (const char* name : {"embed.weight", "q.weight", "r.weight", "grams"}) {
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      const std::string error = ErrorAfter([&](std::string& b) {
        const PackedFile packed(Write());
        for (const PackedSection& section : packed.sections()) {
          if (section.name == name) std::memcpy(b.data() + section.offset, &bad, sizeof bad);
        }
      });
      ExpectContains(error, name);
      ExpectContains(error, "scales that are not finite");
    }
  }
}

TEST_F(PackedFileTest, RefusesToWriteWhatIsNotFinite) {
  bank_.values()[bank_.Find("norm.gain")->offset + 3] = std::nanf("");
  ExpectContains(ErrorOf([&] { Write(); }), "norm.gain");
  EXPECT_TRUE(scratch_.Names().empty());
}

TEST_F(PackedFileTest, AFullDiskLeavesTheOldFile) {
  const std::string path = Write();
  const std::string before = ReadFile(path);
  bank_.Initialize(4);
  {
    const FileSizeLimit limit(300);
    ErrorOf([&] { Write(); });
  }
  EXPECT_EQ(ReadFile(path), before);
  EXPECT_EQ(scratch_.Names(), std::vector<std::string>{"model.flm"});
}

}  // namespace
}  // namespace flashlm
