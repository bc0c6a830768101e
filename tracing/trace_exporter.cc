#include "tracing/trace_exporter.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "base/compression.h"
#include "base/mutex.h"
#include "base/protobuf_reader.h"
#include "base/retry_after.h"
#include "tracing/buffer/span_log.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {
namespace {

constexpr Duration kPauseLeast = seconds(1);
constexpr Duration kPauseMost = seconds(30);
constexpr Duration kSyncInterval = seconds(1);
/// What is sent twice after a crash is at most this much: a segment goes when all of it was sent.
constexpr std::uint64_t kSegmentBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kAnswerBytesMax = std::uint64_t{64} << 10;

/// One request in the queue.
struct Waiting {
  std::shared_ptr<SpanLogPlace> place;
  std::uint64_t span_count = 0;
};

enum class Verdict : unsigned char { kTaken, kAgain, kRefused };

struct Outcome {
  Verdict verdict = Verdict::kTaken;
  std::uint64_t rejected = 0;  ///< Spans of a request that was taken.
  std::string message;
  HttpHeaders headers;
};

/// `partial_success` of an ExportTraceServiceResponse.
void read_partial_success(std::string_view body, Outcome& out) {
  const auto is = [](const ProtobufReader& fields, std::uint32_t field, std::uint8_t type) {
    return fields.field() == field && fields.type() == type;
  };
  ProtobufReader answer(body);
  while (answer.next()) {
    if (!is(answer, 1, ProtobufReader::kBytes)) continue;
    ProtobufReader partial(answer.bytes());
    while (partial.next()) {
      if (is(partial, 1, ProtobufReader::kVarint)) out.rejected = partial.number();
      if (is(partial, 2, ProtobufReader::kBytes)) out.message = partial.bytes().substr(0, 300);
    }
  }
}

Outcome judge(Result<HttpResponse> answer) {
  if (!answer.ok()) {
    return {.verdict = Verdict::kAgain, .message = answer.status().message(), .headers = {}};
  }
  Outcome out{.message = {}, .headers = std::move(answer->headers)};
  const int status = answer->status;
  if (status / 100 == 2) {
    read_partial_success(answer->body, out);
    return out;
  }
  out.message = fmt::format("the other side answered {} {}", status, http_reason_phrase(status));
  const bool is_temporary = status / 100 == 5 || status == 429 || status == 408;
  out.verdict = is_temporary ? Verdict::kAgain : Verdict::kRefused;
  return out;
}

std::string packed(ExportCompression compression, std::string_view request) {
  std::string out;
  switch (compression) {
    case ExportCompression::kNone: return std::string(request);
    case ExportCompression::kGzip: gzip_compress(as_bytes(request), out); break;
    case ExportCompression::kZstd: zstd_compress(as_bytes(request), 3, out); break;
  }
  return out;
}

/// Spans with what they were sent under, as one request.
class RequestOfKept final {
 public:
  void add(const KeptSpan& span) {
    const bool is_same_resource =
        has_any_ && span.resource == resource_ && span.resource_schema_url == resource_schema_;
    const bool is_same_scope =
        is_same_resource && span.scope == scope_ && span.scope_schema_url == scope_schema_;
    if (!is_same_resource) writer_.resource(span.resource, span.resource_schema_url);
    if (!is_same_scope) writer_.scope(span.scope, span.scope_schema_url);
    writer_.span(span.span);
    has_any_ = true;
    resource_ = span.resource;
    resource_schema_ = span.resource_schema_url;
    scope_ = span.scope;
    scope_schema_ = span.scope_schema_url;
  }
  std::string take() { return writer_.take(); }

 private:
  RequestWriter writer_;
  bool has_any_ = false;
  std::string_view resource_, resource_schema_, scope_, scope_schema_;
};

}  // namespace

struct TraceExporter::State {
  State(Doors doors_of, std::string directory_of)
      : doors(std::move(doors_of)), directory(std::move(directory_of)) {}

  Status open_queue();
  void enqueue(const std::string& request, Timestamp now) EXCLUDES_LOCK(mutex);
  void enqueue(const SpanBatch& batch, Timestamp now) EXCLUDES_LOCK(mutex);
  /// After it, what is queued survives a power cut; what was sent is removed. Trouble is told.
  void sync_queue() EXCLUDES_LOCK(mutex);
  void settle(Timestamp now) EXCLUDES_LOCK(mutex);
  void send(const std::shared_ptr<State>& self) EXCLUDES_LOCK(mutex);
  bool wants(bool is_all) const {
    const MutexLock lock(mutex);
    return options && log && options->is_all == is_all;
  }

  const Doors doors;
  const std::string directory;

  Mutex sync_mutex;  ///< Before `mutex`. One at a time syncs the queue.
  mutable Mutex mutex;
  std::optional<TraceExportOptions> options GUARDED_BY(mutex);
  /// Set once, before the first use by others.
  std::shared_ptr<SpanLog> log GUARDED_BY(mutex);
  std::deque<Waiting> waiting GUARDED_BY(mutex);
  bool is_sending GUARDED_BY(mutex) = false;
  std::optional<Outcome> outcome GUARDED_BY(mutex);  ///< Of what is being sent.
  bool is_over_full GUARDED_BY(mutex) = false;

  // Of the thread that calls run_due.
  Timestamp next_try{0};
  Timestamp next_sync{0};
  Duration pause{0};

  Counter spans_sent;
  Counter spans_refused;
  Counter spans_dropped;
  Counter requests_repeated;
};

TraceExporter::TraceExporter(Doors doors, std::string directory)
    : state_(std::make_shared<State>(std::move(doors), std::move(directory))) {}

TraceExporter::~TraceExporter() = default;

Status TraceExporter::State::open_queue() {
  {
    const MutexLock lock(mutex);
    if (log) return {};
  }
  std::shared_ptr<SpanLog> opened =
      TRY(SpanLog::open(doors.files, directory, {.segment_bytes = kSegmentBytes}, doors.log));
  std::deque<Waiting> left;
  TRY(opened->replay([&](const std::shared_ptr<const SpanBatch>& batch, Timestamp,
                         std::shared_ptr<SpanLogPlace> place) {
    left.push_back({.place = std::move(place), .span_count = batch->spans().size()});
  }));
  const MutexLock lock(mutex);
  waiting = std::move(left);
  log = std::move(opened);
  return {};
}

Status TraceExporter::apply(std::optional<TraceExportOptions> options) {
  State& state = *state_;
  const Status opened = options ? state.open_queue() : Status();
  {
    const MutexLock lock(state.mutex);
    state.options = opened.ok() ? std::move(options) : std::nullopt;
  }
  state.next_try = Timestamp{0};
  state.pause = Duration{0};
  return opened;
}

void TraceExporter::State::enqueue(const std::string& request, Timestamp now) {
  const auto batch = SpanBatch::decode(request);
  if (!batch.ok()) {
    doors.log.error("Kept spans cannot be sent on", {{"err", batch.status().message()}});
    return;
  }
  enqueue(**batch, now);
}

void TraceExporter::State::enqueue(const SpanBatch& batch, Timestamp now) {
  if (batch.spans().empty()) return;
  std::shared_ptr<SpanLog> queue;
  std::uint64_t bytes_max = 0;
  {
    const MutexLock lock(mutex);
    if (!log || !options) return;
    queue = log;
    bytes_max = options->queue_bytes_max;
  }
  const bool is_full = queue->disk_bytes() + queue->pending_bytes() >= bytes_max;
  bool was_full = false;
  {
    const MutexLock lock(mutex);
    was_full = std::exchange(is_over_full, is_full);
  }
  if (is_full) {
    spans_dropped.add(batch.spans().size());
    if (!was_full) {
      doors.log.warn("Traces are not sent on: the queue is full",
                     {{"bytes", fmt::format("{}", bytes_max)}});
    }
    return;
  }
  const SpanLog::Appended appended = queue->append(batch, now);
  {
    const MutexLock lock(mutex);
    waiting.push_back({.place = appended.place, .span_count = batch.spans().size()});
  }
  // Without a wait for the disk: what cannot be written now is written to the next segment.
  queue->when_written(appended.position, [](const Status&) {});
  doors.wake();
}

Status TraceExporter::keep(std::span<const KeptTrace> traces, Timestamp now) {
  State& state = *state_;
  TRY(state.doors.store.keep(traces, now));
  if (!state.wants(false)) return {};
  RequestOfKept request;
  for (const KeptTrace& trace : traces) {
    for (const KeptSpan& span : trace.spans) request.add(span);
  }
  state.enqueue(request.take(), now);
  return {};
}

Status TraceExporter::sync() {
  TRY(state_->doors.store.sync());
  // Whoever asks forgets the spans next: until then they would be kept, and queued, once more.
  state_->sync_queue();
  return {};
}

void TraceExporter::State::sync_queue() {
  std::shared_ptr<SpanLog> queue;
  {
    const MutexLock lock(mutex);
    queue = log;
  }
  if (!queue) return;
  const MutexLock lock(sync_mutex);
  Status status = queue->sync();
  if (status.ok()) status = queue->remove_segments(queue->removable_segments());
  if (!status.ok()) {
    doors.log.warn("The queue of traces to send on has trouble with the disk",
                   {{"err", status.message()}});
  }
}

void TraceExporter::observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) {
  State& state = *state_;
  if (!state.wants(true)) return;
  if (admission.duplicates.empty() && admission.rejected.empty()) {
    state.enqueue(batch, now);
    return;
  }
  RequestOfKept request;
  for_each_admitted(batch, admission, [&](const SpanRecord& span) {
    const SpanResource& resource = batch.resource_of(span);
    const SpanScope& scope = batch.scope_of(span);
    request.add({.resource = resource.wire,
                 .resource_schema_url = resource.schema_url,
                 .scope = scope.wire,
                 .scope_schema_url = scope.schema_url,
                 .span = span.wire});
  });
  state.enqueue(request.take(), now);
}

/// Takes in the answer to what was sent.
void TraceExporter::State::settle(Timestamp now) {
  Outcome answer;
  Waiting front;
  {
    const MutexLock lock(mutex);
    if (!outcome) return;
    answer = std::move(*outcome);
    outcome.reset();
    is_sending = false;
    front = waiting.front();
    if (answer.verdict != Verdict::kAgain) {
      log->forget(*front.place);
      waiting.pop_front();
      // An idle queue leaves nothing that would be sent again after a crash.
      if (waiting.empty()) log->cut();
    }
  }
  if (answer.verdict == Verdict::kAgain) {
    requests_repeated.add();
    if (pause.ms == 0) {
      doors.log.warn("Traces cannot be sent on; they wait", {{"err", answer.message}});
    }
    pause = std::clamp(pause + pause, kPauseLeast, kPauseMost);
    next_try = now + std::max(pause, retry_after(answer.headers, now));
    return;
  }
  if (std::exchange(pause, Duration{0}).ms != 0) doors.log.info("Traces are sent on again");
  next_try = Timestamp{0};
  const std::uint64_t refused = answer.verdict == Verdict::kRefused
                                    ? front.span_count
                                    : std::min(answer.rejected, front.span_count);
  spans_sent.add(front.span_count - refused);
  spans_refused.add(refused);
  if (refused > 0) {
    doors.log.warn("Spans were refused by whom they were sent on to",
                   {{"spans", fmt::format("{}", refused)}, {"err", answer.message}});
  }
}

void TraceExporter::State::send(const std::shared_ptr<State>& self) {
  TraceExportOptions how;
  Waiting front;
  std::shared_ptr<SpanLog> queue;
  {
    const MutexLock lock(mutex);
    if (is_sending || waiting.empty() || !options) return;
    if (!log->is_written(*waiting.front().place)) return;  // The disk has trouble.
    is_sending = true;
    how = *options;
    front = waiting.front();
    queue = log;
  }
  const auto batch = queue->read(*front.place);
  if (!batch.ok()) {
    const MutexLock lock(mutex);
    outcome =
        Outcome{.verdict = Verdict::kRefused, .message = batch.status().message(), .headers = {}};
    return doors.wake();
  }
  HttpFetch request{.url = how.url,
                    .headers = {{"Content-Type", "application/x-protobuf"}},
                    .method = "POST",
                    .body = packed(how.compression, (*batch)->wire()),
                    .timeout = how.timeout,
                    .body_size_max = kAnswerBytesMax,
                    .config = std::make_shared<const HttpClientConfig>(how.http)};
  if (how.compression != ExportCompression::kNone) {
    request.headers.emplace_back("Content-Encoding",
                                 how.compression == ExportCompression::kGzip ? "gzip" : "zstd");
  }
  doors.client.fetch(std::move(request), [self](Result<HttpResponse> answer) {
    {
      const MutexLock lock(self->mutex);
      self->outcome = judge(std::move(answer));
    }
    self->doors.wake();
  });
}

Timestamp TraceExporter::run_due(Timestamp now) {
  State& state = *state_;
  state.settle(now);
  {
    const MutexLock lock(state.mutex);
    if (!state.log) return kNever;
  }
  if (now >= state.next_sync) {
    state.next_sync = now + kSyncInterval;
    state.sync_queue();
  }
  if (now >= state.next_try) state.send(state_);
  const bool is_pausing = state.next_try > now;
  return is_pausing ? std::min(state.next_try, state.next_sync) : state.next_sync;
}

void TraceExporter::collect(MetricWriter& out) const {
  const State& state = *state_;
  std::shared_ptr<SpanLog> queue;
  std::size_t request_count = 0;
  {
    const MutexLock lock(state.mutex);
    queue = state.log;
    request_count = state.waiting.size();
  }
  if (!queue) return;
  const auto count = [&](std::string_view name, std::string_view help, const Counter& counter) {
    out.counter(name, help, static_cast<double>(counter.value()));
  };
  count("tarsier_trace_export_sent_spans_total", "Spans another backend took.", state.spans_sent);
  count("tarsier_trace_export_refused_spans_total", "Spans another backend refused for good.",
        state.spans_refused);
  count("tarsier_trace_export_dropped_spans_total", "Spans not sent on because the queue was full.",
        state.spans_dropped);
  count("tarsier_trace_export_retries_total", "Requests that have to be sent again.",
        state.requests_repeated);
  out.gauge("tarsier_trace_export_queue_requests", "Requests that wait to be sent on.",
            static_cast<double>(request_count));
  out.gauge("tarsier_trace_export_queue_bytes", "Bytes of the queue on disk.",
            static_cast<double>(queue->disk_bytes()));
}

}  // namespace tarsier::tracing
