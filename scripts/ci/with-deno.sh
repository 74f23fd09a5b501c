#!/usr/bin/env bash
# with-deno.sh COMMAND: runs a command with OCELLUS_DENO naming Deno 2. Where the system has none, npm's package `deno` is installed into a
# folder of this script's. Says so and ends well if that can't be done.
set -euo pipefail

missing() { echo "Deno is not tested: $1"; exit 0; }

deno="$(command -v deno || true)"
if [ -z "$deno" ]; then
  cache="${TMPDIR:-/tmp}/ocellus-deno-$(id -u)"
  if ! "$cache/node_modules/.bin/deno" --version >/dev/null 2>&1; then
    mkdir -p "$cache"
    npm install --prefix "$cache" --no-audit --no-fund deno@2 >"$cache/log" 2>&1 || missing "npm install deno fails: $(tail -n 1 "$cache/log")"
  fi
  deno="$cache/node_modules/.bin/deno"
  "$deno" --version >/dev/null 2>&1 || missing "npm's package deno has no build that runs here"
fi
export OCELLUS_DENO="$deno"
exec bash -c "$1"
