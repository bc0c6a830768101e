#include "ingest/tenant_writes.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tarsier::ingest {

TenantWrites::TenantWrites(WriteDoor door, TenantWritesOptions options, Logger& log)
    : options_(std::move(options)), election_(options_.dedup.failover) {
  const WriteLimit* rest = nullptr;
  for (const WriteLimit& limit : options_.limits) {
    if (limit.tenant.empty()) {
      rest = &limit;
    } else {
      named_[limit.tenant] = make_doors(door, &limit, log);
    }
  }
  everybody_ = make_doors(door, rest, log);
}

TenantWrites::~TenantWrites() = default;

std::unique_ptr<TenantWrites::Doors> TenantWrites::make_doors(const WriteDoor& door,
                                                              const WriteLimit* limit,
                                                              Logger& log) {
  auto doors = std::make_unique<Doors>();
  WriteDoor held = door;
  if (limit != nullptr || options_.dedup.is_on()) {
    doors->gate = std::make_unique<WriteGate>(limit ? *limit : WriteLimit(), options_.dedup,
                                              &election_, options_.clock);
    held.appender = [open = door.appender, gate = doors->gate.get()] { return gate->wrap(open()); };
  }
  doors->remote_write =
      std::make_unique<RemoteWriteReceiver>(held, options_.remote_write, options_.draw_key(), log);
  doors->otlp = std::make_unique<OtlpMetricsReceiver>(held, options_.otlp, options_.lookback, log);
  doors->push = std::make_unique<PushReceiver>(held, options_.push, log);
  return doors;
}

TenantWrites::Doors* TenantWrites::doors_for(const HttpRequest& request,
                                             const HttpResponder& respond) {
  const auto found = named_.find(request.header("X-Scope-OrgID"));
  Doors* const doors = found == named_.end() ? everybody_.get() : found->second.get();
  if (!doors->gate) return doors;
  const std::uint64_t bytes_max = doors->gate->limit().body_bytes_max;
  if (bytes_max == 0 || request.body.size() <= bytes_max) return doors;
  doors->gate->metrics().bodies_refused.add();
  HttpResponse response;
  response.status = 413;
  response.content_type = "text/plain; charset=utf-8";
  response.body = fmt::format("request body of {} bytes is larger than {} bytes\n",
                              request.body.size(), bytes_max);
  respond(std::move(response));
  return nullptr;
}

void TenantWrites::remote_write(HttpRequest request, HttpResponder respond) {
  if (Doors* const doors = doors_for(request, respond)) {
    doors->remote_write->handle(std::move(request), std::move(respond));
  }
}

void TenantWrites::otlp_metrics(HttpRequest request, HttpResponder respond) {
  if (Doors* const doors = doors_for(request, respond)) {
    doors->otlp->handle(std::move(request), std::move(respond));
  }
}

void TenantWrites::push(Push handle, HttpRequest request, HttpResponder respond) {
  if (Doors* const doors = doors_for(request, respond)) {
    (*doors->push.*handle)(std::move(request), std::move(respond));
  }
}

void TenantWrites::collect(MetricWriter& out) const {
  // Of everybody: families of one name cannot be written twice.
  everybody_->remote_write->collect(out);
  everybody_->otlp->collect(out);
  everybody_->push->collect(out);
  if (!everybody_->gate && named_.empty()) return;
  const auto each = [&](std::string_view name, std::string_view help,
                        Counter WriteGate::Metrics::* member) {
    const auto one = [&](std::string_view tenant, const Doors& doors) {
      if (!doors.gate) return;
      out.counter(name, help, static_cast<double>((doors.gate->metrics().*member).value()),
                  {{"tenant", tenant}});
    };
    one("", *everybody_);
    for (const auto& [tenant, doors] : named_) one(tenant, *doors);
  };
  each("tarsier_write_limits_requests_limited_total", "Writes refused because of their rate.",
       &WriteGate::Metrics::requests_limited);
  each("tarsier_write_limits_samples_limited_total", "Samples of writes refused for their rate.",
       &WriteGate::Metrics::samples_limited);
  each("tarsier_write_limits_series_refused_total",
       "Series refused because of their number or their labels.",
       &WriteGate::Metrics::series_refused);
  each("tarsier_write_limits_bodies_refused_total", "Writes whose body was too large.",
       &WriteGate::Metrics::bodies_refused);
  each("tarsier_ha_dedup_samples_total", "Samples of replicas that are not listened to.",
       &WriteGate::Metrics::samples_deduplicated);
  out.counter("tarsier_ha_dedup_elections_total", "Times another replica was listened to.",
              static_cast<double>(election_.elections()));
}

}  // namespace tarsier::ingest
