#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/result.h"
#include "server/scratch_db.h"
#include "tsdb/labels.h"
#include "tsdb/querier.h"

namespace tarsier::server {

/// Waits for a request's answer.
using AskServer = std::function<Result<HttpResponse>(HttpFetch)>;

/// What a server stores, with what was recorded here on top: every selection is fetched over remote
/// read into a scratch database of its own, the recorded series of the same selection beside it.
/// Where both have a sample of one time, the server's counts. One thread at a time; views must not
/// outlive it. Borrows everything.
class RemoteSource final : public tsdb::Queryable {
 public:
  struct Doors {
    FileSystem& files;
    Logger& log;
    const AskServer& ask;
    std::string url;               ///< Of the server, without a slash at its end.
    tsdb::Labels external_labels;  ///< Which the server adds to what it hands out.
    tsdb::Queryable& recorded;
  };
  explicit RemoteSource(Doors doors) : doors_(std::move(doors)) {}

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override;
  /// Lets go of what was fetched. REQUIRES: no view is left.
  void forget() { fetched_.clear(); }

 private:
  class View;
  Result<std::unique_ptr<tsdb::SeriesSet>> fetch(const std::vector<tsdb::Matcher>& matchers,
                                                 const tsdb::SelectHints& hints);
  Status fetch_into(tsdb::Db& db, const std::vector<tsdb::Matcher>& matchers, TimeRange range);

  const Doors doors_;
  std::vector<std::unique_ptr<ScratchDb>> fetched_;
};

/// The message of a remote read of one selection.
std::string read_request(const std::vector<tsdb::Matcher>& matchers, TimeRange range);

}  // namespace tarsier::server
