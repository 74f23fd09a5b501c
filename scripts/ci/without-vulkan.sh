#!/usr/bin/env bash
# without-vulkan.sh COMMAND: runs a command where no Vulkan loader and no driver can be seen, as on a machine that has only Node and npm.
# Root of Linux gets a mount namespace for it; other users are told what can be seen.
set -euo pipefail

folders=(/usr/share/vulkan /usr/local/share/vulkan /etc/vulkan /etc/xdg/vulkan "${HOME:-/nonexistent}/.local/share/vulkan")
mapfile -t libraries < <(ls /usr/lib/libvulkan*.so* /usr/lib/*/libvulkan*.so* /usr/local/lib/libvulkan*.so* 2>/dev/null | xargs -r -n1 readlink -f | sort -u)
seen=("${libraries[@]}")
for folder in "${folders[@]}"; do [ -d "$folder" ] && seen+=("$folder"); done

unset VK_DRIVER_FILES VK_ICD_FILENAMES VK_ADD_DRIVER_FILES
if [ "${#seen[@]}" -eq 0 ]; then exec bash -c "$1"; fi
if [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null; then
  echo "without-vulkan.sh: needs root and mount namespaces to hide ${seen[*]}" >&2
  exec bash -c "$1"
fi

empty="$(mktemp -d)"; trap 'rm -rf "$empty"' EXIT
mkdir "$empty/folder"; : >"$empty/file"
export EMPTY="$empty" COMMAND="$1"
unshare -m bash -c '
  for path in "$@"; do
    if [ -d "$path" ]; then mount --bind "$EMPTY/folder" "$path"; else mount --bind "$EMPTY/file" "$path"; fi
  done
  bash -c "$COMMAND"' hide "${seen[@]}"
