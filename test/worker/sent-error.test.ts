import { describe, expect, test } from "vitest";
import * as errors from "../../src/base/errors.js";
import { NotFoundError } from "../../src/io/bytes/source.js";
import { receiveError, sendError } from "../../src/worker/sent-error.js";

const { OcellusError, AbortedError, ContextOverflowError } = errors;

const fault = { where: "here", expected: "one thing", got: "another", remedy: "do it again" };

/** Every class of the module but the base and the abort, which begin otherwise; some take numbers beside the fault. */
const simple = Object.entries(errors).filter(
  ([name]) => /Error$/.test(name) && !["OcellusError", "AbortedError"].includes(name),
) as [string, new (given: errors.Fault, ...numbers: number[]) => errors.OcellusError][];

const cross = (error: unknown) => receiveError(structuredClone(sendError(error)));

describe("an error that crosses to another thread", () => {
  test("there are classes to try", () => expect(simple.length).toBeGreaterThan(12));

  test.each(simple)("%s", (name, Class) => {
    const thrown = new Class(fault, 5000, 4096);
    const received = cross(thrown) as errors.OcellusError;
    expect(received).toBeInstanceOf(Class);
    expect(received).toBeInstanceOf(OcellusError);
    expect(received).toMatchObject({ name, code: thrown.code, message: thrown.message, stack: thrown.stack });
    expect({ ...received }).toEqual({ ...thrown });
    expect(received.fault).toEqual(fault);
  });

  test("an abort has the name of the web's", () => {
    const received = cross(new AbortedError("vision", new RangeError("enough")));
    expect(received).toBeInstanceOf(AbortedError);
    expect(received).toMatchObject({ name: "AbortError", code: "ABORTED", cause: { message: "enough" } });
    expect(received.cause).toBeInstanceOf(RangeError);
  });

  test("numbers of its own", () => {
    const received = cross(new ContextOverflowError(fault, 5000, 4096));
    expect(received).toBeInstanceOf(ContextOverflowError);
    expect(received).toMatchObject({ requestedTokens: 5000, availableTokens: 4096 });
  });

  test("fields of its own, but for what cannot be cloned", () => {
    const thrown = Object.assign(new errors.LimitError(fault), { needs: { bytes: 12 }, retry: () => {} });
    const received = cross(thrown);
    expect(received).toMatchObject({ needs: { bytes: 12 } });
    expect(received).not.toHaveProperty("retry");
  });

  test("a class that is not public comes as its public one", () => {
    const received = cross(new NotFoundError(fault));
    expect(received).toBeInstanceOf(errors.SourceError);
    expect(received.name).toBe("SourceError");
  });

  test("causes, one below the other", () => {
    const inner = new errors.MediaError({ ...fault, cause: new TypeError("deep") });
    const received = cross(new errors.CheckpointError({ ...fault, cause: inner }));
    expect(received.cause).toBeInstanceOf(errors.MediaError);
    expect((received.cause as Error).cause).toBeInstanceOf(TypeError);
  });

  test("errors of the language and what is no error", () => {
    expect(cross(new RangeError("too far"))).toBeInstanceOf(RangeError);
    expect(cross(new URIError("odd"))).toMatchObject({ name: "URIError", message: "odd" });
    expect(cross("words")).toMatchObject({ name: "Error", message: "words" });
    expect(cross(undefined)).toMatchObject({ message: "undefined" });
  });
});
