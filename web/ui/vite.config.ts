import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.FAIRLEAD_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // Nothing may be inlined as data: or script: the policy in web.go allows files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // ECharts, loaded only by the page that draws with it, is larger than the default limit.
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: { "/api": server } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
