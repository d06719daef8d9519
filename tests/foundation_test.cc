// Tests error.h, units.h, names.h and file.h.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "environment.h"
#include "expect.h"
#include "segue/file.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;

TEST(Units, BytesUseLargestUnitAboveOne) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(kMiB - 1), "1024.00 KiB");
  EXPECT_EQ(format_bytes(kMiB), "1.00 MiB");
  EXPECT_EQ(format_mib(8115978), "7.74");
}

TEST(AppendedFile, AppendsAndTruncates) {
  const testing::ScratchFolder scratch;
  const fs::path path = scratch.path() / "new" / "lines";
  {
    AppendedFile file(path);
    file.append("one\ntw");
    file.cut_to(4);
    file.append("two\n");
  }
  EXPECT_EQ(read_text_file(path, 100), "one\ntwo\n");
}

TEST(AppendedFile, SecondWriterIsRefused) {
  const testing::ScratchFolder scratch;
  const fs::path path = scratch.path() / "lines";
  {
    const AppendedFile file(path);
    expect_error(ErrorCode::kIo, [&] { const AppendedFile other(path); },
                 {path.string(), "another process writes to it"});
  }
  EXPECT_NO_THROW({ const AppendedFile other(path); });
  expect_error(ErrorCode::kIo, [&] { const AppendedFile folder(scratch.path()); }, {"cannot open"});
}

TEST(Units, MacsUseDecimalPrefixes) {
  EXPECT_EQ(format_macs(12), "12 MAC");
  EXPECT_EQ(format_macs(154'530'000), "154.53 MMAC");
  EXPECT_EQ(format_macs(3'860'000'000), "3.86 GMAC");
}

TEST(Units, CountsUseSingularAndPlural) {
  EXPECT_EQ(format_count(0, "operator"), "0 operators");
  EXPECT_EQ(format_count(1, "operator"), "1 operator");
  EXPECT_EQ(format_count(2, "Edge TPU"), "2 Edge TPUs");
  EXPECT_EQ(format_count(2, "latency"), "2 latencies");
  EXPECT_EQ(format_count(2, "class"), "2 classes");
}

TEST(Names, UnknownNameSuggestsOnlyCloseOnes) {
  const std::array<std::string, 3> known{"resnet50", "resnet101", "vgg16"};
  EXPECT_EQ(did_you_mean("resnet51", known), "; did you mean 'resnet50', 'resnet101'?");
  EXPECT_EQ(did_you_mean("something else", known), "");
}

TEST(StagedFiles, FilesAppearOnlyOnCommit) {
  const testing::ScratchFolder scratch;
  const fs::path target = scratch.path() / "deep" / "a.txt";
  StagedFiles files;
  files.stage(target, "text");
  EXPECT_FALSE(fs::exists(target));
  files.commit();
  EXPECT_EQ(read_text_file(target, 100), "text");
}

TEST(StagedFiles, FailedRenameIsReported) {
  const testing::ScratchFolder scratch;
  const fs::path path = scratch.path() / "taken";
  StagedFiles files;
  files.stage(path, "text");
  fs::create_directory(path);
  expect_error(ErrorCode::kIo, [&] { files.commit(); }, {"taken"});
  EXPECT_TRUE(fs::is_directory(path));
}

TEST(StagedFiles, UncommittedFilesAreRemoved) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "a.txt", "old");
  {
    StagedFiles files;
    files.stage(scratch.path() / "a.txt", "new");
    files.stage(scratch.path() / "b.txt", "new");
  }
  EXPECT_EQ(read_text_file(scratch.path() / "a.txt", 100), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1);
}

TEST(StagedFiles, UncommittedFoldersAreRemoved) {
  const testing::ScratchFolder scratch;
  { StagedFiles().stage(scratch.path() / "a" / "b" / "c.txt", "text"); }
  EXPECT_FALSE(fs::exists(scratch.path() / "a"));
}

TEST(StagedFiles, SymlinksAreFollowedDevicesRefused) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "real.txt", "old");
  fs::create_symlink("real.txt", scratch.path() / "link.txt");
  write_file(scratch.path() / "link.txt", "new");
  EXPECT_TRUE(fs::is_symlink(scratch.path() / "link.txt"));
  EXPECT_EQ(read_text_file(scratch.path() / "real.txt", 100), "new");
  expect_error(ErrorCode::kIo, [] { write_file("/dev/null", "text"); }, {"not a regular file"});
}

TEST(StagedFiles, FileInPlaceOfFolderIsReported) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "a", "text");
  expect_error(ErrorCode::kIo, [&] { write_file(scratch.path() / "a" / "b", "text"); }, {"a"});
}

// This runs in a child, because nothing may use the sets after the clean-up.
TEST(StagedFiles, InterruptKeepsExistingFiles) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "old.txt", "old");
  const auto interrupted = [&] {
    StagedFiles first;
    first.stage(scratch.path() / "old.txt", "new");
    first.stage(scratch.path() / "a" / "b" / "c.txt", "new");
    StagedFiles second;
    second.stage(scratch.path() / "d.txt", "new");
    second.commit();
    remove_staged_files();
    ::_exit(0);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(read_text_file(scratch.path() / "old.txt", 100), "old");
  EXPECT_EQ(read_text_file(scratch.path() / "d.txt", 100), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 2);
}

TEST(StagedFiles, NameOf255BytesIsWritten) {
  const testing::ScratchFolder scratch;
  const std::string longest(255, 'n');
  write_file(scratch.path() / longest, "text");
  EXPECT_EQ(read_text_file(scratch.path() / longest, 100), "text");
}

TEST(ReadTextFile, PipesAndFoldersAreRefused) {
  const testing::ScratchFolder scratch;
  const fs::path pipe = scratch.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_error(ErrorCode::kIo, [&] { (void)read_text_file(pipe, 99); }, {"not a regular file"});
  expect_error(ErrorCode::kIo, [&] { (void)read_text_file(scratch.path(), 99); },
               {"not a regular file"});
}

TEST(ReadTextFile, FileAboveSizeLimitIsRefused) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "long", std::string(100, 'x'));
  expect_error(ErrorCode::kIo, [&] { (void)read_text_file(scratch.path() / "long", 99); },
               {"long", "99"});
  expect_error(ErrorCode::kIo, [&] { (void)read_text_file(scratch.path() / "none", 99); });
}

}  // namespace
}  // namespace segue
