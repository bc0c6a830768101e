#include "tests/support/faulty_file_system.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace tarsier::testing {
namespace {

/// What is at `path`: the contents, or "-" if there is nothing.
std::string look(FileSystem& files, const std::string& path) {
  auto contents = read_file(files, path, 1 << 20);
  return contents.ok() ? std::move(contents).value() : "-";
}

/// Every outcome a power cut now can have for `path`.
std::set<std::string> outcomes(const FaultyFileSystem& files, const std::string& path) {
  std::set<std::string> out;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    out.insert(look(*files.after_power_cut(seed), path));
  }
  return out;
}

std::unique_ptr<WritableFile> write_new(FaultyFileSystem& files, const std::string& path,
                                        std::string_view text) {
  auto file = files.open_writable(path, OpenMode::kTruncate).value();
  EXPECT_TRUE(file->append(as_bytes(text)).ok());
  return file;
}

TEST(FaultyFileSystem, KeepsWhatWasSynced) {
  FaultyFileSystem files;
  const auto file = write_new(files, "a", "synced");
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(files.sync_directory(".").ok());
  EXPECT_EQ(outcomes(files, "a"), std::set<std::string>{"synced"});
}

TEST(FaultyFileSystem, MayForgetANameWhoseDirectoryWasNotSynced) {
  FaultyFileSystem files;
  const auto file = write_new(files, "a", "synced");
  ASSERT_TRUE(file->sync().ok());
  EXPECT_EQ(outcomes(files, "a"), (std::set<std::string>{"-", "synced"}));
}

TEST(FaultyFileSystem, KeepsAnyPrefixOfUnsyncedBytesPossiblyTorn) {
  FaultyFileSystem files;
  const auto file = write_new(files, "a", "synced");
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(files.sync_directory(".").ok());
  ASSERT_TRUE(file->append(as_bytes("xyz")).ok());
  std::set<std::string> seen = outcomes(files, "a");
  for (const char* expected : {"synced", "syncedx", "syncedxy", "syncedxyz"}) {
    EXPECT_TRUE(seen.contains(expected)) << expected;
  }
  EXPECT_TRUE(seen.contains(std::string("synced\0\0\0", 9)));
  for (const std::string& s : seen) EXPECT_EQ(s.substr(0, 6), "synced");
}

TEST(FaultyFileSystem, RenamesAtomicallyAndLosesTheRenameUntilTheDirectoryIsSynced) {
  FaultyFileSystem files;
  write_new(files, "old", "O")->sync().ok();
  ASSERT_TRUE(files.sync_directory(".").ok());
  ASSERT_TRUE(files.rename("old", "new").ok());
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto later = files.after_power_cut(seed);
    EXPECT_NE(later->exists("old"), later->exists("new"));
  }
  EXPECT_EQ(outcomes(files, "new").size(), 2u);
  ASSERT_TRUE(files.sync_directory(".").ok());
  EXPECT_EQ(outcomes(files, "new"), std::set<std::string>{"O"});
}

TEST(FaultyFileSystem, PublishesAtomicFilesWholeOrNotAtAll) {
  FaultyFileSystem counting;
  ASSERT_TRUE(write_file_atomically(counting, "f", "contents").ok());
  for (std::uint64_t k = 1; k <= counting.operation_count(); ++k) {
    FaultyFileSystem files;
    files.cut_power_at(k);
    EXPECT_FALSE(write_file_atomically(files, "f", "contents").ok());
    for (const std::string& outcome : outcomes(files, "f")) {
      EXPECT_TRUE(outcome == "-" || outcome == "contents") << outcome;
    }
  }
}

TEST(FaultyFileSystem, DoesNothingOnceThePowerIsCut) {
  FaultyFileSystem files;
  const auto file = write_new(files, "a", "x");
  files.cut_power_at(files.operation_count() + 1);
  EXPECT_EQ(file->sync().code(), Code::kIo);
  EXPECT_TRUE(files.power_is_cut());
  EXPECT_EQ(file->append(as_bytes("y")).code(), Code::kIo);
  EXPECT_EQ(files.list(".").status().code(), Code::kIo);
  EXPECT_TRUE(outcomes(files, "a").contains("-"));
}

TEST(FaultyFileSystem, NeverMakesBytesOfAFailedSyncDurable) {
  FaultyFileSystem files;
  const auto file = write_new(files, "a", "lost");
  ASSERT_TRUE(files.sync_directory(".").ok());
  files.fail_sync(1);
  EXPECT_EQ(file->sync().code(), Code::kIo);
  EXPECT_EQ(look(files, "a"), "lost");
  ASSERT_TRUE(file->append(as_bytes("kept")).ok());
  ASSERT_TRUE(file->sync().ok());
  EXPECT_EQ(outcomes(files, "a"), std::set<std::string>{std::string("\0\0\0\0kept", 8)});
}

TEST(FaultyFileSystem, TakesWhatFitsOnAFullDisk) {
  FaultyFileSystem files;
  files.fill_disk_after(3);
  const auto file = files.open_writable("a", OpenMode::kTruncate).value();
  EXPECT_EQ(file->append(as_bytes("four")).code(), Code::kIo);
  EXPECT_EQ(look(files, "a"), "fou");
}

TEST(FaultyFileSystem, LosesNothingInAProcessCrashAndSyncsNothing) {
  FaultyFileSystem files;
  write_new(files, "a", "text");
  const auto later = files.after_process_crash();
  EXPECT_EQ(look(*later, "a"), "text");
  EXPECT_TRUE(outcomes(*later, "a").contains("-"));
}

TEST(FaultyFileSystem, ForgetsAWholeDirectoryWithItsName) {
  FaultyFileSystem files;
  ASSERT_TRUE(files.create_directories("d/e").ok());
  write_new(files, "d/e/f", "x")->sync().ok();
  ASSERT_TRUE(files.sync_directory("d/e").ok());
  ASSERT_TRUE(files.sync_directory("d").ok());
  EXPECT_EQ(outcomes(files, "d/e/f"), (std::set<std::string>{"-", "x"}));
  ASSERT_TRUE(files.sync_directory(".").ok());
  EXPECT_EQ(outcomes(files, "d/e/f"), std::set<std::string>{"x"});
  ASSERT_TRUE(files.remove_all("d").ok());
  EXPECT_EQ(outcomes(files, "d/e/f"), (std::set<std::string>{"-", "x"}));
}

TEST(FaultyFileSystem, RepeatsItselfForTheSameSeed) {
  FaultyFileSystem files;
  write_new(files, "a", std::string(5000, 'q'));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(look(*files.after_power_cut(seed), "a"), look(*files.after_power_cut(seed), "a"));
  }
}

}  // namespace
}  // namespace tarsier::testing
