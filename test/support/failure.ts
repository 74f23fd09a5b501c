/** Returns the error of class `kind` that `make` throws; any other error is thrown on, and none is an error too. */
export function failure<E extends Error>(kind: new (...args: never[]) => E, make: () => unknown): E {
  try {
    make();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}
