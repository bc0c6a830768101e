#include "server/scratch_db.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

namespace tarsier::server {

Result<std::unique_ptr<ScratchDb>> ScratchDb::open(FileSystem& files, Logger& log, Order order) {
  std::string name = (std::filesystem::temp_directory_path() / "tarsier-XXXXXX").string();
  if (!::mkdtemp(name.data())) return io_error("cannot make a temporary directory: " + name);
  std::unique_ptr<ScratchDb> out(new ScratchDb(files, name));
  tsdb::Options options;
  options.wal_sync = tsdb::WalSync::kNone;
  options.wal_buffer_bytes_max = std::size_t{1} << 40;  // The log is never written.
  if (order == Order::kAny) options.out_of_order_time_window = hours(24 * 365 * 100);
  out->db_ = TRY(tsdb::Db::open(files, out->data_path(), options, log, nullptr));
  return out;
}

ScratchDb::~ScratchDb() {
  db_.reset();
  static_cast<void>(files_.remove_all(path_));
}

std::string ScratchDb::data_path() const { return join_path(path_, "data"); }

}  // namespace tarsier::server
