# Sourced. unpack_packages CACHE RELEASE PACKAGE...: downloads Debian or Ubuntu packages, with what they need and the system lacks, and unpacks
# them into CACHE/root, once, so that nothing else on the machine changes. RELEASE may be "backports". Calls `missing REASON` if it can't.
unpack_packages() {
  local cache="$1" release="$2"; shift 2
  if [ -f "$cache/complete" ]; then return; fi
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "it is not installed, and there is no apt-get"
  [ "$(uname -m)" = x86_64 ] || missing "it is not installed, and packages are unpacked on x86_64 only"
  rm -rf "$cache"; mkdir -p "$cache"/{lists/partial,archives/partial,root}
  . /etc/os-release
  cp /etc/apt/sources.list "$cache/sources.list" 2>/dev/null || : >"$cache/sources.list"
  mkdir "$cache/sources.d"; cp /etc/apt/sources.list.d/*.{list,sources} "$cache/sources.d/" 2>/dev/null || true
  local from=()
  if [ "$release" = backports ] && [ "${VERSION_CODENAME:-}" = bookworm ]; then
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] http://deb.debian.org/debian bookworm-backports main" >>"$cache/sources.list"
    from=(-t bookworm-backports)
  fi
  local options=(-o "Dir::Etc::sourcelist=$cache/sources.list" -o "Dir::Etc::sourceparts=$cache/sources.d" -o "Dir::State::lists=$cache/lists"
    -o "Dir::Cache=$cache" -o "Dir::Cache::archives=archives" -o "APT::Sandbox::User=$(id -un)" -o "Debug::NoLocking=1")
  apt-get -qq "${options[@]}" update >"$cache/log" 2>&1 || missing "apt-get update fails: $(tail -n 1 "$cache/log")"
  apt-get -qq -y "${options[@]}" install --download-only --no-install-recommends "${from[@]}" "$@" >"$cache/log" 2>&1 ||
    missing "its packages can't be had: $(tail -n 1 "$cache/log")"
  local package
  for package in "$cache"/archives/*.deb; do dpkg-deb -x "$package" "$cache/root"; done
  touch "$cache/complete"
}
