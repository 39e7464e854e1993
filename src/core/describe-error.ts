/** The words of an error, those of a dual-stack connect one level deeper included. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return error.message.trim() || (inner === undefined ? error.name : describeError(inner));
}

/** The words of an error and, behind a colon, of what caused it: for logs, never for callers. */
export function describeWithCause(error: Error): string {
  return error.cause === undefined
    ? error.message
    : `${error.message.replace(/\.$/, '')}: ${describeError(error.cause)}`;
}
