#include "io/bank_files.h"

#include "tests/io/io_testing.h"

namespace flashlm {
namespace {

TEST(BankFiles, ValuesRoundTrip) {
  const Scratch scratch;
  ParamBank saved, loaded;
  FillBank(saved, 1);
  FillBank(loaded, 2);
  SaveValues(scratch / "x", saved, {{"format", "flashlm"}});
  const uint64_t version = loaded.version();
  LoadValues(scratch / "x", loaded);
  ExpectSameArray(saved.values(), loaded.values(), saved);
  EXPECT_GT(loaded.version(), version);
  EXPECT_EQ(SafetensorsFile(scratch / "x").metadata().at("format"), "flashlm");
}

TEST(BankFiles, StateRoundTrips) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 1);
  ParamState saved(bank), loaded(bank);
  FillState(bank, saved, 1);
  FillState(bank, loaded, 2);
  SaveState(scratch / "x", bank, saved);
  LoadState(scratch / "x", bank, loaded);
  ExpectSameState(saved, loaded);
  const SafetensorsFile file(scratch / "x");
  EXPECT_TRUE(file.Has("m.block.q.weight"));
  EXPECT_TRUE(file.Has("v.norm.gain"));
  EXPECT_FALSE(file.Has("v.block.q.weight"));
}

// Earlier versions kept a second moment of every parameter, though Muon has none.
TEST(BankFiles, StateThatNoRuleNeedsAnyMoreIsIgnored) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 1);
  ParamState saved(bank), loaded(bank);
  FillState(bank, saved, 1);
  FillState(bank, loaded, 2);
  std::vector<TensorToWrite> tensors;
  for (const ParamState::Array& array : saved.arrays()) {
    for (size_t i = 0; i < bank.infos().size(); ++i) {
      const ParamInfo& info = bank.infos()[i];
      const float* data = array.Of(i) != nullptr ? array.Of(i) : bank.values() + info.offset;
      const bool by_line = array.Of(i) != nullptr && !array.lines.empty();
      tensors.push_back({array.name + "." + info.name, by_line ? std::vector<int>{array.lines[i]} : info.shape, data});
    }
  }
  WriteSafetensors(scratch / "earlier", tensors);
  LoadState(scratch / "earlier", bank, loaded);
  ExpectSameState(saved, loaded);

  tensors.push_back({"u.norm.gain", {7}, bank.values()});
  WriteSafetensors(scratch / "other", tensors);
  ExpectContains(ErrorOf([&] { LoadState(scratch / "other", bank, loaded); }), "unexpected 'u.norm.gain'");
  tensors.erase(tensors.begin());
  WriteSafetensors(scratch / "less", tensors);
  ExpectContains(ErrorOf([&] { LoadState(scratch / "less", bank, loaded); }), "missing 'm.embed.weight'");
}

TEST(BankFiles, TablesAndTheirStateRoundTrip) {
  const Scratch scratch;
  ParamBank saved, loaded;
  for (ParamBank* bank : {&saved, &loaded}) {
    bank->AddTable("ngrams", 5, 3, Init::Normal(1));
    FillBank(*bank, bank == &saved ? 1 : 2);
  }
  ParamState state(saved), other(loaded);
  for (ParamState* s : {&state, &other}) {
    float* m = s->AddForTable("m", *saved.tables()[0], 3);
    float* v = s->AddForTable("v", *saved.tables()[0], 0);
    for (int i = 0; s == &state && i < 15; ++i) m[i] = static_cast<float>(i);
    for (int i = 0; s == &state && i < 5; ++i) v[i] = static_cast<float>(-i);
  }
  SaveValues(scratch / "x", saved);
  SaveState(scratch / "y", saved, state);
  LoadValues(scratch / "x", loaded);
  LoadState(scratch / "y", loaded, other);
  const SparseTable &a = *saved.tables()[0], &b = *loaded.tables()[0];
  EXPECT_TRUE(std::equal(a.values(), a.values() + a.size(), b.values()));
  for (size_t i = 0; i < 2; ++i) {
    const ParamState::TableArray &x = state.table_arrays()[i], &y = other.table_arrays()[i];
    EXPECT_TRUE(std::equal(x.data.get(), x.data.get() + x.size(), y.data.get())) << x.name;
  }
  const SafetensorsFile file(scratch / "y");
  EXPECT_EQ(file.Shape("m.ngrams"), std::vector<int>({5, 3}));
  EXPECT_EQ(file.Shape("v.ngrams"), std::vector<int>({5}));

  ParamBank without;
  FillBank(without, 1);
  ExpectContains(ErrorOf([&] { LoadValues(scratch / "x", without); }), "unexpected 'ngrams'");
}

TEST(BankFiles, BuffersAreSavedWithTheValuesAndHaveNoState) {
  const Scratch scratch;
  ParamBank bank;
  bank.Add({.name = "w", .shape = {2, 3}, .init = {}});
  const Param slots = bank.Add({.name = "slots", .shape = {4, 3}, .role = Role::kBuffer, .init = {}});
  bank.Allocate(true);
  EXPECT_EQ(bank.ParameterCount(), 6);
  bank.Value(slots)[11] = 3;
  SaveValues(scratch / "x", bank);
  ParamState state(bank);
  FillState(bank, state, 1);
  SaveState(scratch / "y", bank, state);
  bank.Value(slots)[11] = 0;
  LoadValues(scratch / "x", bank);
  LoadState(scratch / "y", bank, state);
  EXPECT_EQ(bank.Value(slots)[11], 3);
  EXPECT_FALSE(SafetensorsFile(scratch / "y").Has("m.slots"));
}

TEST(BankFiles, DifferencesAreNamed) {
  const Scratch scratch;
  ParamBank saved, other;
  FillBank(saved, 1);
  other.Add({.name = "embed.weight", .shape = {11, 7}, .init = {}});
  other.Add({.name = "block.q.weight", .shape = {7, 5}, .init = {}});
  other.Add({.name = "block.v.weight", .shape = {3, 7}, .init = {}});
  other.Add({.name = "norm.gain", .shape = {7}, .init = {}});
  other.Allocate(false);
  SaveValues(scratch / "x", saved);
  const std::string error = ErrorOf([&] { LoadValues(scratch / "x", other); });
  ExpectContains(error, scratch / "x");
  ExpectContains(error, "missing 'block.v.weight'");
  ExpectContains(error, "unexpected 'block.k.weight'");
  ExpectContains(error, "block.q.weight ([5, 7] instead of [7, 5])");

  ParamBank empty;
  empty.Allocate(false);
  ExpectContains(ErrorOf([&] { LoadValues(scratch / "x", empty); }), "and 1 more");
}

// Files of other software repeat the tied embedding as output head.
TEST(BankFiles, TiedHeadIsIgnoredOnlyIfItRepeatsTheEmbedding) {
  const Scratch scratch;
  ParamBank bank, loaded;
  FillBank(bank, 1);
  FillBank(loaded, 2);
  std::vector<TensorToWrite> tensors;
  for (const ParamInfo& info : bank.infos()) {
    tensors.push_back({info.name, info.shape, bank.values() + info.offset});
  }
  tensors.push_back({"head.weight", {11, 7}, bank.values() + bank.Find("embed.weight")->offset});
  WriteSafetensors(scratch / "tied", tensors);
  LoadValues(scratch / "tied", loaded);
  ExpectSameArray(bank.values(), loaded.values(), bank);

  const std::vector<float> own(77, 0.5f);
  tensors.back().data = own.data();
  WriteSafetensors(scratch / "own", tensors);
  ExpectContains(ErrorOf([&] { LoadValues(scratch / "own", loaded); }), "unexpected 'head.weight'");
  tensors.back().shape = {7, 11};
  WriteSafetensors(scratch / "turned", tensors);
  ExpectContains(ErrorOf([&] { LoadValues(scratch / "turned", loaded); }), "unexpected 'head.weight'");
}

// As a depthwise convolution has them in other software; and its model calls the embedding by another name.
TEST(BankFiles, ThreeDimensionsKeepTheirShape) {
  const Scratch scratch;
  ParamBank saved, loaded;
  for (ParamBank* bank : {&saved, &loaded}) {
    bank->Add({.name = "embedding.weight", .shape = {11, 7}, .init = Init::Normal(1)});
    const Param kernel = bank->Add({.name = "conv.weight", .shape = {4, 1, 3}, .init = Init::Normal(1)});
    EXPECT_EQ(kernel.rows, 4);
    EXPECT_EQ(kernel.cols, 3);
    bank->Allocate(false);
  }
  saved.Initialize(1);
  std::vector<TensorToWrite> tensors;
  for (const ParamInfo& info : saved.infos()) tensors.push_back({info.name, info.shape, saved.values() + info.offset});
  tensors.push_back({"head.weight", {11, 7}, saved.values()});
  WriteSafetensors(scratch / "x", tensors);
  EXPECT_EQ(SafetensorsFile(scratch / "x").Shape("conv.weight"), (std::vector<int>{4, 1, 3}));
  LoadValues(scratch / "x", loaded);
  ExpectSameArray(saved.values(), loaded.values(), saved);
}

}  // namespace
}  // namespace flashlm
