import { defineConfig } from "vite";

// Fixed names: the built files are committed, and a build changes only what changed.
const target = process.env.TARSIER_URL ?? "http://127.0.0.1:9090";
const served = ["/api", "/-/", "/metrics", "/tempo", "/jaeger", "/graph"];

export default defineConfig({
  base: "",
  build: {
    outDir: "dist",
    target: "es2022",
    sourcemap: false,
    cssCodeSplit: true,
    modulePreload: false,
    chunkSizeWarningLimit: 600,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  worker: {
    format: "es",
    rollupOptions: { output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js" } },
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(served.map((path) => [path, { target, changeOrigin: true }])),
  },
});
