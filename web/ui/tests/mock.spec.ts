// The page's states against the mock server, which shows the same flights every time.
import { expect, test, type Page } from "@playwright/test";

const errors = new WeakMap<Page, string[]>();

test.beforeEach(({ page }) => {
  const seen: string[] = [];
  errors.set(page, seen);
  page.on("pageerror", (e) => seen.push(e.message));
  page.on("console", (m) => {
    // A refused or broken request is what some tests are about; a policy violation or a React warning never is.
    if (m.type() === "error" && !m.text().startsWith("Failed to load resource")) seen.push(m.text());
  });
});

test.afterEach(({ page }) => expect(errors.get(page)).toEqual([]));

const noSideways = async (page: Page) =>
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);

test("overview: every deployment with rate, latency and state", async ({ page }) => {
  await page.goto("/");
  const flights = page.getByTestId("deployment-flights");
  await expect(flights).toContainText("flights@1");
  await expect(flights).toContainText("1.72");
  await expect(page.getByTestId("deployment-fraud")).toContainText("opset 29");
  await expect(page.getByTestId("server-status")).toHaveAttribute("data-state", "well");
  await expect(page.getByTestId("server-status")).toContainText("0 dropped");
  await flights.click();
  await expect(page).toHaveURL(/\/d\/flights$/);
  await page.goBack();
  await expect(flights).toBeVisible();
});

test("detail moves by itself", async ({ page }) => {
  await page.goto("/d/flights?grain=hour");
  const time = page.getByTestId("event-time");
  const before = await time.textContent();
  await expect(page.getByTestId("heatmap")).toBeVisible();
  await expect(time).not.toHaveText(before ?? "", { timeout: 5000 });
  await expect(page.getByTestId("label-share")).toContainText("%");
  await expect(page.getByTestId("metric-rate")).toContainText("Late rate");
});

test("drifted: a click opens both distributions, and the address can be shared", async ({ page }) => {
  await page.goto("/d/flights?grain=day&to=2001-04-14T00:00:00Z&span=30d");
  const map = page.getByTestId("heatmap");
  await expect(map.locator("canvas")).toBeVisible();
  await expect(page.getByTestId("planted").first()).toHaveText("planted: distance in kilometres");
  const row = page.getByTestId("row-distance");
  await expect(row).toHaveAttribute("data-drifted", "3");
  for (const other of ["hour", "weekday", "origin", "destination"]) await expect(page.getByTestId(`row-${other}`)).toHaveAttribute("data-drifted", "0");

  const box = (await map.boundingBox())!;
  const header = (await row.boundingBox())!;
  const from = Number(await map.getAttribute("data-from"));
  const to = Number(await map.getAttribute("data-to"));
  const x = ((Date.UTC(2001, 3, 10, 12) - from) / (to - from)) * box.width;
  await map.hover({ position: { x, y: header.y - box.y + 14 } });
  await expect(page.getByRole("tooltip")).toContainText("Tue 10 Apr 2001");
  await map.click({ position: { x, y: header.y - box.y + 14 } });

  const panel = page.getByTestId("distribution");
  await expect(panel.getByTestId("verdict")).toHaveAttribute("data-verdict", "drifted");
  await expect(panel).toContainText("Tue 10 Apr 2001");
  await expect(panel.getByTestId("explain")).toContainText("beyond the reference’s maximum");
  await expect(panel.getByTestId("bars").locator("tbody tr")).toHaveCount(11);
  await expect(page).toHaveURL(/col=distance/);

  await page.keyboard.press("ArrowLeft");
  await expect(panel).toContainText("Mon 9 Apr 2001");
  await page.reload();
  await expect(panel).toContainText("Mon 9 Apr 2001");
  await page.keyboard.press("Escape");
  await expect(panel).toHaveCount(0);
  await expect(page).not.toHaveURL(/col=/);
});

test("alerts jump to the cell", async ({ page }) => {
  await page.goto("/d/flights?grain=day");
  const alert = page.getByTestId("alert").first();
  await expect(alert).toContainText("planted");
  await alert.click();
  await expect(page.getByTestId("distribution")).toContainText("Mon 9 Apr 2001, 06:00–07:00");
  await expect(page.getByTestId("follow")).toBeVisible();
  await page.getByTestId("follow").click();
  await expect(page.getByTestId("follow")).toHaveCount(0);
});

test("an alert is explained, acknowledged and silenced", async ({ page }) => {
  await page.request.post("/mock/alerts/firing");
  await page.goto("/d/flights?grain=day");
  await page.getByTestId("explain").first().click();
  const dialog = page.getByTestId("alert-dialog");
  await expect(page).toHaveURL(/alert=km/);
  await expect(dialog).toContainText("1.2% of the decisions (0.8% to 1.8%) would be others");
  await expect(dialog.getByTestId("harm")).toHaveText("moves predictions");
  await expect(dialog.getByRole("row", { name: /origin ORD, DFW, ATL/ })).toContainText(/82\s?%/);
  await expect(dialog.getByRole("row", { name: /f1475767/ })).toContainText("customer redacted");
  const silence = dialog.getByRole("button", { name: "Silence distance" });
  await expect(silence).toBeDisabled(); // nobody has said why
  await dialog.getByLabel("Who").fill("ann");
  await dialog.getByRole("button", { name: "Acknowledge" }).click();
  await expect(dialog.getByTestId("acknowledged")).toContainText("Acknowledged by ann");
  await dialog.getByLabel("Why").fill("the sensors are being swapped");
  await dialog.getByLabel("How long").selectOption("24");
  await silence.click();
  await expect(dialog.getByTestId("silenced")).toContainText("the sensors are being swapped");
  await expect(silence).toBeDisabled();
  await dialog.getByRole("button", { name: "Take the acknowledgement back" }).click();
  await expect(dialog.getByTestId("acknowledged")).toHaveCount(0);
  await page.request.post("/mock/alerts/as-they-are");
  await noSideways(page);
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect(page).not.toHaveURL(/alert=/);
  await page.goto("/d/flights?alert=gone/1");
  await expect(dialog).toContainText("No alert is called gone/1 any more");
});

test("the heat map has a report to keep", async ({ page }) => {
  await page.goto("/d/flights?grain=day&to=2001-04-14T00:00:00Z&span=30d");
  await expect(page.getByTestId("heatmap")).toBeVisible();
  const href = await page.getByRole("link", { name: "Report" }).getAttribute("href");
  const query = new URL(href ?? "", "http://localhost").searchParams;
  expect(href).toContain("/api/v1/deployments/flights/drift-report?");
  expect([query.get("format"), query.get("grain"), query.get("limit")]).toEqual(["html", "day", "30"]);
});

test("the heat map as a table says the same", async ({ page }) => {
  await page.goto("/d/flights?grain=day&to=2001-04-14T00:00:00Z&span=30d");
  await page.getByRole("button", { name: "Table" }).click();
  const red = page.locator('[data-testid="drift-table"] td[data-verdict="drifted"]');
  await expect(red).toHaveCount(3);
  for (const cell of await red.all()) await expect(cell).toHaveAttribute("data-column", "distance");
  await red.first().getByRole("button").click();
  await expect(page.getByTestId("distribution")).toContainText("distance");
});

test("empty states say what to run", async ({ page }) => {
  await page.goto("/d/churn");
  await expect(page.getByTestId("no-reference")).toContainText("fairlead push model.onnx --name churn --reference");
  await expect(page.getByTestId("no-labels")).toContainText("/api/v1/deployments/churn/labels");
  await page.goto("/d/fresh");
  await expect(page.getByTestId("no-rows")).toContainText("/v2/models/fresh/infer");
  await page.goto("/d/nothing");
  await expect(page.getByTestId("unknown-deployment")).toContainText("flights, churn, fresh, fraud");
  await page.goto("/nowhere");
  await expect(page.getByTestId("unknown-page")).toBeVisible();
});

test("a server without models welcomes", async ({ page }) => {
  await page.route("**/api/v1/deployments", (route) => route.fulfill({ json: [] }));
  await page.route("**/api/v1/models", (route) => route.fulfill({ body: "null", contentType: "application/json" }));
  await page.goto("/");
  await expect(page.getByTestId("empty-overview")).toContainText("fairlead push model.onnx --name churn");
  await page.goto("/models");
  await expect(page.getByTestId("empty-models")).toBeVisible();
});

test("connection loss keeps the picture, and says so", async ({ page }) => {
  await page.goto("/d/flights?grain=hour");
  await expect(page.getByTestId("heatmap").locator("canvas")).toBeVisible();
  await page.route("**/api/v1/**", (route) => route.abort());
  await expect(page.getByTestId("lost")).toContainText("This is the picture of");
  await expect(page.getByTestId("heatmap").locator("canvas")).toBeVisible();
  await expect(page.getByTestId("server-status")).toHaveAttribute("data-state", "lost");
  await page.unroute("**/api/v1/**");
  await expect(page.getByTestId("lost")).toHaveCount(0);
});

test("a refusal is shown in the server's words", async ({ page }) => {
  await page.route("**/drift?**", (route) => route.fulfill({ status: 400, json: { error: "grain: expected hour or day, got week", code: "invalid", hint: "Leave it out for hours." } }));
  await page.goto("/d/flights");
  await expect(page.getByTestId("error")).toContainText("expected hour or day");
  await expect(page.getByTestId("error")).toContainText("Leave it out");
});

test("SQL runs, shows a table, and shows errors", async ({ page }) => {
  await page.goto("/sql");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByTestId("answer").locator("tbody tr")).toHaveCount(30);
  await page.getByTestId("query").fill("DROP TABLE labels");
  await page.keyboard.press("Control+Enter");
  await expect(page.getByTestId("error")).toContainText("Expected one SELECT");
});

test("models list versions, aliases and signature", async ({ page }) => {
  await page.goto("/models");
  await expect(page.getByTestId("model-flights")).toContainText("champion");
  await expect(page.getByTestId("model-flights")).toContainText("923,114 rows");
  await expect(page.getByTestId("model-churn")).toContainText("none: drift cannot be measured");
});

test("the theme follows the system until one is chosen", async ({ page }) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/d/flights");
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.getByRole("button", { name: "Light" }).click();
  expect(await background()).toBe(light);
  await page.reload();
  expect(await background()).toBe(light);
});

for (const width of [380, 768, 1280, 2560])
  test(`nothing hangs out at ${width} pixels`, async ({ page }) => {
    await page.setViewportSize({ width, height: 900 });
    for (const path of ["/", "/d/flights?grain=hour", "/d/flights?grain=hour&col=distance&at=2001-04-10T15:00:00Z", "/d/churn", "/models", "/sql"]) {
      await page.goto(path);
      await expect(page.locator("main")).not.toBeEmpty();
      await page.waitForTimeout(400);
      await noSideways(page);
    }
  });

test("polling rests while the tab is hidden", async ({ page }) => {
  await page.goto("/d/flights");
  await expect(page.getByTestId("heatmap")).toBeVisible();
  await page.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForTimeout(1200);
  let asked = 0;
  page.on("request", () => asked++);
  await page.waitForTimeout(3000);
  expect(asked).toBe(0);
});

test("models: a row of the reference is there to try, and a refusal is shown in the server's words", async ({ page }) => {
  await page.goto("/models");
  await page.getByTestId("trial-flights-1").click();
  const form = page.getByTestId("try-flights-1");
  await expect(form.getByLabel("distance")).toHaveValue("733");
  await form.getByLabel("hour").fill("23");
  await form.getByRole("button", { name: "Predict" }).click();
  await expect(page.getByTestId("try-answer")).toContainText("late0.73106");
  await expect(page.getByTestId("try-answer")).toContainText("01JDTRYITMOCK");
  await noSideways(page);
  await form.getByLabel("hour").fill("ten");
  await form.getByRole("button", { name: "Predict" }).click();
  await expect(form.getByTestId("error")).toContainText('expected a number, but "ten" came');
  await expect(page.getByTestId("try-answer")).toHaveCount(0);
  await form.getByRole("button", { name: "Reset" }).click();
  await expect(form.getByLabel("hour")).toHaveValue("17");
  await form.getByText("The same from a shell").click();
  await expect(form.locator("pre")).toContainText(String.raw`O'\''Hare`);
});

test("where the time goes, and why there is no batching", async ({ page }) => {
  await page.goto("/d/flights");
  const anatomy = page.getByTestId("anatomy");
  await expect(anatomy).toContainText(/run 480.µs/);
  await expect(anatomy).toContainText("No batching: a batch of 64 rows gains 1.03 times on single rows");
  await anatomy.getByText("What the checks at load found").click();
  await expect(anatomy).toContainText("8 golden vectors: all within 1e-5");
  await noSideways(page);
});
