#!/usr/bin/env bash
# with-redis.sh COMMAND: runs a command with OCELLUS_REDIS naming a Redis server. Where the system has neither redis-server nor valkey-server,
# Debian's package is unpacked into a folder of this script's. Says so and ends well if that can't be done.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/unpack-packages.sh"

missing() { echo "The queue is not tested: $1"; exit 0; }

redis="$(command -v redis-server || command -v valkey-server || true)"
if [ -z "$redis" ]; then
  cache="${TMPDIR:-/tmp}/ocellus-redis-$(id -u)"
  unpack_packages "$cache" stable redis-server redis-tools
  redis="$cache/root/usr/bin/redis-server"
  export LD_LIBRARY_PATH="$cache/root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  "$redis" --version >/dev/null 2>&1 || missing "the unpacked redis-server does not start"
fi
export OCELLUS_REDIS="$redis"
exec bash -c "$1"
