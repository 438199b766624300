import "../design/tokens.css";
import "../design/theme";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";

/* After a new version was installed, the old page asks for files that are gone: load it anew, but
 * only once, or a broken server would make it load for ever. */
window.addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("weir.reloaded") ?? 0);
  if (Date.now() - last < 30_000) return;
  sessionStorage.setItem("weir.reloaded", String(Date.now()));
  event.preventDefault();
  window.location.reload();
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
