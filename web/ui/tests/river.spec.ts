// Drives the page of a real `fairlead demo` at FAIRLEAD_URL, from the first flights to the planted change of unit.
// With SCREENSHOTS=dir it leaves the pictures that the README shows.
import { resolve } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import type { Annotation, Deployment, Drift } from "../src/api/types";

const name = process.env.FAIRLEAD_DEPLOYMENT ?? "flights";
const hour = 3_600_000;
const iso = (t: number) => new Date(t).toISOString().replace(".000Z", "Z");

test.skip(!process.env.FAIRLEAD_URL, "FAIRLEAD_URL names no server");
test.use({ viewport: { width: 1440, height: 1000 }, deviceScaleFactor: process.env.SCREENSHOTS ? 1.5 : 1, colorScheme: "light" });
test.setTimeout(540_000);

async function deployment(page: Page): Promise<Deployment | undefined> {
  const response = await page.request.get("/api/v1/deployments");
  return ((await response.json()) as Deployment[]).find((d) => d.name === name);
}

const eventTime = async (page: Page): Promise<number> => Date.parse((await deployment(page))?.to ?? "");

async function incident(page: Page): Promise<{ start: number; end: number } | undefined> {
  const planted = ((await deployment(page))?.annotations ?? []).find((a: Annotation) => a.kind === "planted" && /distance|kilomet/i.test(`${a.title} ${a.text ?? ""}`));
  return planted && { start: Date.parse(planted.start), end: Date.parse(planted.end) };
}

test("flights flow, the planted unit turns distance red and nothing else", async ({ page }) => {
  const wrong: string[] = [];
  page.on("pageerror", (e) => wrong.push(e.message));
  page.on("console", (m) => {
    if (m.type() === "error") wrong.push(m.text());
  });

  await test.step("flights flow", async () => {
    await page.goto("/");
    await expect(page.getByTestId(`deployment-${name}`)).toBeVisible({ timeout: 60_000 });
    await page.goto(`/d/${name}?grain=hour&span=7d`);
    await expect.poll(async () => Number((await page.getByTestId("rows-per-second").textContent())?.replaceAll(",", "")), { timeout: 60_000 }).toBeGreaterThan(0);
    await expect(page.getByTestId("server-status")).toHaveAttribute("data-state", "well");
  });

  await test.step("the heat map gets cells", async () => {
    const map = page.getByTestId("heatmap");
    await expect(map.locator("canvas")).toBeVisible({ timeout: 60_000 });
    await expect.poll(async () => Number(await map.getAttribute("data-windows")), { timeout: 60_000 }).toBeGreaterThan(6);
  });

  await expect.poll(() => incident(page), { timeout: 180_000, intervals: [500] }).toBeTruthy();
  const { start, end } = (await incident(page))!;

  await test.step("distance is calm before, red after", async () => {
    const row = page.getByTestId("row-distance");
    if ((await eventTime(page)) < start) expect(await row.getAttribute("data-drifted")).toBe("0");
    await expect.poll(() => eventTime(page), { timeout: 180_000, intervals: [500] }).toBeGreaterThan(start + 30 * hour);
    // Held around the onset, so that the stream does not carry it out of the picture.
    await page.goto(`/d/${name}?grain=hour&span=3d&to=${iso(Math.min(end, start + 24 * hour) + 6 * hour)}`);
    await expect.poll(async () => Number(await row.getAttribute("data-drifted")), { timeout: 60_000 }).toBeGreaterThan(0);
    await expect(page.getByTestId("planted").first()).toContainText("planted:");
  });

  await test.step("the first window that can be judged is red, and only distance is", async () => {
    await page.getByRole("button", { name: "Table" }).click();
    await expect(page.getByTestId("heatmap")).toHaveCount(0);
    const cells = await page.locator('[data-testid="drift-table"] td').evaluateAll((all) => all.map((td) => ({ column: td.dataset.column!, start: td.dataset.start!, verdict: td.dataset.verdict! })));
    const drift = (await (await page.request.get(`/api/v1/deployments/${name}/drift?grain=hour&limit=24`)).json()) as Drift;
    const outputs = new Set((drift.columns ?? []).filter((c) => c.output).map((c) => c.name));
    const inside = cells.filter((c) => Date.parse(c.start) >= start && Date.parse(c.start) < Math.min(end, start + 24 * hour) && !outputs.has(c.column));
    const judged = inside.filter((c) => c.column === "distance" && (c.verdict === "ok" || c.verdict === "drifted")).sort((a, b) => a.start.localeCompare(b.start));
    expect(judged.length).toBeGreaterThan(0);
    expect(judged[0]!.verdict).toBe("drifted");
    expect(new Set(inside.filter((c) => c.verdict === "drifted").map((c) => c.column))).toEqual(new Set(["distance"]));
    await page.getByRole("button", { name: "Table" }).click();
  });

  await test.step("a click on the red cell shows both distributions", async () => {
    await clickRed(page, start);
    const panel = page.getByTestId("distribution");
    await expect(panel.getByTestId("verdict")).toHaveAttribute("data-verdict", "drifted");
    await expect(panel.getByTestId("explain")).toContainText("Mean");
    for (const bars of [".bar-current", ".bar-reference"])
      expect(await panel.locator(bars).evaluateAll((all) => all.filter((b) => b.getBoundingClientRect().width > 3).length)).toBeGreaterThan(1);
    await expect(page).toHaveURL(/col=distance/);
  });

  await test.step("metrics with the share of labels, and the alert", async () => {
    await expect(page.getByTestId("metrics").locator("canvas")).toBeVisible({ timeout: 150_000 });
    await expect(page.getByTestId("metric-accuracy")).toContainText("%", { timeout: 60_000 });
    await expect(page.getByTestId("label-share")).toContainText(/[1-9]\d*.*%/, { timeout: 60_000 });
    await expect(page.locator('[data-testid="alert"][data-column="distance"]').first()).toBeVisible({ timeout: 60_000 });
  });

  if (process.env.SCREENSHOTS) await test.step("pictures", () => pictures(page, start, end));
  expect(wrong).toEqual([]);
});

/** clickRed finds the first drifted cell of distance in the API's answer and clicks where the canvas draws it. */
async function clickRed(page: Page, start: number): Promise<void> {
  const map = page.getByTestId("heatmap");
  await expect(map.locator("canvas")).toBeVisible();
  const to = new URL(page.url()).searchParams.get("to")!;
  const drift = (await (await page.request.get(`/api/v1/deployments/${name}/drift`, { params: { grain: "hour", limit: 72, to } })).json()) as Drift;
  const cells = drift.columns?.find((c) => c.name === "distance")?.cells ?? [];
  const red = (drift.windows ?? []).find((w, i) => Date.parse(w) >= start && cells[i]?.verdict === "drifted");
  expect(red).toBeTruthy();
  const box = (await map.boundingBox())!;
  const row = (await page.getByTestId("row-distance").boundingBox())!;
  const [from, until] = [Number(await map.getAttribute("data-from")), Number(await map.getAttribute("data-to"))];
  const x = ((Date.parse(red!) + hour / 2 - from) / (until - from)) * box.width;
  await map.click({ position: { x, y: row.y - box.y + row.height / 2 } });
}

async function pictures(page: Page, start: number, end: number): Promise<void> {
  const folder = resolve(process.env.INIT_CWD ?? ".", process.env.SCREENSHOTS!);
  await page.getByTestId("distribution").screenshot({ path: resolve(folder, "distribution.png") });
  // Some days after the incident, so that its end and its alert are in the picture too.
  const right = end + 48 * hour;
  await expect.poll(() => eventTime(page), { timeout: 120_000 }).toBeGreaterThan(Math.min(right, end + 6 * hour));
  await page.goto(`/d/${name}?grain=hour&span=7d&to=${iso(Math.min(right, Math.floor((await eventTime(page)) / hour) * hour))}`);
  await expect(page.getByTestId("metrics").locator("canvas")).toBeVisible({ timeout: 60_000 });
  expect(start).toBeLessThan(right);
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(1500);
    await page.screenshot({ path: resolve(folder, `page-${scheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1440, height: 1500 });
  await page.getByTestId("explain").first().click();
  await expect(page.getByTestId("harm")).toBeVisible({ timeout: 60_000 });
  await page.waitForTimeout(500);
  await page.getByTestId("alert-dialog").screenshot({ path: resolve(folder, "alert.png") });
}
