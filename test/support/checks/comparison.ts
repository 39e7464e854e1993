/** What one observer saw of one kind, sent by the client and the other way; undefined: nothing. */
export interface Difference {
  readonly kind: string;
  readonly observer: string;
  readonly client: string | undefined;
  readonly other: string | undefined;
}

/** The result of a comparison. */
export interface Comparison {
  readonly equal: number;
  readonly all: number;
  readonly differences: readonly Difference[];
}

/** `equal N of M`, and every difference. */
export function describeComparison({ equal, all, differences }: Comparison): string {
  const lines = differences.map(
    ({ kind, observer, client, other }) =>
      `${kind}, ${observer}:\n  client ${client}\n  other  ${other}`,
  );
  return [`equal ${equal} of ${all}`, ...lines].join('\n');
}

/** `equal N of M`, and one line for each difference. */
export function summarizeComparison({ equal, all, differences }: Comparison): string {
  const lines = differences.map(({ kind, observer, client, other }) => {
    const missing = client === undefined ? 'nothing from the client' : 'only from the client';
    const isMissing = client === undefined || other === undefined;
    return `  ${kind}, ${observer}: ${isMissing ? missing : 'not the same'}`;
  });
  return [`equal ${equal} of ${all}`, ...lines].join('\n');
}
