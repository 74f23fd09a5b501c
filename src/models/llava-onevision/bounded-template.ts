/** Renders Jinja templates within bounds: a template comes with a checkpoint, and may loop in loops. */
import { Environment, Interpreter, Template } from "@huggingface/jinja";

/** Most characters of a template. Published ones have up to 30,000; the library's lexer takes quadratic time for some texts. */
export const MOST_CHARACTERS = 100_000;
/** Longest run of white space in a template, which the library's lexer reads in quadratic time. */
const LONGEST_SPACE = 1000;
/** Most steps of a rendering: evaluated nodes, and the size of what they compute. A second or two. */
export const MOST_STEPS = 500_000;
/** Steps besides, per message: published templates take about a hundred. */
const STEPS_OF_MESSAGE = 2000;
/** Most numbers of one `range()`: far more than messages have, and few enough for memory. */
const MOST_NUMBERS = 100_000;
/** Characters that count as one step. */
const CHARACTERS_OF_STEP = 64;
/** Most characters of a computed text: more than fit into any context. */
const MOST_TEXT = 2 ** 22;
/** Nodes whose values are new; those of others exist already. */
const COMPUTING = new Set([
  "BinaryExpression",
  "CallExpression",
  "FilterExpression",
  "FilterStatement",
  "SliceExpression",
]);

/** The library's globals, which its own `render` sets: that takes no interpreter. */
const GLOBALS = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  range: boundedRange,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  strftime_now: (format: string) => new Template("{{ strftime_now(format) }}").render({ format }),
};

/** Jinja's `range`. The library's own builds an array of any length, which ends the process. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error("range() step must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MOST_NUMBERS)) throw new Error(`range() of ${count} numbers; at most ${MOST_NUMBERS} are allowed`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

/** The library's interpreter: its declarations name files without extension, so that compilers don't find its type. */
interface Evaluator {
  run(program: unknown): { readonly value: unknown };
  evaluate(node: { readonly type: string } | undefined, environment: object): { readonly value: unknown };
}
const LibraryInterpreter = Interpreter as unknown as new (environment: object) => Evaluator;

/** A parsed template. */
export class BoundedTemplate {
  readonly #template: Template;

  /** Throws an Error for a template that is too long, or broken. */
  constructor(source: string) {
    if (source.length > MOST_CHARACTERS) {
      throw new Error(`a template of ${source.length} characters; at most ${MOST_CHARACTERS} are allowed`);
    }
    if (new RegExp(`\\s{${LONGEST_SPACE + 1}}`).test(source)) {
      throw new Error(`more than ${LONGEST_SPACE} spaces in a row`);
    }
    this.#template = new Template(source);
  }

  /** Renders messages. Throws an Error beyond the bounds, and what the template raises. */
  render(messages: readonly object[], variables: Readonly<Record<string, unknown>>): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables, messages })) environment.set(name, value);
    const interpreter = new BoundedInterpreter(environment, MOST_STEPS + STEPS_OF_MESSAGE * messages.length);
    return interpreter.run(this.#template.parsed).value as string;
  }
}

class BoundedInterpreter extends LibraryInterpreter {
  #left: number;

  constructor(
    environment: object,
    readonly steps: number,
  ) {
    super(environment);
    this.#left = steps;
  }

  override evaluate(...[node, environment]: Parameters<Evaluator["evaluate"]>): ReturnType<Evaluator["evaluate"]> {
    this.#spend(1);
    const found = super.evaluate(node, environment);
    if (node && COMPUTING.has(node.type)) {
      const { value } = found;
      if (typeof value === "string") {
        if (value.length > MOST_TEXT)
          throw new Error(`a text of ${value.length} characters; at most ${MOST_TEXT} are allowed`);
        this.#spend(value.length / CHARACTERS_OF_STEP);
      } else if (Array.isArray(value)) this.#spend(value.length);
    }
    return found;
  }

  #spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new Error(`a rendering of more than ${this.steps} steps`);
  }
}
