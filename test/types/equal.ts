/** True only for the same type: assignable both ways, `readonly` and `?` included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only for `true`. */
export function holds<T extends true>(_proof?: T): void {}
