#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/db.h"

namespace tarsier::server {

/// A database in a temporary directory, gone with this object: what commands compute in. Nothing is
/// synced, for nobody will look at it again.
class ScratchDb final {
 public:
  enum class Order : unsigned char {
    kInOrder,
    kAny,  ///< Samples of a series may come in any order.
  };
  static Result<std::unique_ptr<ScratchDb>> open(FileSystem& files, Logger& log,
                                                 Order order = Order::kInOrder);
  ~ScratchDb();

  tsdb::Db& db() { return *db_; }
  std::string data_path() const;

 private:
  ScratchDb(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<tsdb::Db> db_;
};

}  // namespace tarsier::server
