import { render } from "preact";
import { App } from "./app.js";
import { restoreTab } from "./current.js";
import { open } from "./model.js";
import { takeShared } from "./shared.js";

render(<App />, document.getElementById("app")!);
void open();
void restoreTab().then(takeShared);

// The service worker makes the page work offline. Where it is not available (private windows, vite's dev server) the page works online.
navigator.serviceWorker?.register(new URL("service-worker.js", document.baseURI)).catch(() => {});
