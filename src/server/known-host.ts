/** Whether a Host header names this machine by address, is localhost, or one of `hosts`; undefined allows any. */
export function isKnownHost(header: string, hosts: readonly string[] | undefined): boolean {
  if (hosts === undefined) return true;
  const name = header.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "");
  // Addresses cannot be rebound.
  return (
    /^\[[\da-f:.%]+\]$/.test(name) ||
    /^(\d{1,3}\.){3}\d{1,3}$/.test(name) ||
    /^(.+\.)?localhost$/.test(name) ||
    hosts.includes(name)
  );
}
