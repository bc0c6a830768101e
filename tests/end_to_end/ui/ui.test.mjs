// The web UI in a real browser against the real program: node --test tests/end_to_end/ui/
// TARSIER names the program.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromiumPath, distFile, openPage, startBrowser, startServer } from "./browser.mjs";

const kTimeout = 20_000;
const assets = readdirSync(join(dirname(fileURLToPath(import.meta.url)), "../../../dashboards/ui/dist/assets"));
const sizeOf = (path) => gzipSync(distFile(path), { level: 9 }).length;

describe("files of the UI", () => {
  it("stay small", () => {
    const all = assets.reduce((sum, name) => sum + sizeOf(`assets/${name}`), sizeOf("index.html"));
    // What the entry needs at once, and not what it may need later.
    const needed = new Set(["index.js"]);
    for (const name of needed) {
      const text = distFile(`assets/${name}`).toString();
      for (const [, other] of text.matchAll(/(?:import|from)\s*"\.\/([\w.]+\.js)"/g)) needed.add(other);
    }
    const first = [...needed].reduce((sum, name) => sum + sizeOf(`assets/${name}`), sizeOf("index.html") + sizeOf("assets/index.css") + sizeOf("assets/theme.js"));
    console.log(`${all} bytes in all, ${first} before the first paint, compressed`);
    assert.ok(all <= 300 * 1024, `${all} bytes`);
    assert.ok(first <= 45 * 1024, `${first} bytes`);
    assert.ok(sizeOf("assets/chart.js") <= 25 * 1024);
    assert.ok(sizeOf("assets/code_editor.js") <= 150 * 1024);
  });
});

describe("the UI", { timeout: 300_000, skip: chromiumPath() ? false : "no Chromium found" }, () => {
  let server;
  let browser;

  before(async () => {
    server = await startServer();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function onPage(path, work, options) {
    const opened = await openPage(browser, server.url, options);
    opened.page.setDefaultTimeout(kTimeout);
    try {
      await opened.page.goto(server.url + path);
      await work(opened.page);
      assert.deepEqual(opened.faults, []);
    } finally {
      await opened.close();
    }
  }

  it("paints within a second", () =>
    onPage("/overview", async (page) => {
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      const paint = await page.evaluate(
        () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
      );
      console.log(`first contentful paint after ${Math.round(paint)} ms`);
      assert.ok(paint > 0);
    }));

  it("shows a graph for an old link, and keeps the view in the address", () =>
    onPage("/graph?g0.expr=up&g0.tab=0&g0.range_input=5m", async (page) => {
      const chart = page.locator('.chart[data-state="ready"]');
      await chart.waitFor();
      assert.equal(await chart.getAttribute("data-series"), "2");
      assert.match(page.url(), /\/query\?g0\.expr=up/);
      await page.getByLabel("Stacked").check();
      await page.waitForURL(/g0\.tab=graph.*display_mode=stacked/);
      await page.goBack();
      await page.waitForURL((url) => !url.search.includes("stacked"));
      assert.equal(await page.getByLabel("Stacked").isChecked(), false);
    }));

  it("zooms by dragging", () =>
    onPage("/query?g0.expr=up&g0.tab=graph&g0.range_input=10m", async (page) => {
      const area = page.locator(".u-over");
      await area.waitFor();
      const box = await area.boundingBox();
      await page.mouse.move(box.x + box.width * 0.4, box.y + 50);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 5 });
      await page.mouse.up();
      await page.waitForURL(/range_input=(2m|1m5\ds|2m\ds)&/);
      assert.match(page.url(), /end_input=/);
    }));

  it("completes names, runs what is typed, and explains it", () =>
    onPage("/query", async (page) => {
      const editor = page.locator(".cm-content");
      await editor.click();
      await page.keyboard.type("scrape_dur");
      await page.locator(".cm-tooltip-autocomplete", { hasText: "scrape_duration_seconds" }).waitFor();
      // The editor takes no Enter for a list that has only just come up: it may be meant for the query.
      await page.waitForTimeout(300);
      await page.keyboard.press("Enter");
      await page.keyboard.type(" * 0 + 7");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Execute" }).click();
      await page.getByRole("cell", { name: "7", exact: true }).first().waitFor();
      await page.getByRole("tab", { name: "Explain" }).click();
      await page.locator(".tree", { hasText: "scrape_duration_seconds" }).waitFor();
    }));

  it("tells what is wrong with a query", () =>
    onPage("/query?g0.expr=sum(&g0.tab=table", async (page) => {
      await page.getByRole("alert").filter({ hasText: "parse error" }).waitFor();
    }));

  it("shows alerts with hostile texts as texts", () =>
    onPage("/alerts", async (page) => {
      await page.getByRole("heading", { name: /NothingThere/ }).waitFor();
      await page.getByText("127.0.0.1:1 does not answer").first().waitFor();
      await page.getByText("<img src=x onerror=document.title='hacked'>").first().waitFor();
      assert.match(await page.title(), /^Alerts/);
    }));

  it("walks from a firing alert to its expression without typing", () =>
    onPage("/overview", async (page) => {
      await page.getByRole("link", { name: "NothingThere" }).first().click();
      await page.locator("[data-cause]").waitFor();
      await page.getByRole("link", { name: "Graph of the expression" }).click();
      await page.locator('.chart[data-state="ready"]').waitFor();
    }));

  for (const [path, text] of [
    ["/rules", "record: job:up:sum"],
    ["/targets", "connection refused"],
    ["/service-discovery", "__address__"],
    ["/tsdb-status", "Series by metric"],
    ["/status", "tarsierVersion"],
    ["/config", "scrape_configs:"],
    ["/flags", "--query.timeout"],
    ["/alertmanager-discovery", "Active"],
  ]) {
    it(`shows ${path}`, () =>
      onPage(path, async (page) => {
        await page.getByText(text, { exact: false }).first().waitFor();
      }));
  }

  it("finds a trace and opens a hundred thousand spans", async () => {
    const id = "0af7651916cd43dd8448eb211c80319c";
    const now = Date.now();
    const kSpans = 100_000;
    const kBatch = 20_000;
    const hex = (n) => (n + 1).toString(16).padStart(16, "0");
    for (let from = 0; from < kSpans; from += kBatch) {
      const spans = Array.from({ length: kBatch }, (_, k) => {
        const n = from + k;
        return {
          traceId: id,
          spanId: hex(n),
          parentSpanId: n === 0 ? "" : hex(n < 100 ? 0 : Math.floor(n / 100)),
          name: n === 0 ? "checkout" : `step ${n % 7}`,
          kind: 2,
          startTimeUnixNano: `${now - 60_000 + Math.floor(n / 10)}000000`,
          endTimeUnixNano: `${now - 60_000 + Math.floor(n / 10) + 5 + (n === 0 ? 12_000 : 0)}000000`,
          status: n === 99_999 ? { code: 2 } : {},
        };
      });
      const body = { resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] }, scopeSpans: [{ spans }] }] };
      const answer = await fetch(`${server.url}/v1/traces`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      assert.equal(answer.status, 200, await answer.text());
    }
    await onPage("/traces?service=shop", async (page) => {
      await page.evaluate(() => {
        globalThis.longTasks = [];
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) globalThis.longTasks.push(Math.round(entry.duration));
        }).observe({ type: "longtask" });
      });
      const tasks = () => page.evaluate(() => globalThis.longTasks.splice(0).sort((a, b) => b - a));
      await page.getByRole("link", { name: "shop: checkout" }).click();
      const waterfall = page.locator(`.waterfall[data-spans="${kSpans}"]`);
      await waterfall.waitFor({ timeout: 60_000 });
      assert.ok((await page.locator(".span").count()) < 60, "only rows in view exist");
      const opening = await tasks();
      for (let y = 0; y < 2_800_000; y += 280_000) {
        await page.locator(".waterfall").evaluate((view, top) => (view.scrollTop = top), y);
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      }
      await page.locator(".waterfall").evaluate((view) => (view.scrollTop = 0));
      const scrolling = await tasks();
      await page.getByRole("button", { name: "Fold all", exact: true }).click();
      await page.locator('.waterfall[data-rows="100"]').waitFor();
      const told = [opening, scrolling, await tasks()].map((list) => JSON.stringify(list));
      console.log(`${kSpans} spans: tasks above 50 ms while opening ${told[0]}, scrolling ${told[1]}, folding ${told[2]}`);
      await page.getByRole("button", { name: /shop checkout/ }).first().click();
      await page.getByRole("complementary", { name: "Span" }).getByText("service.name").or(page.getByText("0000000000000001")).first().waitFor();
    });
  });

  it("has labelled fields, headers and contrast in both themes", async () => {
    for (const colorScheme of ["light", "dark"]) {
      await onPage(
        "/targets",
        async (page) => {
          await page.getByText("connection refused").first().waitFor();
          const faults = await page.evaluate(() => {
            const found = [];
            for (const field of document.querySelectorAll("input, select, textarea")) {
              const named = field.getAttribute("aria-label") || field.closest("label")?.textContent.trim();
              if (!named) found.push(`a field without a name: ${field.outerHTML.slice(0, 80)}`);
            }
            for (const table of document.querySelectorAll("table")) {
              if (!table.querySelector("th[scope]")) found.push("a table without headers");
            }
            const rgb = (text) => text.match(/[\d.]+/g).map(Number);
            const light = (color) => {
              const [r, g, b] = rgb(color).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
              return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (element) => {
              for (let e = element; e; e = e.parentElement) {
                const color = getComputedStyle(e).backgroundColor;
                if (!/, 0\)$/.test(color) && color !== "transparent") return color;
              }
              return "rgb(255, 255, 255)";
            };
            for (const element of document.querySelectorAll("h1, h2, td, th, a, button, .badge, .dim")) {
              if (element.textContent.trim() === "") continue;
              const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
              const ratio = (a + 0.05) / (b + 0.05);
              if (ratio < 4.5) found.push(`${element.textContent.slice(0, 30)}: contrast ${ratio.toFixed(2)}`);
            }
            return found;
          });
          assert.deepEqual(faults, []);
        },
        { colorScheme },
      );
    }
  });

  it("works below a prefix", async () => {
    const below = await startServer(["--web.external-url=http://127.0.0.1/eyes"]);
    const { page, faults, close } = await openPage(browser, below.url);
    page.setDefaultTimeout(kTimeout);
    try {
      await page.goto(`${below.url}/targets`);
      await page.getByText("connection refused").first().waitFor();
      await page.getByRole("link", { name: "Rules", exact: true }).click();
      await page.getByText("record: job:up:sum").waitFor();
      assert.match(page.url(), /\/eyes\/rules$/);
      assert.deepEqual(faults, []);
    } finally {
      await close();
      await below.stop();
    }
  });
});
