// The frame around every page: navigation, the reader's switches, a strip of what is wrong now.

import { type ComponentType, render } from "preact";
import { lazy, Suspense } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";
import "./base.css";
import { get, urlOf } from "./api";
import { boot } from "./boot";
import { targetOf } from "./old_links";
import { Badge, InsideLink } from "./parts/parts";
import { QueryPage } from "./query/page";
import { go, place } from "./router";
import { autoRefresh, isLivePage, type LiveNumbers, live, nextTheme, refreshes, theme, utc } from "./state";

interface Page {
  path: string;
  title: string;
  key?: string; // Opens it after g.
  view: ComponentType;
}

function late<K extends string>(load: () => Promise<Record<K, ComponentType>>, name: K): ComponentType {
  return lazy(() => load().then((module) => ({ default: module[name] })));
}

const kStatus = () => import("./pages/status");

const kServices = () => import("./services/page");

const kPages: Page[] = [
  { path: "/overview", title: "Overview", key: "o", view: late(() => import("./pages/overview"), "OverviewPage") },
  { path: "/query", title: "Query", key: "q", view: QueryPage },
  { path: "/alerts", title: "Alerts", key: "a", view: late(() => import("./pages/alerts"), "AlertsPage") },
  { path: "/traces", title: "Traces", key: "t", view: late(() => import("./traces/search_page"), "TracesPage") },
  { path: "/slos", title: "SLOs", key: "s", view: late(() => import("./slo/list_page"), "SlosPage") },
  { path: "/services", title: "Services", view: late(kServices, "ServicesPage") },
  { path: "/sampling", title: "Sampling", view: late(() => import("./sampling/page"), "SamplingPage") },
  { path: "/rules", title: "Rules", view: late(() => import("./pages/rules"), "RulesPage") },
  { path: "/targets", title: "Targets", view: late(() => import("./pages/targets"), "TargetsPage") },
  { path: "/service-discovery", title: "Discovery", view: late(() => import("./pages/discovery"), "DiscoveryPage") },
  { path: "/tsdb-status", title: "Cardinality", view: late(() => import("./pages/cardinality"), "CardinalityPage") },
  { path: "/alertmanager-discovery", title: "Alertmanagers", view: late(() => import("./pages/alertmanagers"), "AlertmanagersPage") },
  { path: "/status", title: "Status", view: late(kStatus, "StatusPage") },
  { path: "/config", title: "Configuration", view: late(kStatus, "ConfigPage") },
  { path: "/flags", title: "Flags", view: late(kStatus, "FlagsPage") },
];

/// Pages of one thing: what lies below which path, and the page whose entry is marked meanwhile.
const kBelow: { path: string; parent: string; title: string; view: ComponentType }[] = [
  { path: "/trace/", parent: "/traces", title: "Trace", view: late(() => import("./traces/trace_page"), "TracePage") },
  { path: "/alerts/", parent: "/alerts", title: "Alert", view: late(() => import("./alerts/timeline_page"), "TimelinePage") },
  { path: "/slos/", parent: "/slos", title: "SLO", view: late(() => import("./slo/detail_page"), "SloPage") },
  { path: "/services/", parent: "/services", title: "Service", view: late(kServices, "ServicesPage") },
];

/// Pages of what is now: they refresh by themselves while somebody looks.
const kLive = new Set(["/overview", "/alerts", "/slos", "/targets", "/rules", "/services", "/sampling"]);

function App() {
  const { path, search } = place.value;
  const target = targetOf(path, search, location.hash);
  const alias = target?.path;
  useEffect(() => {
    if (target) go(target.path, target.search, true);
  }, [alias]);
  useKeys();
  useLiveNumbers();
  const below = kBelow.find((one) => path.startsWith(one.path) && path.length > one.path.length);
  const page = kPages.find((one) => one.path === (below?.parent ?? alias ?? path));
  const title = below ? `${below.title} ${decodeURIComponent(path.split("/")[2] ?? "")}` : page?.title;
  useEffect(() => {
    document.title = title ? `${title} · ${boot.title}` : boot.title;
  }, [title]);
  useEffect(() => {
    isLivePage.value = kLive.has(path);
  }, [path]);
  const View = below?.view ?? page?.view;
  return (
    <>
      <a class="skip" href="#content">
        To the content
      </a>
      <header>
        <InsideLink to="/overview" class="brand">
          <img src="assets/icon.svg" width="24" height="24" alt="" /> {boot.title}
        </InsideLink>
        <nav aria-label="Pages">
          {kPages.map((one) => (
            <a
              key={one.path}
              href={`${boot.prefix}${one.path}`}
              data-inside
              aria-current={one === page ? "page" : undefined}
            >
              {one.title}
              <Count path={one.path} />
            </a>
          ))}
        </nav>
        <Switches />
      </header>
      <Strip />
      <main id="content" tabIndex={-1}>
        {View ? (
          <Suspense fallback={<p class="dim">Loading …</p>}>
            <View />
          </Suspense>
        ) : (
          <>
            <h1>No such page</h1>
            <p>
              There is nothing at <code>{path}</code>.
            </p>
          </>
        )}
      </main>
      <Help />
    </>
  );
}

function Switches() {
  const [copied, setCopied] = useState(false);
  return (
    <div class="switches">
      <button type="button" onClick={() => ++refreshes.value} title="Refresh (r)">
        Refresh
      </button>
      <select
        aria-label="Refresh by itself"
        value={String(autoRefresh.value)}
        onChange={(e) => (autoRefresh.value = Number(e.currentTarget.value))}
      >
        <option value="-1">live</option>
        <option value="0">off</option>
        <option value="5">5s</option>
        <option value="15">15s</option>
        <option value="60">1m</option>
      </select>
      <button type="button" onClick={() => (utc.value = !utc.value)} title="Time zone of all times">
        {utc.value ? "UTC" : "Local"}
      </button>
      <button
        type="button"
        title="Copy the address of this view (.)"
        onClick={async () => {
          await navigator.clipboard.writeText(location.href);
          setCopied(true);
          setTimeout(() => setCopied(false), 1500);
        }}
      >
        {copied ? "Copied" : "Share"}
      </button>
      <button type="button" onClick={nextTheme} title="Theme (t)">
        Theme: {theme.value}
      </button>
    </div>
  );
}

/// Pages of what is now are asked anew when the server says that something changed.
function useLiveNumbers(): void {
  useEffect(() => {
    const source = new EventSource(urlOf("api/tarsier/v1/events"));
    source.onmessage = (event) => {
      const isFirst = live.value === undefined;
      live.value = JSON.parse(String(event.data)) as LiveNumbers;
      if (!isFirst && isLivePage.value && autoRefresh.value === -1) ++refreshes.value;
    };
    return () => source.close();
  }, []);
}

/// How many alerts fire or targets are down, in the navigation.
function Count({ path }: { path: string }) {
  const numbers = live.value;
  const [n, what] =
    path === "/alerts"
      ? [numbers?.alertsFiring ?? 0, "firing"]
      : path === "/targets"
        ? [numbers?.targetsDown ?? 0, "down"]
        : [0, ""];
  return n > 0 ? (
    <span class="count" title={`${n} ${what}`}>
      {n}
      <span class="hidden"> {what}</span>
    </span>
  ) : null;
}

interface Notice {
  text: string;
  date: string;
  active: boolean;
}

const kNoticePoll = 15_000;

/// What the server wants readers to know, as it happens; asked now and then where too many listen.
function useNotices(): Notice[] {
  const [notices, setNotices] = useState<Notice[]>([]);
  useEffect(() => {
    let timer = 0;
    const poll = () => {
      get<Notice[]>("api/v1/notifications").then(
        (answer) => setNotices(answer.data.filter((one) => one.active)),
        () => undefined,
      );
      timer = window.setTimeout(poll, kNoticePoll);
    };
    const source = new EventSource(urlOf("api/v1/notifications/live"));
    source.onmessage = (event) => {
      const notice = JSON.parse(String(event.data)) as Notice;
      setNotices((before) => [...before.filter((one) => one.text !== notice.text), ...(notice.active ? [notice] : [])]);
    };
    source.onerror = () => {
      // Closed for good: the server has no room for more listeners. Else the browser tries again.
      if (source.readyState === EventSource.CLOSED && timer === 0) poll();
    };
    return () => {
      source.close();
      clearTimeout(timer);
    };
  }, []);
  return notices;
}

interface Replay {
  min: number;
  max: number;
  current: number;
}

const kSkewMax = 30_000;

/// Why answers may be missing, or stale: told on every page.
function Strip() {
  const [replay, setReplay] = useState<Replay | undefined>();
  const [gone, setGone] = useState(false);
  const [skew, setSkew] = useState(0);
  const notices = useNotices();
  useEffect(() => {
    let timer = 0;
    const look = async () => {
      try {
        const ready = await fetch(`${boot.prefix}/-/ready`);
        const date = Date.parse(ready.headers.get("Date") ?? "");
        setSkew(Number.isNaN(date) ? 0 : Date.now() - date);
        setGone(false);
        setReplay(ready.ok ? undefined : (await get<Replay>("api/v1/status/walreplay")).data);
        timer = window.setTimeout(look, ready.ok ? 15_000 : 1000);
      } catch {
        setGone(true);
        timer = window.setTimeout(look, 2000);
      }
    };
    void look();
    return () => clearTimeout(timer);
  }, []);
  if (gone) {
    return (
      <div class="strip bad" role="status">
        <Badge health="bad">The server does not answer; trying again.</Badge>
      </div>
    );
  }
  if (replay) {
    const part = replay.max > replay.min ? (replay.current - replay.min) / (replay.max - replay.min) : 0;
    return (
      <div class="strip warn" role="status">
        <Badge health="warn">Starting: replaying the write-ahead log</Badge>{" "}
        <progress value={part} max={1} /> segment {replay.current} of {replay.max}
      </div>
    );
  }
  if (notices.length > 0) {
    return (
      <div class="strip warn" role="status">
        {notices.map((notice) => (
          <div key={notice.text}>
            <Badge health="warn">{notice.text}</Badge> <span class="dim">since {notice.date}</span>
          </div>
        ))}
      </div>
    );
  }
  if (Math.abs(skew) > kSkewMax) {
    return (
      <div class="strip warn" role="status">
        <Badge health="warn">
          This computer's clock and the server's differ by {Math.round(skew / 1000)} s: "now" is not the same time.
        </Badge>
      </div>
    );
  }
  return null;
}

const kKeys: [string, string][] = [
  ["/", "to the search field or the editor"],
  ["g, then o q a t s", "overview, query, alerts, traces, SLOs"],
  ["r", "refresh"],
  ["t", "theme"],
  [".", "copy the address of this view"],
  ["Enter", "run the query"],
  ["Shift+Enter", "new line in the query"],
  ["Ctrl+Space", "complete"],
  ["?", "this help"],
];

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const show = () => dialog.current?.showModal();
    addEventListener("tarsier-help", show);
    return () => removeEventListener("tarsier-help", show);
  }, []);
  return (
    <dialog ref={dialog} aria-label="Keys">
      <h2>Keys</h2>
      <table>
        <tbody>
          {kKeys.map(([key, what]) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <form method="dialog">
        <button>Close</button>
      </form>
    </dialog>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

function useKeys(): void {
  useEffect(() => {
    let afterG = false;
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      const page = afterG ? kPages.find((one) => one.key === event.key) : undefined;
      afterG = event.key === "g";
      if (page) {
        go(page.path);
        return;
      }
      if (event.key === "/") {
        (document.getElementById("search") ?? document.getElementById("expression"))?.focus();
        event.preventDefault();
      } else if (event.key === "r") {
        ++refreshes.value;
      } else if (event.key === "t") {
        nextTheme();
      } else if (event.key === ".") {
        void navigator.clipboard.writeText(location.href);
      } else if (event.key === "?") {
        dispatchEvent(new Event("tarsier-help"));
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

const root = document.getElementById("app");
if (root) render(<App />, root);
