/** String formats as JavaScript regular expressions. Some are narrower than the standards; every match is valid. */

const MONTH_DAY =
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))";
/** Leap years: divisible by 4 and not by 100, or by 400. */
const LEAP_YEAR = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const DATE = `(?:\\d{4}-${MONTH_DAY}|${LEAP_YEAR}-02-29)`;
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
/** At most 63 characters, and no two hyphens together: `xn--` would have to be decoded. */
const LABEL = "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,31}";
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const URI_CHAR = "(?:[\\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
const URI_TAIL = `(?:\\?(?:${URI_CHAR}|[/?])*)?(?:#(?:${URI_CHAR}|[/?])*)?`;
const URI = `[a-z][a-z0-9+.-]*://${LABEL}(?:\\.${LABEL})*(?::\\d{1,5})?(?:/${URI_CHAR}*)*${URI_TAIL}`;
const URI_REFERENCE = `(?:${URI}|/?(?:[\\w.~-]+(?:/[\\w.~-]*)*)?${URI_TAIL})`;
const WORD = "[A-Za-z0-9_+-]+";
const EMAIL = `${WORD}(?:\\.${WORD})*@${LABEL}(?:\\.${LABEL})+`;
const HOSTNAME = `${LABEL}(?:\\.${LABEL})*`;
const GROUP = "[0-9a-fA-F]{1,4}";
const GROUPS = (least: number, most: number): string => `(?:${GROUP}:){${least},${most}}`;
/** IPv6: eight groups, or fewer with one `::`. */
const IPV6 = `(?:${GROUPS(7, 7)}${GROUP}|${GROUPS(1, 7)}:|:(?::${GROUP}){1,7}|::${[1, 2, 3, 4, 5, 6]
  .map((before) => `|${GROUPS(before, before)}(?::${GROUP}){1,${7 - before}}`)
  .join("")})`;
const UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
const DURATION_TIME = "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)";
const DURATION_DATE = "(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)";
const DURATION = `P(?:${DURATION_DATE}(?:${DURATION_TIME})?|${DURATION_TIME}|\\d+W)`;
const POINTER = "(?:/(?:[^~/]|~[01])*)*";
/** Restricted syntax that means the same in all engines. */
const REGEX_PART = "(?:[A-Za-z0-9 _-]|\\\\[dws]|\\[[A-Za-z0-9_]+\\])[*+?]?";

const whole = (sources: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(sources).map(([name, source]) => [name, `^(?:${source})$`]));

/** Formats of the standard, then those of pydantic and zod. Others are annotations, as in the standard. */
export const FORMATS: Readonly<Record<string, string>> = whole({
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  duration: DURATION,
  email: EMAIL,
  "idn-email": EMAIL,
  hostname: HOSTNAME,
  "idn-hostname": HOSTNAME,
  ipv4: IPV4,
  ipv6: IPV6,
  uri: URI,
  iri: URI,
  "uri-reference": URI_REFERENCE,
  "iri-reference": URI_REFERENCE,
  "uri-template": `${URI_REFERENCE}(?:\\{[A-Za-z]\\w*\\})*`,
  uuid: UUID,
  "json-pointer": POINTER,
  "relative-json-pointer": `(?:0|[1-9]\\d*)(?:#|${POINTER})`,
  regex: `\\^?(?:${REGEX_PART})*\\$?`,
  ...Object.fromEntries(
    [1, 3, 4, 5, 6, 7, 8].map((version) => [
      `uuid${version}`,
      `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-${version}[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}`,
    ]),
  ),
  url: URI,
  "multi-host-uri": URI,
  ipvanyaddress: `${IPV4}|${IPV6}`,
  ipv4network: `${BYTE}\\.0\\.0\\.0/(?:8|9|[12]\\d|3[0-2])`,
  ipv4interface: `${IPV4}/(?:\\d|[12]\\d|3[0-2])`,
  base64: "(?:[0-9a-zA-Z+/]{4})*(?:[0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)?",
  base64url: "(?:[0-9a-zA-Z_-]{4})*(?:[0-9a-zA-Z_-]{2,3})?",
});

export function isTextFormat(format: unknown): format is string {
  return typeof format === "string" && Object.hasOwn(FORMATS, format);
}

const NUMBER_RANGES: Readonly<Record<string, readonly [least: number, most: number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-2147483648, 2147483647],
  uint32: [0, 4294967295],
  uint64: [0, Number.POSITIVE_INFINITY],
};

/** Minimum and maximum of OpenAPI's number formats. */
export function rangeOf(format: unknown): readonly [least: number, most: number] {
  const known = typeof format === "string" && Object.hasOwn(NUMBER_RANGES, format);
  return known ? NUMBER_RANGES[format]! : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
}
