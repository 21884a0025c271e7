#include "io/safetensors.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "base/json.h"
#include "tests/io/io_testing.h"

namespace flashlm {
namespace {

// A file from its parts, sound or not.
std::string FileOf(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

std::string ErrorOfFile(const Scratch& scratch, const std::string& content) {
  const std::string path = scratch / "x.safetensors";
  Overwrite(path, content);
  const std::string error = ErrorOf([&] { SafetensorsFile file(path); });
  ExpectContains(error, path);
  return error;
}

void WriteSample(const std::string& path) {
  std::vector<float> a(6), b(35);
  std::iota(a.begin(), a.end(), 1.0f);
  std::iota(b.begin(), b.end(), -17.0f);
  const std::vector<TensorToWrite> tensors = {{"b", {5, 7}, b.data()}, {"a.x", {2, 3}, a.data()}};
  WriteSafetensors(path, tensors, {{"format", "flashlm"}, {"quote", "\"\n\xc3\xa9"}});
}

TEST(Safetensors, RoundTrip) {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  const float scalar = 3.5f;
  std::vector<float> values = {0.0f, -0.0f, 1e-45f, std::numeric_limits<float>::infinity(), std::nanf("7"), -1.5f};
  const std::vector<TensorToWrite> tensors = {
      {"z", {2, 3}, values.data()}, {"scalar", {}, &scalar}, {"none", {0, 4}, nullptr}};
  const TextMap metadata = {{"config", "{\"a\": 1}"}, {"text", "\xc3\xa9 \n"}};
  WriteSafetensors(path, tensors, metadata);

  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_TRUE(file.Has("z"));
  EXPECT_FALSE(file.Has("y"));
  EXPECT_EQ(file.Shape("z"), (std::vector<int>{2, 3}));
  std::vector<float> read(6);
  file.Read("z", read.data(), {2, 3});
  EXPECT_EQ(std::memcmp(read.data(), values.data(), sizeof(float) * 6), 0);
  float read_scalar = 0;
  file.Read("scalar", &read_scalar, {});
  EXPECT_EQ(read_scalar, scalar);
  file.Read("none", nullptr, {0, 4});
  EXPECT_EQ(scratch.Names(), std::vector<std::string>{"x.safetensors"});
}

TEST(Safetensors, NoTensorsAtAll) {
  const Scratch scratch;
  WriteSafetensors(scratch / "x", {}, {});
  EXPECT_TRUE(SafetensorsFile(scratch / "x").tensors().empty());
}

TEST(Safetensors, DataIsAlignedAndContiguousInTheGivenOrder) {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  const std::vector<float> values(64);
  for (int name_length = 1; name_length < 70; ++name_length) {
    const std::vector<TensorToWrite> tensors = {{std::string(name_length, 'n'), {3}, values.data()},
                                                {"a", {5}, values.data()}};
    WriteSafetensors(path, tensors);
    const std::string content = ReadFile(path);
    uint64_t header = 0;
    std::memcpy(&header, content.data(), sizeof header);
    EXPECT_EQ((header + 8) % 64, 0u);
    EXPECT_EQ(content.size(), 8 + header + 8 * sizeof(float));
    const SafetensorsFile file(path);
    EXPECT_EQ(file.tensors().at("a").begin, 12u);
    EXPECT_EQ(file.tensors().at("a").end, 32u);
  }
}

TEST(Safetensors, ReadsHalfPrecision) {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000, 0x0400};
  const float expected[] = {1.0f,
                            -2.0f,
                            0x1p-24f,
                            -1023 * 0x1p-24f,
                            65504.0f,
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(),
                            0,
                            -0.0f,
                            0x1p-14f};
  const uint16_t brain[] = {0x3f80, 0xc049};
  std::string data(reinterpret_cast<const char*>(half), sizeof half);
  data.append(reinterpret_cast<const char*>(brain), sizeof brain);
  // The header's odd length leaves the data unaligned, as other writers do.
  Overwrite(path, FileOf(R"({"h":{"dtype":"F16","shape":[10],"data_offsets":[0,20]},)"
                         R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[20,24]}} )",
                         data));
  const SafetensorsFile file(path);
  float h[10], b[2];
  file.Read("h", h, {10});
  file.Read("b", b, {2});
  for (int i = 0; i < 10; ++i) {
    if (i == 7) {
      EXPECT_TRUE(std::isnan(h[i]));
    } else {
      EXPECT_EQ(h[i], expected[i]) << i;
      EXPECT_EQ(std::signbit(h[i]), std::signbit(expected[i])) << i;
    }
  }
  EXPECT_EQ(b[0], 1.0f);
  EXPECT_EQ(b[1], -3.140625f);
}

// Written by the Python package.
TEST(Safetensors, ReadsGoldenState) {
  const SafetensorsFile file(FLASHLM_SOURCE_DIR "/tests/golden/cortex_delta.safetensors");
  const Json config = ParseJson(file.metadata().at("config"), "config");
  EXPECT_EQ(file.Shape("param.embed.weight"), (std::vector<int>{48, 32}));
  std::vector<float> losses(10);
  file.Read("losses", losses.data(), {10});
  EXPECT_LT(losses[9], losses[0]);
  std::vector<int32_t> tokens(3 * 21);
  file.ReadInts("tokens", tokens.data(), {3, 21});
  for (int32_t token : tokens) EXPECT_TRUE(token >= 0 && token < 48);
  std::vector<float> as_floats(3 * 21);
  ExpectContains(ErrorOf([&] { file.Read("tokens", as_floats.data(), {3, 21}); }), "element type I32");
  std::vector<int32_t> as_ints(10);
  ExpectContains(ErrorOf([&] { file.ReadInts("losses", as_ints.data(), {10}); }), "instead of I32");
}

TEST(Safetensors, WrongNamesAndShapesAreNamed) {
  const Scratch scratch;
  WriteSample(scratch / "x");
  const SafetensorsFile file(scratch / "x");
  float values[35];
  const std::string unknown = ErrorOf([&] { file.Read("a.y", values, {2, 3}); });
  ExpectContains(unknown, "has no tensor 'a.y'");
  ExpectContains(unknown, "did you mean 'a.x'?");
  ExpectContains(ErrorOf([&] { file.Read("a.x", values, {3, 2}); }), "has shape [2, 3] instead of [3, 2]");
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const Scratch scratch;
  WriteSample(scratch / "whole");
  const std::string whole = ReadFile(scratch / "whole");
  for (size_t length = 0; length < whole.size(); ++length) ErrorOfFile(scratch, whole.substr(0, length));
  ExpectContains(ErrorOfFile(scratch, whole.substr(0, whole.size() - 1)), "it is truncated: tensor \"a.x\"");
  ExpectContains(ErrorOfFile(scratch, whole + "\n"), "1 bytes follow its last tensor");
}

// Whatever a flipped header describes, it must be refused or lie within the file.
TEST(Safetensors, FlippedHeadersNeverReachOutsideTheFile) {
  const Scratch scratch;
  WriteSample(scratch / "whole");
  const std::string whole = ReadFile(scratch / "whole");
  const size_t header_end = whole.size() - 41 * sizeof(float);
  int refused = 0;
  for (size_t i = 0; i < header_end * 8; ++i) {
    std::string damaged = whole;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << i % 8));
    Overwrite(scratch / "x", damaged);
    try {
      const SafetensorsFile file(scratch / "x");
      for (const auto& [name, tensor] : file.tensors()) {
        std::vector<float> values((tensor.end - tensor.begin + 3) / 2);
        if (tensor.dtype == "F32") file.Read(name, values.data(), tensor.shape);
      }
    } catch (const Error& e) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Safetensors, ForeignFilesAreRefused) {
  const Scratch scratch;
  ExpectContains(ErrorOfFile(scratch, ""), "has only 0 bytes");
  ExpectContains(ErrorOfFile(scratch, "\x89PNG\r\n\x1a\n and more of a picture"), "its header would have");
  ExpectContains(ErrorOfFile(scratch, FileOf("[]", "")), "does not start with '{'");
  ExpectContains(ErrorOfFile(scratch, FileOf("", "")), "does not start with '{'");
  ExpectContains(ErrorOfFile(scratch, FileOf("{\"a\":", "")), "not valid JSON at byte");
  ExpectContains(ErrorOfFile(scratch, FileOf("{\"a\":1e999}", "")), "a number out of range");
  ExpectContains(ErrorOfFile(scratch, FileOf("{\"\xff\":1}", "")), "not valid JSON");
  ExpectContains(ErrorOfFile(scratch, FileOf("{\"a\":" + std::string(100000, '['), "")), "nested too deeply");
  ExpectContains(ErrorOf([&] { SafetensorsFile file(scratch / "absent"); }), "check the path");
  ExpectContains(ErrorOf([&] { SafetensorsFile file(scratch.path()); }), "is a folder");
}

TEST(Safetensors, UnsoundHeadersAreRefusedForTheirReason) {
  const struct {
    const char* header;
    const char* reason;
  } kCases[] = {
      {R"({"__metadata__":3})", "metadata is not an object"},
      {R"({"__metadata__":{"k":3}})", "metadata entry \"k\" is not a text"},
      {R"({"a":3})", "tensor \"a\" is not described by an object"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", "lacks \"data_offsets\""},
      {R"({"a":{"dtype":5,"shape":[2],"data_offsets":[0,8]}})", "a dtype that is not a text"},
      {R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", "unknown dtype \"F33\""},
      {R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "a shape that is not a list"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "a dimension of \"-2\""},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "a dimension of \"2.0\""},
      {R"({"a":{"dtype":"F32","shape":[4294967298],"data_offsets":[0,8]}})", "a dimension of"},
      {R"({"a":{"dtype":"F32","shape":[2147483647,2147483647,4],"data_offsets":[0,8]}})", "size overflows"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "not two offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "not two offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "ends before it begins"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}})", "has 12 bytes, its shape asks for 8"},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "it is truncated"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "4 bytes follow"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "begins at 4, the data before it ends at 0"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor \"b\" begins at 4, the data before it ends at 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "has \"a\" twice"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "has \"dtype\" twice"},
  };
  const Scratch scratch;
  for (const auto& unsound : kCases) {
    ExpectContains(ErrorOfFile(scratch, FileOf(unsound.header, "12345678")), unsound.reason);
  }
}

TEST(Safetensors, HostileNamesDoNotReachTheTerminal) {
  const Scratch scratch;
  const std::string name = "\\u001b[2J" + std::string(5000, 'x');
  const std::string error = ErrorOfFile(scratch, FileOf("{\"" + name + "\":1}", ""));
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_LT(error.size(), 500u);
}

TEST(Safetensors, FullDiskLeavesTheOldFile) {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  WriteSample(path);
  const std::string before = ReadFile(path);
  const std::vector<float> values(10000);
  const TensorToWrite tensor{"big", {10000}, values.data()};
  std::string error;
  {
    const FileSizeLimit limit(4096);
    error = ErrorOf([&] { WriteSafetensors(path, {&tensor, 1}); });
  }
  ExpectContains(error, "cannot write '" + path);
  ExpectContains(error, "what was there before is untouched");
  EXPECT_EQ(ReadFile(path), before);
  EXPECT_EQ(scratch.Names(), std::vector<std::string>{"x.safetensors"});
}

TEST(Safetensors, WritingRefusesWhatCannotBeRead) {
  const Scratch scratch;
  const float value = 1;
  const std::vector<TensorToWrite> twice = {{"a", {}, &value}, {"a", {}, &value}};
  ExpectContains(ErrorOf([&] { WriteSafetensors(scratch / "x", twice); }), "written twice");
  ExpectContains(ErrorOf([&] { WriteSafetensors(scratch / "x", {}, {{"k", "\xff"}}); }), "valid UTF-8");
  ExpectContains(ErrorOf([&] { WriteSafetensors(scratch / "absent/x", {}); }), "check that the folder exists");
  EXPECT_TRUE(scratch.Names().empty());
}

}  // namespace
}  // namespace flashlm
