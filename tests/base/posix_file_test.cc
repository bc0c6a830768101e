#include "base/posix_file.h"

#include <chrono>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "tests/support/temporary_directory.h"

namespace tarsier {
namespace {

class PosixFileTest : public ::testing::Test {
 protected:
  std::string path(std::string_view name) const { return join_path(directory_.path(), name); }
  testing::TemporaryDirectory directory_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
};

TEST_F(PosixFileTest, AtomicWritePublishesTheWholeFileAndNoLeftover) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "one").ok());
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "two").ok());
  EXPECT_EQ(read_file(*files_, path("a"), 100).value(), "two");
  EXPECT_EQ(files_->list(directory_.path()).value().size(), 1u);
}

TEST_F(PosixFileTest, ReadingPastTheEndIsCorruptionAndMissingIsNotFound) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "abc").ok());
  for (const Access access : {Access::kRead, Access::kMap}) {
    const auto file = files_->open_readable(path("a"), access).value();
    std::byte buffer[4];
    EXPECT_TRUE(file->read_at(1, std::span(buffer, 2)).ok());
    EXPECT_EQ(as_text(std::span(buffer, 2)), "bc");
    EXPECT_EQ(file->read_at(1, buffer).code(), Code::kCorruption);
  }
  EXPECT_EQ(files_->open_readable(path("b"), Access::kRead).status().code(), Code::kNotFound);
  EXPECT_EQ(read_file(*files_, path("a"), 2).status().code(), Code::kLimit);
}

TEST_F(PosixFileTest, PipesAndDevicesAreReadToTheirEnd) {
  EXPECT_EQ(read_file(*files_, "/dev/null", 100).value(), "");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int writer =
      ::open(path("pipe").c_str(), O_RDWR | O_CLOEXEC);  // Does not wait for readers.
  ASSERT_GE(writer, 0);
  ASSERT_EQ(::write(writer, "through a pipe", 14), 14);
  std::thread closer([writer] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ::close(writer);
  });
  EXPECT_EQ(read_file(*files_, path("pipe"), 100).value(), "through a pipe");
  closer.join();
  EXPECT_EQ(read_file(*files_, "/dev/zero", 100).status().code(), Code::kLimit);
  EXPECT_EQ(read_file(*files_, path(""), 100).status().code(), Code::kInvalid);
}

TEST_F(PosixFileTest, AppendGoesOnWhereTheFileEnded) {
  for (const char* text : {"a", "b"}) {
    auto file = files_->open_writable(path("log"), OpenMode::kAppend).value();
    ASSERT_TRUE(file->append(as_bytes(text)).ok());
    ASSERT_TRUE(file->sync().ok());
  }
  EXPECT_EQ(read_file(*files_, path("log"), 10).value(), "ab");
}

TEST_F(PosixFileTest, ARewritableFileKeepsItsSizeAndWhatWasWrittenLast) {
  ASSERT_TRUE(write_file_atomically(*files_, path("slots"), "something older").ok());
  const auto file = files_->open_rewritable(path("slots"), 6).value();
  ASSERT_TRUE(file->write_at(1, as_bytes("abc")).ok());
  ASSERT_TRUE(file->write_at(2, as_bytes("xy")).ok());
  EXPECT_EQ(read_file(*files_, path("slots"), 10).value(), std::string("\0axy\0\0", 6));
}

TEST_F(PosixFileTest, ASecondLockIsRefusedUntilTheFirstIsGone) {
  auto held = files_->lock(path("lock"));
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(files_->lock(path("lock")).status().code(), Code::kUnavailable);
  (*held).reset();
  EXPECT_TRUE(files_->lock(path("lock")).ok());
  EXPECT_FALSE(files_->exists(path("lock"))) << "a clean end leaves no lock file";
}

TEST_F(PosixFileTest, RemovesTreesAndCreatesParents) {
  ASSERT_TRUE(files_->create_directories(path("x/y/z")).ok());
  ASSERT_TRUE(write_file_atomically(*files_, path("x/y/f"), "1").ok());
  ASSERT_TRUE(files_->remove_all(path("x")).ok());
  EXPECT_FALSE(files_->exists(path("x")));
  EXPECT_TRUE(files_->remove_all(path("x")).ok());
}

}  // namespace
}  // namespace tarsier
