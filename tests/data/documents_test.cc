#include "data/documents.h"

#include <gtest/gtest.h>

#include "scratch.h"

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
  EXPECT_EQ(Split("<|endoftext|><|endoftext|>\nx"), (List{"<|endoftext|><|endoftext|>\nx"}));
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
  ExpectError([] { CheckText("caf\xe9 au lait", "f", 0); }, "iconv");
  for (const char* bad :
       {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xff", "\xf0\x80\x80\x80"}) {
    ExpectError([&] { CheckText(bad, "f", 0); }, "invalid UTF-8");
  }
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
