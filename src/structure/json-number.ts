import { codePoints } from "./code-points.js";
import { chars, choice, EMPTY, NEVER, optional, type Pattern, Rule, repeat, sequence, text } from "./pattern.js";

/** What numbers are asked for. */
export interface NumberLimits {
  readonly whole: boolean;
  /** -Infinity for none. */
  readonly least: number;
  /** Infinity for none. */
  readonly most: number;
  /** Whether `least` itself is too little. */
  readonly aboveLeast: boolean;
  /** Whether `most` itself is too much. */
  readonly belowMost: boolean;
  /** What they are multiples of, if anything. */
  readonly step: Step | undefined;
}

/** `units` of the last of `places` digits after the point: 0.25 is 25 units with 2 places. */
export interface Step {
  readonly units: number;
  readonly places: number;
}

/** The least step of which both are divisors; undefined where it has too many digits. */
export function commonStep(step: Step | undefined, multipleOf: number): Step | undefined {
  const { whole, fraction } = decimal(multipleOf)!;
  const places = Math.max(step?.places ?? 0, fraction.length);
  const units = Number(whole + fraction.padEnd(places, "0"));
  const other = step ? step.units * 10 ** (places - step.places) : units;
  if (!Number.isSafeInteger(units * other)) return undefined;
  return reduced({ units: (units / divisor(units, other)) * other, places });
}

/** The same without zeros at its end. */
function reduced({ units, places }: Step): Step {
  return places > 0 && units % 10 === 0 ? reduced({ units: units / 10, places: places - 1 }) : { units, places };
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

/** Whether a number is a multiple, both taken as the decimal numbers that they are written as. */
export function isMultiple(value: number, multipleOf: number): boolean {
  const [a, b] = [decimal(value), decimal(multipleOf)];
  if (!a || !b) return false;
  const places = Math.max(a.fraction.length, b.fraction.length);
  const scaled = ({ whole, fraction }: Decimal): bigint => BigInt(whole + fraction.padEnd(places, "0"));
  return scaled(a) % scaled(b) === 0n;
}

/** Digits of a number without exponent: as many as a double holds whatever they are, so comparing them is comparing numbers. */
const MOST_DIGITS = 15;
/** Digits of multiples of more than 30 units, each of which is a state at each digit. */
const MOST_STEPPED_DIGITS = 9;
const DIGIT = digits(0, 9);

/**
 * Numbers as JSON: whole ones of at most 15 digits; others with a fraction of at most 14 and, where there are no limits,
 * an exponent of at most two.
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
  // Zero and above; what is below zero is that of the other sign turned round.
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

/** Undefined for infinities; a sign is left out. */
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

/** Numbers from zero on between two bounds, digit by digit: whoever has followed a bound so far must go on comparing. */
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

  /** A pattern for each number of digits before the point. */
  lengths(): Pattern[] {
    const [least, most] = [this.low.value?.whole.length ?? 1, this.high.value?.whole.length ?? this.#digits];
    const found: Pattern[] = [];
    for (let length = least; length <= Math.min(most, this.#digits); length++) {
      found.push(this.#rest(length, 0, length === least, length === most && this.high.value !== undefined, 0));
    }
    return found;
  }

  /**
   * What follows `at` digits of a number with `length` before the point. `onLow` and `onHigh` say that the digits so far are
   * the bound's; `remainder` is that of the digits so far by the step.
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

  /** Whether a number that ends after `places` digits of its fraction is one: those that it lacks are zeros. */
  #isMultiple(remainder: number, places: number): boolean {
    const { units, places: all } = this.step ?? { units: 1, places: 0 };
    let rest = remainder;
    for (let i = places; i < all; i++) rest = (rest * 10) % units;
    return rest % units === 0;
  }

  /** Whether the number may end after `at` digits: what it lacks of a bound's digits counts as zeros. */
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
