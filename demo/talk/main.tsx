import { render } from "preact";
import { App } from "./app.js";
import { open } from "./model.js";

render(<App />, document.getElementById("app")!);
void open();

// Only the built page has a service worker; it makes the page open without a network.
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  navigator.serviceWorker.register(new URL("service-worker.js", document.baseURI)).catch(() => {
    // Private windows and some settings refuse it; the page works, but not offline.
  });
}
