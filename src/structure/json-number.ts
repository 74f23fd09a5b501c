import { codePoints } from "./code-points.js";
import { chars, choice, EMPTY, NEVER, optional, type Pattern, Rule, repeat, sequence, text } from "./pattern.js";

/** Conditions on a number. */
export interface NumberLimits {
  readonly whole: boolean;
  /** Minimum; -Infinity for none. */
  readonly least: number;
  /** Maximum; Infinity for none. */
  readonly most: number;
  /** Whether the minimum is exclusive. */
  readonly aboveLeast: boolean;
  /** Whether the maximum is exclusive. */
  readonly belowMost: boolean;
  /** `multipleOf`, if any. */
  readonly step: Step | undefined;
}

/** A decimal number, `units`·10^-`places`: 0.25 is 25 units with 2 places. */
export interface Step {
  readonly units: number;
  readonly places: number;
}

/** Least common multiple of two steps; undefined if it has too many digits. */
export function commonStep(step: Step | undefined, multipleOf: number): Step | undefined {
  const { whole, fraction } = decimal(multipleOf)!;
  const places = Math.max(step?.places ?? 0, fraction.length);
  const units = Number(whole + fraction.padEnd(places, "0"));
  const other = step ? step.units * 10 ** (places - step.places) : units;
  if (!Number.isSafeInteger(units * other)) return undefined;
  return reduced({ units: (units / divisor(units, other)) * other, places });
}

/** Removes trailing zeros. */
function reduced({ units, places }: Step): Step {
  return places > 0 && units % 10 === 0 ? reduced({ units: units / 10, places: places - 1 }) : { units, places };
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

/** Whether a number is a multiple, in exact decimal arithmetic. */
export function isMultiple(value: number, multipleOf: number): boolean {
  const [a, b] = [decimal(value), decimal(multipleOf)];
  if (!a || !b) return false;
  const places = Math.max(a.fraction.length, b.fraction.length);
  const scaled = ({ whole, fraction }: Decimal): bigint => BigInt(whole + fraction.padEnd(places, "0"));
  return scaled(a) % scaled(b) === 0n;
}

/** Maximum digits of a number without exponent: a double represents 15 digits exactly, so comparing digits compares numbers. */
const MOST_DIGITS = 15;
/** Maximum digits of multiples of more than 30 units; each remainder is a state at each digit. */
const MOST_STEPPED_DIGITS = 9;
const DIGIT = digits(0, 9);

/**
 * Pattern of JSON numbers: integers of at most 15 digits; others with a fraction of at most 14 digits and, without limits, an exponent
 * of at most two.
 */
export function numberPattern(limits: NumberLimits): Pattern {
  const { whole, least, most } = limits;
  const step = limits.step && whole ? commonStep(limits.step, 1) : limits.step;
  if (least === Number.NEGATIVE_INFINITY && most === Number.POSITIVE_INFINITY && !step) {
    const natural = sequence(digits(1, 9), repeat(DIGIT, 0, MOST_DIGITS - 1));
    if (whole) return choice(text("0"), sequence(optional(text("-")), natural));
    const fraction = sequence(text("."), repeat(DIGIT, 1, MOST_DIGITS - 1));
    const exponent = sequence(
      chars(
        codePoints([
          [0x45, 0x45],
          [0x65, 0x65],
        ]),
      ),
      optional(choice(text("+"), text("-"))),
      repeat(DIGIT, 1, 2),
    );
    return sequence(optional(text("-")), choice(text("0"), natural), optional(fraction), optional(exponent));
  }
  const low: Bound = { value: decimal(least), open: limits.aboveLeast };
  const high: Bound = { value: decimal(most), open: limits.belowMost };
  const zero = decimal(0);
  const options: Pattern[] = [];
  // Non-negative numbers; negative ones are the mirrored range with a sign.
  if (most >= 0)
    options.push(...new Between(least < 0 ? { value: zero, open: false } : low, high, whole, step).lengths());
  if (least < 0) {
    const mirrored = { value: decimal(-least), open: low.open };
    const from = most < 0 ? { value: decimal(-most), open: high.open } : { value: zero, open: true };
    const below = new Between(from, mirrored, whole, step).lengths();
    options.push(sequence(text("-"), choice(...below)));
  }
  return options.length === 0 ? NEVER : choice(...options);
}

interface Bound {
  readonly value: Decimal | undefined;
  readonly open: boolean;
}

/** Digits before and after the point. */
interface Decimal {
  readonly whole: string;
  readonly fraction: string;
}

/** Returns the digits of a bound, without its sign; undefined for infinities. */
function decimal(value: number): Decimal | undefined {
  if (!Number.isFinite(value)) return undefined;
  const [mantissa, exponent = "0"] = String(Math.abs(value)).split("e") as [string, string?];
  const [before, after = ""] = mantissa.split(".") as [string, string?];
  const shift = Number(exponent);
  const all = before + after;
  const point = before.length + shift;
  const padded = point <= 0 ? "0".repeat(1 - point) + all : all.padEnd(point, "0");
  const at = Math.max(point, 1);
  return { whole: padded.slice(0, at).replace(/^0+(?=\d)/, ""), fraction: padded.slice(at) };
}

/**
 * Non-negative numbers between two bounds, digit by digit (digit DP): while the digits equal a bound's, they are compared
 * further.
 */
class Between {
  readonly #tails = new Map<string, Rule>();
  readonly #digits: number;

  constructor(
    readonly low: Bound,
    readonly high: Bound,
    readonly whole: boolean,
    readonly step: Step | undefined,
  ) {
    this.#digits = step && step.units > 30 ? MOST_STEPPED_DIGITS : MOST_DIGITS;
  }

  /** One pattern per number of integer digits. */
  lengths(): Pattern[] {
    const [least, most] = [this.low.value?.whole.length ?? 1, this.high.value?.whole.length ?? this.#digits];
    const found: Pattern[] = [];
    for (let length = least; length <= Math.min(most, this.#digits); length++) {
      found.push(this.#rest(length, 0, length === least, length === most && this.high.value !== undefined, 0));
    }
    return found;
  }

  /**
   * Pattern after `at` digits of a number with `length` integer digits. `onLow` and `onHigh`: the digits so far equal the bound's;
   * `remainder`: of the digits so far modulo the step.
   */
  #rest(length: number, at: number, onLow: boolean, onHigh: boolean, remainder: number): Pattern {
    const { whole, step } = this;
    const places = whole ? 0 : Math.min(step?.places ?? MOST_DIGITS, this.#digits - length);
    const units = step?.units ?? 1;
    const inFraction = at > length;
    if (!onLow && !onHigh && units === 1 && at > 0) {
      if (inFraction) return repeat(DIGIT, 0, length + places - at);
      const fraction = places > 0 ? optional(sequence(text("."), repeat(DIGIT, 1, places))) : EMPTY;
      return sequence(repeat(DIGIT, length - at, length - at), fraction);
    }
    const key = onLow || onHigh ? [length, at, onLow, onHigh, remainder] : [length - at, at > 0, remainder];
    const known = this.#tails.get(key.join());
    if (known) return known;
    const rule = new Rule("a number");
    this.#tails.set(key.join(), rule);
    const options: Pattern[] = [];
    if (at >= length && this.#isMultiple(remainder, at - length) && this.#mayStop(length, at, onLow, onHigh))
      options.push(EMPTY);
    if (at < length + places) {
      const next: Pattern[] = [];
      const from = onLow ? digitAt(this.low.value, length, at) : 0;
      const to = onHigh ? digitAt(this.high.value, length, at) : 9;
      for (let digit = at === 0 && length > 1 ? Math.max(from, 1) : from; digit <= to; digit++) {
        const after = (remainder * 10 + digit) % units;
        const rest = this.#rest(length, at + 1, onLow && digit === from, onHigh && digit === to, after);
        next.push(sequence(digits(digit, digit), rest));
      }
      const more = choice(...next);
      options.push(at === length ? sequence(text("."), more) : more);
    }
    rule.body = choice(...options);
    return rule;
  }

  /** Whether a number may end after `places` fraction digits, with the missing ones zero: multiple of the step. */
  #isMultiple(remainder: number, places: number): boolean {
    const { units, places: all } = this.step ?? { units: 1, places: 0 };
    let rest = remainder;
    for (let i = places; i < all; i++) rest = (rest * 10) % units;
    return rest % units === 0;
  }

  /** Whether a number may end after `at` digits, with the missing ones zero: within the bounds. */
  #mayStop(length: number, at: number, onLow: boolean, onHigh: boolean): boolean {
    const nothingMore = ({ value }: Bound): boolean => /^0*$/.test(value!.fraction.slice(at - length));
    if (onLow && (this.low.open || !nothingMore(this.low))) return false;
    return !(onHigh && this.high.open && nothingMore(this.high));
  }
}

function digitAt(value: Decimal | undefined, length: number, at: number): number {
  return Number((at < length ? value!.whole[at] : value!.fraction[at - length]) ?? 0);
}

function digits(first: number, last: number): Pattern {
  return chars([[0x30 + first, 0x30 + last]]);
}
