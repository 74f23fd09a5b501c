#!/usr/bin/env node
import { runQuietly } from "./quiet.js";

// What the commands import is loaded only in the process that runs them.
if (!runQuietly(import.meta.url)) (await import("./commands.js")).run(process.argv.slice(2));
