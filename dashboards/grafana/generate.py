#!/usr/bin/env python3
"""Writes the dashboards of this folder: generate.py [--check]. What they have in common is said once, here."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "dashboards"
METRICS = {"type": "prometheus", "uid": "${datasource}"}
TRACES = {"type": "tempo", "uid": "${traces}"}
SELF = 'job=~"$job",instance=~"$instance"'
RATE = "[$__rate_interval]"


def target(expr, legend="", **more):
    out = {"datasource": METRICS, "expr": expr, "legendFormat": legend or "__auto", **more}
    return out


def table_target(expr, **more):
    return target(expr, instant=True, format="table", range=False, **more)


def panel(title, description, unit, *targets, kind="timeseries", width=8, height=8, optional=False, **more):
    """`optional`: having no data is the usual case, as for errors."""
    field = {"unit": unit, "noValue": "none" if optional else "no data"}
    if "minimum" in more:
        field["min"] = more.pop("minimum")
    if "custom" in more:
        field["custom"] = more.pop("custom")
    if "steps" in more:
        field["thresholds"] = {"mode": "absolute", "steps": more.pop("steps")}
    overrides = more.pop("overrides", [])
    options = {
        "timeseries": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
                       "tooltip": {"mode": "multi", "sort": "desc"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
        "heatmap": {"calculate": False, "yAxis": {"unit": unit}, "exemplars": {"color": "rgba(255,0,255,0.7)"}},
        "bargauge": {"displayMode": "gradient", "orientation": "horizontal", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }.get(kind, {})
    return {"type": kind, "title": title, "description": description, "datasource": METRICS, "targets": list(targets),
            "fieldConfig": {"defaults": field, "overrides": overrides}, "options": {**options, **more.pop("options", {})},
            "_width": width, "_height": height, **more}


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "_width": 24, "_height": 1}


def laid_out(panels):
    x = y = tallest = 0
    out = []
    for number, one in enumerate(panels, 1):
        width, height = one.pop("_width"), one.pop("_height")
        if x + width > 24:
            x, y, tallest = 0, y + tallest, 0
        out.append({"id": number, **one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, tallest = x + width, max(tallest, height)
    for number, one in enumerate(out):
        for letter, query in zip("ABCDEFGH", one.get("targets", [])):
            query.setdefault("refId", letter)
    return out


def source(name, kind):
    return {"name": name, "type": "datasource", "query": kind, "label": name.capitalize(), "hide": 0, "refresh": 1,
            "current": {}, "options": [], "multi": False, "includeAll": False, "regex": ""}


def variable(name, query, label=None, multi=True):
    out = {"name": name, "type": "query", "label": label or name.capitalize(), "datasource": METRICS, "hide": 0,
           "query": {"query": query, "refId": "variable"}, "definition": query, "refresh": 2, "sort": 1, "regex": "",
           "multi": multi, "includeAll": multi, "current": {}, "options": []}
    if multi:
        out["allValue"] = ".+"
    return out


JOB = [variable("job", "label_values(prometheus_build_info, job)"),
       variable("instance", 'label_values(prometheus_build_info{job=~"$job"}, instance)')]


def dashboard(uid, title, variables, panels, traces=False, annotations='ALERTS{alertstate="firing"}'):
    return {
        "uid": f"tarsier-{uid}", "id": None, "title": f"Tarsier / {title}", "tags": ["tarsier"], "timezone": "utc",
        "schemaVersion": 39, "version": 1, "editable": False, "graphTooltip": 1, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "title": "Tarsier", "tags": ["tarsier"], "asDropdown": True, "includeVars": True,
                   "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "annotations": {"list": [{"name": "Alerts", "datasource": METRICS, "enable": True, "hide": False,
                                  "iconColor": "red", "expr": annotations, "step": "60s",
                                  "titleFormat": "{{alertname}}", "tagKeys": "severity"}]},
        "templating": {"list": [source("datasource", "prometheus")] + ([source("traces", "tempo")] if traces else []) + variables},
        "panels": laid_out(panels),
    }


def rates(metric, by="instance", matchers=SELF):
    return f"sum by ({by}) (rate({metric}{{{matchers}}}{RATE}))"


def per(metric, title, description, unit="short", by="instance", **more):
    legend = "{{" + by.split(",")[0].strip() + "}}"
    return panel(title, description, unit, target(rates(metric, by), legend), **more)


def gauge(metric, title, description, unit="short", **more):
    return panel(title, description, unit, target(f"{metric}{{{SELF}}}", "{{instance}}"), **more)


def overview():
    def reason(metric, text):
        return target(f"sum(rate({metric}{{{SELF}}}{RATE}))", text)

    scrapes = "prometheus_target_scrapes_"
    return dashboard("overview", "Overview", JOB, [
        row("Now"),
        panel("Up", "Servers that answer scrapes.", "short", target(f"sum(up{{{SELF}}})"), kind="stat", width=4, height=4),
        panel("Version", "What runs.", "short", table_target(f"prometheus_build_info{{{SELF}}}"), kind="table", width=8, height=4),
        panel("Uptime", "Since the last start.", "s", target(f"time() - process_start_time_seconds{{{SELF}}}", "{{instance}}"),
              kind="stat", width=4, height=4),
        panel("Configuration", "1 when the last reload succeeded.", "short",
              target(f"min(prometheus_config_last_reload_successful{{{SELF}}})"), kind="stat", width=4, height=4),
        panel("Active series", "In the head.", "short", target(f"sum(prometheus_tsdb_head_series{{{SELF}}})"), kind="stat",
              width=4, height=4),
        row("Ingest"),
        per("prometheus_tsdb_head_samples_appended_total", "Samples", "Appended per second.", "ops", "instance, type"),
        per("tarsier_traces_spans_total", "Spans", "Received per second.", "ops"),
        panel("Series created and removed", "Churn per second.", "ops",
              target(rates("prometheus_tsdb_head_series_created_total"), "created {{instance}}"),
              target(rates("prometheus_tsdb_head_series_removed_total"), "removed {{instance}}")),
        gauge("prometheus_tsdb_head_series", "Head series", "Series with recent samples."),
        gauge("prometheus_tsdb_head_chunks", "Head chunks", "Chunks in memory and mapped."),
        panel("Samples refused by scrapes", "Per second, by reason.", "ops",
              reason(scrapes + "sample_duplicate_timestamp_total", "duplicate timestamp"),
              reason(scrapes + "sample_out_of_order_total", "out of order"),
              reason(scrapes + "sample_out_of_bounds_total", "out of bounds"),
              reason(scrapes + "exceeded_sample_limit_total", "sample limit"),
              reason(scrapes + "exceeded_body_size_limit_total", "body size")),
        row("Queries"),
        panel("Queries", "Answers of the query API per second.", "reqps",
              target(f'sum by (code) (rate(prometheus_http_requests_total{{{SELF},handler=~"/api/v1/query.*"}}{RATE}))', "{{code}}")),
        panel("Stages of queries", "90th percentile.", "s",
              target(f'prometheus_engine_query_duration_seconds{{{SELF},quantile="0.9"}}', "{{slice}} {{instance}}")),
        panel("Running queries", "Running and waiting, against the limit.", "short",
              target(f"prometheus_engine_queries{{{SELF}}}", "queries {{instance}}"),
              target(f"prometheus_engine_queries_concurrent_max{{{SELF}}}", "limit {{instance}}")),
        row("Rules and notifications"),
        panel("Rule groups", "Duration of the last evaluation, as a share of the interval.", "percentunit",
              target(f"prometheus_rule_group_last_duration_seconds{{{SELF}}} / prometheus_rule_group_interval_seconds{{{SELF}}}",
                     "{{rule_group}}"), optional=True),
        panel("Rule failures", "Failed evaluations and missed iterations per second.", "ops",
              target(rates("prometheus_rule_evaluation_failures_total", "rule_group"), "failed {{rule_group}}"),
              target(rates("prometheus_rule_group_iterations_missed_total", "rule_group"), "missed {{rule_group}}"), optional=True),
        panel("Notification errors", "Messages that were not delivered, per second.", "ops",
              target(rates("alertmanager_notifications_failed_total", "integration"), "{{integration}}"),
              target(rates("prometheus_notifications_errors_total", "alertmanager"), "{{alertmanager}}"), optional=True),
        row("Storage"),
        panel("Compactions", "Finished and failed per second.", "ops",
              target(rates("prometheus_tsdb_compactions_total"), "finished {{instance}}"),
              target(rates("prometheus_tsdb_compactions_failed_total"), "failed {{instance}}")),
        panel("Disk", "Blocks, log and mapped chunks.", "bytes",
              target(f"prometheus_tsdb_storage_blocks_bytes{{{SELF}}}", "blocks {{instance}}"),
              target(f"prometheus_tsdb_wal_storage_size_bytes{{{SELF}}}", "log {{instance}}"),
              target(f"prometheus_tsdb_head_chunks_storage_size_bytes{{{SELF}}}", "chunks {{instance}}")),
        panel("Log syncs", "99th percentile.", "s",
              target(f"histogram_quantile(0.99, sum by (le, instance) (rate(prometheus_tsdb_wal_fsync_duration_seconds_bucket{{{SELF}}}{RATE})))",
                     "{{instance}}")),
        gauge("process_resident_memory_bytes", "Memory", "Resident.", "bytes"),
        per("process_cpu_seconds_total", "CPU", "Cores in use."),
        panel("Open files", "Descriptors, against the limit.", "short",
              target(f"process_open_fds{{{SELF}}}", "open {{instance}}"), target(f"process_max_fds{{{SELF}}}", "limit {{instance}}")),
    ])


def node():
    own = 'job=~"$job",instance=~"$instance"'
    disks = own + ',device!~"loop.*|ram.*|sr.*"'
    files = own + ',fstype!~"tmpfs|overlay|squashfs|ramfs|devtmpfs"'
    nets = own + ',device!~"lo|veth.*|docker.*"'
    return dashboard("node-exporter", "Node exporter", [
        variable("job", "label_values(node_uname_info, job)"),
        variable("instance", 'label_values(node_uname_info{job=~"$job"}, instance)')], [
        panel("CPU by mode", "Share of all cores.", "percentunit",
              target(f'sum by (mode) (rate(node_cpu_seconds_total{{{own},mode!="idle"}}{RATE})) / ignoring(mode) group_left() sum(rate(node_cpu_seconds_total{{{own}}}{RATE}))',
                     "{{mode}}"), custom={"stacking": {"mode": "normal"}, "fillOpacity": 40}),
        panel("Load", "Averages, against the number of cores.", "short", target(f"node_load1{{{own}}}", "1m {{instance}}"),
              target(f"node_load5{{{own}}}", "5m {{instance}}"), target(f"node_load15{{{own}}}", "15m {{instance}}"),
              target(f'count by (instance) (node_cpu_seconds_total{{{own},mode="idle"}})', "cores {{instance}}")),
        panel("Memory", "Used for programs, cached, free.", "bytes",
              target(f"node_memory_MemTotal_bytes{{{own}}} - node_memory_MemAvailable_bytes{{{own}}}", "used {{instance}}"),
              target(f"node_memory_Cached_bytes{{{own}}} + node_memory_Buffers_bytes{{{own}}}", "cached {{instance}}"),
              target(f"node_memory_MemFree_bytes{{{own}}}", "free {{instance}}")),
        panel("Swap", "In use.", "bytes", target(f"node_memory_SwapTotal_bytes{{{own}}} - node_memory_SwapFree_bytes{{{own}}}", "{{instance}}")),
        panel("Disk space", "Share in use.", "percentunit",
              target(f"1 - node_filesystem_avail_bytes{{{files}}} / node_filesystem_size_bytes{{{files}}}", "{{instance}} {{mountpoint}}"), minimum=0),
        panel("Inodes", "Share in use.", "percentunit",
              target(f"1 - node_filesystem_files_free{{{files}}} / node_filesystem_files{{{files}}}", "{{instance}} {{mountpoint}}"), minimum=0),
        panel("Disk reads and writes", "Bytes per second.", "Bps",
              target(f"sum by (instance, device) (rate(node_disk_read_bytes_total{{{disks}}}{RATE}))", "read {{instance}} {{device}}"),
              target(f"sum by (instance, device) (rate(node_disk_written_bytes_total{{{disks}}}{RATE}))", "written {{instance}} {{device}}")),
        panel("Disk utilisation", "Share of time with requests under way.", "percentunit",
              target(f"rate(node_disk_io_time_seconds_total{{{disks}}}{RATE})", "{{instance}} {{device}}")),
        panel("Network", "Bytes per second.", "Bps",
              target(f"sum by (instance, device) (rate(node_network_receive_bytes_total{{{nets}}}{RATE}))", "in {{instance}} {{device}}"),
              target(f"sum by (instance, device) (rate(node_network_transmit_bytes_total{{{nets}}}{RATE}))", "out {{instance}} {{device}}"),
              optional=True),
        panel("Network errors", "Per second.", "pps",
              target(f"rate(node_network_receive_errs_total{{{nets}}}{RATE})", "in {{instance}} {{device}}"),
              target(f"rate(node_network_transmit_errs_total{{{nets}}}{RATE})", "out {{instance}} {{device}}"), optional=True),
        panel("File descriptors", "Share of the limit.", "percentunit",
              target(f"node_filefd_allocated{{{own}}} / node_filefd_maximum{{{own}}}", "{{instance}}")),
        panel("Pressure", "Share of time something waited.", "percentunit",
              target(f"rate(node_pressure_cpu_waiting_seconds_total{{{own}}}{RATE})", "cpu {{instance}}"),
              target(f"rate(node_pressure_io_waiting_seconds_total{{{own}}}{RATE})", "io {{instance}}"),
              target(f"rate(node_pressure_memory_waiting_seconds_total{{{own}}}{RATE})", "memory {{instance}}"), optional=True),
    ])


def red():
    own = 'service=~"$service",span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'
    calls, latency = "traces_spanmetrics_calls_total", "traces_spanmetrics_latency_bucket"
    exemplars = {"exemplar": True}
    return dashboard("red-services", "Services", [variable("service", "label_values(traces_spanmetrics_calls_total, service)")], [
        panel("Rate", "Calls per second.", "reqps", target(f"sum by (service) (rate({calls}{{{own}}}{RATE}))", "{{service}}")),
        panel("Errors", "Share of calls that failed.", "percentunit",
              target(f'sum by (service) (rate({calls}{{{own},status_code="STATUS_CODE_ERROR"}}{RATE})) / sum by (service) (rate({calls}{{{own}}}{RATE}))',
                     "{{service}}"), minimum=0, optional=True),
        panel("95th percentile", "Of durations.", "s",
              target(f"histogram_quantile(0.95, sum by (service, le) (rate({latency}{{{own}}}{RATE})))", "{{service}}", **exemplars)),
        panel("Durations", "How many calls took how long.", "s",
              target(f"sum by (le) (increase({latency}{{{own}}}{RATE}))", "{{le}}", format="heatmap", **exemplars), kind="heatmap", width=16),
        panel("Operations", "95th percentile of the slowest.", "s",
              table_target(f"topk(20, histogram_quantile(0.95, sum by (service, span_name, le) (rate({latency}{{{own}}}[$__range]))))"),
              kind="table"),
        panel("Errors by operation", "Failed calls per second.", "reqps",
              target(f'sum by (service, span_name) (rate({calls}{{{own},status_code="STATUS_CODE_ERROR"}}{RATE}))', "{{service}} {{span_name}}"),
              width=12, optional=True),
        panel("Calls between services", "Per second, and how many failed.", "reqps",
              table_target("sum by (client, server) (rate(traces_service_graph_request_total[$__range]))"),
              table_target("sum by (client, server) (rate(traces_service_graph_request_failed_total[$__range]))"), kind="table", width=12),
        {"type": "nodeGraph", "title": "Service graph", "description": "Who calls whom.", "datasource": TRACES,
         "targets": [{"datasource": TRACES, "queryType": "serviceMap", "limit": 20}],
         "fieldConfig": {"defaults": {"noValue": "no calls", "unit": "reqps"}, "overrides": []}, "options": {}, "_width": 24, "_height": 12},
    ], traces=True)


def slo_overview():
    own = 'slo=~"$slo"'

    def column(metric, legend):
        return table_target(f"{metric}", legend=legend)
    return dashboard("slo-overview", "Objectives", [variable("slo", "label_values(tarsier_slo_objective_ratio, slo)", "Objective")], [
        panel("Objectives", "Target, what is left, how fast it goes.", "percentunit",
              column(f"tarsier_slo_objective_ratio{{{own}}}", "objective"),
              column(f"tarsier_slo_budget_remaining_ratio{{{own}}}", "budget left"),
              column(f'tarsier_slo_burn_rate{{{own},window="1h"}}', "burn 1h"),
              column(f'tarsier_slo_burn_rate{{{own},window="6h"}}', "burn 6h"),
              column(f'tarsier_slo_burn_rate{{{own},window="3d"}}', "burn 3d"),
              column(f"tarsier_slo_state{{{own}}}", "state"), kind="table", width=24, height=10,
              transformations=[{"id": "merge", "options": {}}]),
        panel("Budget left", "Of each objective.", "percentunit", target(f"tarsier_slo_budget_remaining_ratio{{{own}}}", "{{slo}}"), width=12, height=9),
        panel("Burn rate, 1 hour", "1 spends the budget exactly by the end of the period.", "short",
              target(f'tarsier_slo_burn_rate{{{own},window="1h"}}', "{{slo}}"), width=12, height=9),
        panel("Firing", "Alerts of objectives.", "short", table_target('ALERTS{alertstate="firing",slo=~"$slo"}'), kind="table",
              width=24, height=7, optional=True),
    ])


def slo_detail():
    own = 'slo="$slo"'
    return dashboard("slo-detail", "Objective", [variable("slo", "label_values(tarsier_slo_objective_ratio, slo)", "Objective", multi=False)], [
        panel("Target", "Share of events that has to be good.", "percentunit", target(f"min(tarsier_slo_objective_ratio{{{own}}})"), kind="stat", width=6, height=4,),
        panel("Budget left", "Of the period's.", "percentunit", target(f"min(tarsier_slo_budget_remaining_ratio{{{own}}})"), kind="stat", width=6, height=4,
              steps=[{"color": "red", "value": None}, {"color": "orange", "value": 0}, {"color": "green", "value": 0.25}]),
        panel("Used up in", "At the rate of the last hour.", "s", target(f"min(tarsier_slo_time_to_exhaustion_seconds{{{own}}})"), kind="stat", width=6, height=4, optional=True),
        panel("State", "0 ok, 1 burning, 2 no traffic, 3 no data, 4 unknown.", "short", target(f"max(tarsier_slo_state{{{own}}})"), kind="stat", width=6, height=4),
        panel("Burn-down", "What is left of the budget.", "percentunit", target(f"tarsier_slo_budget_remaining_ratio{{{own}}}", "left"), width=12, height=9),
        panel("Burn rates", "By window; pages fire at 14.4 over an hour and 6 over six hours by default.", "short",
              target(f"tarsier_slo_burn_rate{{{own}}}", "{{window}}"), width=12, height=9,
              steps=[{"color": "green", "value": None}, {"color": "orange", "value": 6}, {"color": "red", "value": 14.4}]),
        panel("Errors", "Share of bad events by window.", "percentunit", target(f"tarsier_slo_error_ratio{{{own}}}", "{{window}}"), width=12),
        panel("Events", "All and bad ones per second.", "ops", target(f"rate(tarsier_slo_events_total{{{own}}}{RATE})", "all"),
              target(f"rate(tarsier_slo_bad_events_total{{{own}}}{RATE})", "bad"), width=12),
        panel("Alerts", "What was pending or firing.", "short", target('ALERTS{slo="$slo"}', "{{alertname}} {{severity}} {{alertstate}}"),
              kind="state-timeline", width=24, height=6, optional=True),
    ])


def cardinality():
    return dashboard("cardinality", "Cardinality", JOB, [
        gauge("prometheus_tsdb_head_series", "Active series", "In the head.", width=12),
        panel("Created and removed", "Series per second.", "ops",
              target(rates("prometheus_tsdb_head_series_created_total"), "created {{instance}}"),
              target(rates("prometheus_tsdb_head_series_removed_total"), "removed {{instance}}"), width=12),
        panel("Series by metric", "The twenty largest.", "short", table_target('topk(20, count by (__name__) ({__name__=~".+"}))'), kind="table", width=8, height=12),
        panel("Series by job", "Of everything that is stored.", "short", target('count by (job) ({__name__=~".+"})', "{{job}}", instant=True), kind="bargauge", width=8, height=12),
        panel("Grown in an hour", "Series a metric has more than an hour ago.", "short",
              table_target('topk(20, count by (__name__) ({__name__=~".+"}) - count by (__name__) ({__name__=~".+"} offset 1h) > 0)'),
              kind="table", width=8, height=12, optional=True),
        panel("Samples per scrape by job", "What targets expose, and what is new of it.", "short",
              target("sum by (job) (scrape_samples_post_metric_relabeling)", "{{job}}"),
              target("sum by (job) (scrape_series_added)", "new {{job}}"), width=12),
        panel("Limits hit", "Per second.", "ops",
              target(f"sum(rate(prometheus_target_scrapes_exceeded_sample_limit_total{{{SELF}}}{RATE}))", "sample limit"),
              target(f"sum(rate(prometheus_target_scrape_pool_exceeded_label_limits_total{{{SELF}}}{RATE}))", "label limits"),
              target(f"sum(rate(prometheus_target_scrape_pool_exceeded_target_limit_total{{{SELF}}}{RATE}))", "target limit"),
              target(f"sum(rate(tarsier_tsdb_series_refused_total{{{SELF}}}{RATE}))", "head series"), width=12),
        panel("Series of spans", "Rows of span metrics and of the service graph, and what went to __other__.", "short",
              target(f"tarsier_span_metrics_rows{{{SELF}}}", "span metrics"), target(f"tarsier_service_graph_rows{{{SELF}}}", "service graph"),
              target(f"sum(rate(tarsier_span_metrics_overflow_total{{{SELF}}}{RATE}))", "overflow per second"), width=12),
        panel("Head memory", "Of the head, against its limit.", "bytes", target(f"tarsier_tsdb_head_bytes{{{SELF}}}", "{{instance}}"), width=12),
    ])


def sampler():
    return dashboard("sampler", "Sampling", JOB, [
        per("tarsier_sampling_spans_received_total", "Spans in", "Per second.", "ops"),
        panel("Traces", "Decided per second.", "ops", target(rates("tarsier_sampling_traces_total", "decision"), "{{decision}}")),
        panel("Kept by policy", "Traces per second.", "ops", target(rates("tarsier_sampling_policy_kept_traces_total", "policy"), "{{policy}}")),
        panel("Why decided", "Decisions per second, by what made them due.", "ops", target(rates("tarsier_sampling_decisions_total", "reason"), "{{reason}}")),
        panel("Undecided", "Traces and spans that wait.", "short", target(f"tarsier_sampling_undecided_traces{{{SELF}}}", "traces {{instance}}"),
              target(f"tarsier_sampling_undecided_spans{{{SELF}}}", "spans {{instance}}")),
        panel("Buffer", "Memory against its limit, and the log of spans.", "bytes", target(f"tarsier_sampling_buffer_memory_bytes{{{SELF}}}", "memory {{instance}}"),
              target(f"tarsier_sampling_buffer_memory_limit_bytes{{{SELF}}}", "limit {{instance}}"), target(f"tarsier_sampling_span_log_bytes{{{SELF}}}", "log {{instance}}")),
        gauge("tarsier_sampling_idle_wait_seconds", "Wait after the last span", "What a decision waits for.", "s"),
        panel("Late spans", "Spans after their trace's decision, per second.", "ops", target(rates("tarsier_sampling_late_spans_total", "decision"), "{{decision}}"), optional=True),
        panel("Evicted and lost", "Batches let go of memory and read again, spans lost, batches refused: per second.", "ops",
              target(rates("tarsier_sampling_evicted_batches_total"), "evicted"), target(rates("tarsier_sampling_read_again_batches_total"), "read again"),
              target(rates("tarsier_sampling_lost_spans_total"), "lost spans"), target(rates("tarsier_sampling_refused_batches_total"), "refused")),
        panel("Kept share by service", "Kept spans of all spans, by what the trace store has.", "percentunit",
              target(f"sum(rate(tarsier_trace_store_kept_spans_total{{{SELF}}}{RATE})) / sum(rate(tarsier_sampling_spans_received_total{{{SELF}}}{RATE}))", "kept"), minimum=0),
        panel("Trace store", "Bytes of blocks.", "bytes", target(f"tarsier_trace_store_block_bytes{{{SELF}}}", "{{instance}}")),
        panel("Trace store failures", "Per second.", "ops", target(rates("tarsier_trace_store_failures_total"), "failures"),
              target(rates("tarsier_trace_store_blocks_damaged_total"), "damaged blocks"), optional=True),
    ])


ALL = {"overview": overview, "node-exporter": node, "red-services": red, "slo-overview": slo_overview, "slo-detail": slo_detail,
       "cardinality": cardinality, "sampler": sampler}


def main(arguments):
    is_check = arguments == ["--check"]
    stale = []
    for name, make in ALL.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        path = OUT / f"{name}.json"
        if is_check:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        print("not as generate.py writes them:", ", ".join(stale), file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
