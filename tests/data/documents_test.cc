#include "data/documents.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "data/text_source.h"
#include "tests/data/scratch.h"

namespace flashlm {
namespace {

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> documents;
  ForEachDocument(text, [&](std::string_view document) { documents.emplace_back(document); });
  return documents;
}

using List = std::vector<std::string>;

TEST(Documents, AreSeparatedByALineOfItsOwn) {
  EXPECT_EQ(Split("one\n<|endoftext|>\ntwo\n"), (List{"one", "two"}));
  EXPECT_EQ(Split("one\r\n<|endoftext|>\r\n\r\ntwo \n\n"), (List{"one", "two"}));
  EXPECT_EQ(Split("one\n \t<|endoftext|> \ntwo"), (List{"one", "two"}));
  EXPECT_EQ(Split("one\n<|endoftext|>"), (List{"one"}));
  EXPECT_EQ(Split("<|endoftext|>\none"), (List{"one"}));
  EXPECT_EQ(Split("  one\nline two\n\nline four\n"), (List{"one\nline two\n\nline four"}));
}

TEST(Documents, KeepASeparatorInsideALineAsText) {
  EXPECT_EQ(Split("say <|endoftext|>\nmore"), (List{"say <|endoftext|>\nmore"}));
  EXPECT_EQ(Split("<|endoftext|> more\nx"), (List{"<|endoftext|> more\nx"}));
  // Mentioned now and then in a text that has it on lines of their own.
  EXPECT_EQ(Split("a <|endoftext|> b <|endoftext|> c\n<|endoftext|>\nd"),
            (List{"a <|endoftext|> b <|endoftext|> c", "d"}));
}

TEST(Documents, AreSeparatedInsideLinesWhereThatIsTheForm) {
  EXPECT_EQ(Split("The cat sat on the mat.<|endoftext|>Tom ran.<|endoftext|>Anna slept."),
            (List{"The cat sat on the mat.", "Tom ran.", "Anna slept."}));
  EXPECT_EQ(Split("one\nand a half<|endoftext|>\ntwo<|endoftext|>\nthree<|endoftext|>"),
            (List{"one\nand a half", "two", "three"}));
  EXPECT_EQ(Split("<|endoftext|>one\n<|endoftext|>two\n<|endoftext|>three"), (List{"one", "two", "three"}));
  std::string text;
  for (int i = 0; i < 5000; ++i) text += fmt::format("Story {}.<|endoftext|>", i);
  EXPECT_EQ(Split(text).size(), 5000u);
  EXPECT_EQ(Split(text + "\n<|endoftext|>\nmore").size(), 5001u);  // seldom on a line of its own
  // Preparation, which reads long texts through a window, decides and splits alike.
  const std::string tail(300'000, 'x');
  const ScratchFolder folder;
  TextSource source(folder.Write("in.txt", text + tail));
  DocumentBatch batch;
  std::vector<std::string> documents;
  while (source.Next(batch)) documents.insert(documents.end(), batch.documents.begin(), batch.documents.end());
  ASSERT_GT(documents.size(), 5000u);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(documents[i], fmt::format("Story {}.", i));
}

TEST(Documents, SeparatorsAreCountedAndNoted) {
  EXPECT_EQ(CountSeparators("one\n<|endoftext|>\ntwo").Note("f"), "");
  const Separators mentioned = CountSeparators("say <|endoftext|>\n<|endoftext|>\nx<|endoftext|><|endoftext|>");
  EXPECT_EQ(mentioned.on_lines, 1);
  EXPECT_EQ(mentioned.inside_lines, 3);
  EXPECT_FALSE(mentioned.SplitInside());
  EXPECT_NE(mentioned.Note("f").find("'f' has <|endoftext|> inside lines (3 times; 1 on lines of their own): taken as"),
            std::string::npos);
  EXPECT_NE(CountSeparators("a<|endoftext|>b<|endoftext|>").Note("f").find("documents end there, too"),
            std::string::npos);
  // Across the windows in which a long text is looked through, which are told one after the other.
  std::string text(40 << 20, 'x');
  for (const size_t at : {size_t{0}, (size_t{16} << 20) - 6, size_t{30} << 20}) text.replace(at, 13, "<|endoftext|>");
  std::vector<size_t> passed;
  EXPECT_EQ(CountSeparators(text, [&](size_t bytes) { passed.push_back(bytes); }).inside_lines, 3);
  EXPECT_GE(passed.size(), 2u);
  EXPECT_TRUE(std::is_sorted(passed.begin(), passed.end()));
}

TEST(Documents, ByteOrderMarksAreNoText) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(Split(mark + "one\n<|endoftext|>\ntwo"), (List{"one", "two"}));
  EXPECT_EQ(Split(mark + "<|endoftext|>\none"), (List{"one"}));
  EXPECT_EQ(Split(mark + " \n one"), (List{"one"}));
  EXPECT_TRUE(Split(mark).empty());
  // Files that were joined.
  EXPECT_EQ(Split("one\n" + mark + "<|endoftext|>\n" + mark + "two"), (List{"one", "two"}));
  EXPECT_EQ(Split("one" + mark + "two"), (List{"one" + mark + "two"}));  // a character like others
}

TEST(Documents, EmptyOnesAreDropped) {
  EXPECT_TRUE(Split("").empty());
  EXPECT_TRUE(Split(" \n\t\r\n").empty());
  EXPECT_EQ(Split("\n<|endoftext|>\n \n<|endoftext|>\none\n<|endoftext|>\n<|endoftext|>\n"), (List{"one"}));
}

TEST(Documents, LongOnesAreCutOnlyWhereAsked) {
  std::string text;
  for (int i = 0; i < 6000; ++i) text += "paragraph " + std::to_string(i) + "\n\n";
  const std::string both = text + "<|endoftext|>\nshort\n";
  EXPECT_EQ(Split(both).size(), 2u);
  DocumentSplitter splitter(both, /*cut_long=*/true);
  std::string_view document;
  std::string joined;
  std::vector<std::string_view> pieces;
  while (splitter.Next(document)) pieces.push_back(document);
  ASSERT_GE(pieces.size(), 5u);
  EXPECT_EQ(pieces.back(), "short");
  pieces.pop_back();
  for (const std::string_view piece : pieces) {
    EXPECT_LE(piece.size(), kPieceBytes);
    EXPECT_TRUE(piece.starts_with("paragraph "));
    joined += std::string(piece) + "\n\n";
  }
  EXPECT_EQ(joined, text);
}

TEST(Documents, LongOnesAreNeverCutInsideACharacter) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "\xe2\x82\xac";  // no blank anywhere
  DocumentSplitter splitter(text, /*cut_long=*/true);
  std::string_view document;
  std::string joined;
  while (splitter.Next(document)) {
    EXPECT_NO_THROW(CheckText(document, "x", 0));
    joined += document;
  }
  EXPECT_EQ(joined, text);
}

TEST(Documents, CuttingLongOnesLeavesOthersAlone) {
  // Documents around the sizes where the splitter's window ends.
  for (const size_t size : {kPieceBytes, kLongDocument - 1, kLongDocument, 2 * kLongDocument - 8, 2 * kLongDocument}) {
    const std::string first(size, 'a'), text = first + "\n<|endoftext|>   \nnext\n<|endoftext|>\nlast";
    List found;
    DocumentSplitter splitter(text, /*cut_long=*/true);
    std::string_view document;
    while (splitter.Next(document)) found.emplace_back(document);
    ASSERT_GE(found.size(), 3u) << size;
    EXPECT_EQ(found[found.size() - 2], "next");
    EXPECT_EQ(found.back(), "last");
    std::string joined;
    for (size_t i = 0; i + 2 < found.size(); ++i) joined += found[i];
    EXPECT_EQ(joined, first) << size;
    EXPECT_EQ(found.size() == 3, size <= kLongDocument) << size;
  }
}

TEST(Documents, BadBytesAreNamed) {
  EXPECT_NO_THROW(CheckText("plain\ttext\r\n\xc3\xa9 \xe2\x80\x9cquoted\xe2\x80\x9d \xf0\x9f\x98\x80 end", "f", 0));
  ExpectError([] { CheckText(std::string_view("abc\0def", 7), "f", 100); }, "control byte 0x00 at byte 103");
  ExpectError([] { CheckText("sixteen bytes ok\x01 and more", "f", 0); }, "control byte 0x01 at byte 16");
  ExpectError([] { CheckText("caf\xe9 au lait", "f", 0); }, "invalid UTF-8 byte 0xe9 at byte 3");
  ExpectError([] { CheckText("eight ok\x7f and more", "f", 0); }, "control byte 0x7f at byte 8");
  ExpectError([] { CheckText("caf\xe9 au lait", "f", 0); }, "iconv -f WINDOWS-1252");
  for (const char* bad :
       {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82 ", "\x80", "\xff", "\xf0\x80\x80\x80"}) {
    ExpectError([&] { CheckText(bad, "f", 0); }, "invalid UTF-8");
  }
}

// What ends inside a character was cut off, unless it may as well be a last letter in an encoding of one byte.
TEST(CheckText, NamesTextThatIsCutOff) {
  const std::string cut = "is not plain text: incomplete UTF-8 character 0x", hint = "its end is missing";
  for (const std::string part : {"\xe2\x80", "\xe0\xa0", "\xf0\x9f", "\xf0\x9f\x98", "\xf4\x8f\xbf"}) {
    ExpectError([&] { CheckText("One day " + part, "f", 0); }, cut);
    ExpectError([&] { CheckText("One day " + part, "f", 0); }, hint);
  }
  for (const std::string part : {"\xc3", "\xe2", "\xf0", "\xf0\x9f\x98"}) {
    ExpectError([&] { CheckText("caf\xc3\xa9 " + part, "f", 0); }, cut);
  }
  for (const std::string word :
       {"caf\xe9", "caf\xc3\xa9 \xff", "\xe0\x80", "caf\xc3\xa9 \xf4\x90", "caf\xc3\xa9 \xe9 "}) {
    ExpectError([&] { CheckText(word, "f", 0); }, "iconv -f WINDOWS-1252");
  }
}

std::string Utf16(std::string_view text, bool little) {
  std::string wide;
  for (const char c : text) wide += little ? std::string{c, '\0'} : std::string{'\0', c};
  return wide;
}

TEST(CheckText, NamesWideEncodings) {
  for (const bool little : {true, false}) {
    const std::string mark = little ? "\xff\xfe" : "\xfe\xff", text = Utf16("One day\nTom ran.", little);
    ExpectError([&] { CheckText(mark + text, "f", 0); }, "iconv -f UTF-16 -t UTF-8");
    const std::string name = little ? "UTF-16LE" : "UTF-16BE";
    ExpectError([&] { CheckText(text, "f", 0); }, "iconv -f " + name + " -t UTF-8");
    ExpectError([&] { CheckText(text.substr(1), "f", 1); }, "iconv -f " + name + " -t UTF-8");  // stripped
  }
  ExpectError([] { CheckText(std::string_view("\xff\xfe\0\0x\0\0\0", 8), "f", 0); }, "iconv -f UTF-32");
  ExpectError([] { CheckText(std::string_view("ELF\0\0\0\0\0\0", 9), "f", 0); }, "a binary file?");
}

List ReadAll(DocumentSource& source) {
  List documents;
  DocumentBatch batch;
  while (source.Next(batch)) documents.insert(documents.end(), batch.documents.begin(), batch.documents.end());
  return documents;
}

TEST(TextSource, ReadsTheTextFilesOfAFolderInOrder) {
  const ScratchFolder folder;
  folder.Write("in/b.txt", "three");
  folder.Write("in/a/x.txt", "one\n<|endoftext|>\ntwo");
  folder.Write("in/c.txt", "");
  folder.Write("in/note.md", "not this");
  TextSource source(folder / "in");
  EXPECT_EQ(ReadAll(source), (List{"one", "two", "three"}));
  EXPECT_EQ(source.bytes_read(), source.total_bytes());
  source.Rewind();
  EXPECT_EQ(ReadAll(source).size(), 3u);
}

TEST(TextSource, FollowsLinksAndReadsEachFileOnce) {
  const ScratchFolder folder;
  namespace fs = std::filesystem;
  folder.Write("elsewhere/deep/b.TXT", "two");
  folder.Write("elsewhere/single.text", "four");
  folder.Write("in/a.txt", "one");
  folder.Write("in/c.Txt", "three");
  fs::create_directory_symlink("../elsewhere", folder / "in/b");
  fs::create_directory_symlink("../../in", folder / "elsewhere/deep/back");  // a cycle
  fs::create_symlink("../elsewhere/single.text", folder / "in/d.txt");
  fs::create_symlink("a.txt", folder / "in/e.txt");  // read already
  fs::create_symlink("nothing", folder / "in/f.txt");
  TextSource source(folder / "in");
  EXPECT_EQ(ReadAll(source), (List{"one", "two", "three", "four"}));
  EXPECT_EQ(source.paths().size(), 7u);  // in, elsewhere, deep; four files
}

TEST(TextSource, NoticesThatAFileChanged) {
  const ScratchFolder folder;
  const std::string text = "one\n<|endoftext|>\ntwo", path = folder / "in.txt";
  const auto expect_noticed = [&](const std::function<void()>& change) {
    folder.Write("in.txt", text);
    TextSource source(path);
    EXPECT_EQ(ReadAll(source).size(), 2u);
    change();
    source.Rewind();
    ExpectError([&] { ReadAll(source); }, "in.txt' changed while it was being read");
    std::filesystem::remove(path);
  };
  expect_noticed([&] { std::filesystem::resize_file(path, 3); });
  expect_noticed([&] { std::filesystem::resize_file(path, 0); });
  expect_noticed([&] { std::ofstream(path, std::ios::app) << "three"; });
  expect_noticed([&] {  // another file of the same size and time in its place
    const auto time = std::filesystem::last_write_time(path);
    folder.Write("other.txt", "one\n<|endoftext|>\nTWO");
    std::filesystem::last_write_time(folder / "other.txt", time);
    std::filesystem::rename(folder / "other.txt", path);
  });
  // Grown while it is read, behind the end of what was there.
  TextSource source(folder.Write("in.txt", text));
  DocumentBatch batch;
  std::ofstream(path, std::ios::app) << "three";
  ExpectError(
      [&] {
        while (source.Next(batch)) continue;
      },
      "changed while it was being read");
}

TEST(TextSource, ReadsPipesAsOftenAsAsked) {
  const ScratchFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe) << "one\n<|endoftext|>\ntwo"; });
  TextSource source(pipe);
  writer.join();
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(ReadAll(source), (List{"one", "two"}));
    source.Rewind();
  }
  std::thread again([&] { std::ofstream(pipe) << "one\n<|endoftext|>\ntwo"; });
  EXPECT_EQ(TextSource(pipe).Identity(), source.Identity());
  again.join();
}

TEST(TextSource, RefusesWhatIsNotText) {
  const ScratchFolder folder;
  ExpectError([&] { TextSource source(folder / "missing.txt"); }, "missing.txt");
  ExpectError([&] { TextSource source(folder.Write("empty.txt", "")); }, "is empty");
  std::filesystem::create_directory(folder / "none");
  ExpectError([&] { TextSource source(folder / "none"); }, "holds no .txt file");
  TextSource binary(folder.Write("binary.txt", std::string_view("ELF\0\0\0\0\0\0\0", 10)));
  ExpectError([&] { ReadAll(binary); }, "not plain text");
  const std::string second = folder.Write("latin.txt", "fine\n<|endoftext|>\nna\xefve text");
  TextSource latin(second);
  ExpectError([&] { ReadAll(latin); }, "at byte 21");
}

}  // namespace
}  // namespace flashlm
