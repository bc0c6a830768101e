#include "tests/support/log_tools.h"

#include "base/check.h"
#include "tsdb/wal/log_writer.h"

namespace tarsier::testing {

std::string from_hex(std::string_view hex) {
  std::string out;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ' || c == '|' || c == '\n') continue;
    CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'), std::string(1, c));
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<char>(high * 16 + digit));
      high = -1;
    }
  }
  CHECK(high < 0, "an odd number of digits");
  return out;
}

void put_file(FileSystem& files, const std::string& path, std::string_view contents) {
  CHECK(files.create_directories(parent_path(path)).ok());
  const auto file = files.open_writable(path, OpenMode::kTruncate).value();
  CHECK(file->append(as_bytes(contents)).ok());
  CHECK(file->sync().ok());
  for (std::string directory = parent_path(path); directory != ".";
       directory = parent_path(directory)) {
    CHECK(files.sync_directory(directory).ok());
  }
  CHECK(files.sync_directory(".").ok());
}

std::string get_file(FileSystem& files, const std::string& path) {
  return read_file(files, path, std::uint64_t{1} << 30).value();
}

std::vector<std::string> lay_out(const std::vector<std::string>& records,
                                 tsdb::WalCompression compression, std::size_t segment_bytes) {
  tsdb::LogWriter writer(0, segment_bytes);
  tsdb::LogOutput output;
  for (const std::string& record : records) {
    tsdb::EncodedRecord encoded;
    encoded.encode(as_bytes(record), compression);
    writer.append(encoded, output);
  }
  std::vector<std::string> segments;
  std::size_t begin = 0;
  for (const tsdb::LogOutput::Cut& cut : output.cuts) {
    segments.push_back(output.bytes.substr(begin, cut.at - begin));
    begin = cut.at;
  }
  segments.push_back(output.bytes.substr(begin));
  return segments;
}

LogContents read_log(FileSystem& files, const std::string& wal_directory) {
  LogContents contents;
  auto reader = tsdb::LogReader::open(files, wal_directory);
  if (!reader.ok()) {
    contents.status = reader.status();
    return contents;
  }
  while (reader.value()->next()) contents.records.emplace_back(as_text(reader.value()->record()));
  contents.status = reader.value()->status();
  contents.damage = reader.value()->damage();
  return contents;
}

}  // namespace tarsier::testing
