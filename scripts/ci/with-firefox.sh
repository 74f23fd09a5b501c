#!/usr/bin/env bash
# with-firefox.sh COMMAND: runs a command with OCELLUS_FIREFOX naming a Firefox. Where the system has none, Debian's package is unpacked into a
# folder of this script's. Says so and ends well if that can't be done.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/unpack-packages.sh"

missing() { echo "Firefox is not tested: $1"; exit 0; }

firefox="$(command -v firefox-esr || command -v firefox || true)"
if [ -z "$firefox" ]; then
  cache="${TMPDIR:-/tmp}/ocellus-firefox-$(id -u)"
  unpack_packages "$cache" stable firefox-esr
  firefox="$cache/root/usr/lib/firefox-esr/firefox-esr"
  export LD_LIBRARY_PATH="$cache/root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  "$firefox" --version >/dev/null 2>&1 || missing "the unpacked Firefox does not start"
fi
export OCELLUS_FIREFOX="$firefox"
exec bash -c "$1"
