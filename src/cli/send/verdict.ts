/** What became of a message. */
export type Outcome =
  | 'confirmed'
  | 'refused'
  | 'bounced'
  | 'not-permitted'
  | 'unavailable'
  | 'unknown';

/** Exit codes, as far as there are any those of sysexits.h. */
export const exitCodes: Readonly<Record<Outcome, number>> = {
  confirmed: 0,
  refused: 1,
  bounced: 1,
  unavailable: 75,
  unknown: 76,
  'not-permitted': 77,
};

/** How one try ended, and whether the same request may be sent again. */
export interface Verdict {
  readonly outcome: Outcome;
  readonly mayRetry: boolean;
}

/** Judges an answer by its status and the members of the JSON object that it is, if it is one. */
export function judgeAnswer(status: number, fields: Readonly<Record<string, unknown>>): Verdict {
  const { code } = fields;
  if (isReceipt(status, fields)) return final('confirmed');
  // Once more is what the server asks for only with 503: resource-constraint, or a wait.
  if (code === 'bounced') return { outcome: 'bounced', mayRetry: status === 503 };
  if (status === 401 || status === 403) return final('not-permitted');
  if (status === 429 || status === 503) return again('unavailable');
  if (status === 504 || code === 'idempotency-in-progress') return again('unknown');
  // A proxy lost the gateway while it was answering, or never had it.
  if (status === 502) return again('unknown');
  return final(status >= 500 ? 'unknown' : 'refused');
}

/** Whether it is the gateway that says so: anything may answer 200 at an address that is not right. */
function isReceipt(
  status: number,
  { status: word, id }: Readonly<Record<string, unknown>>,
): boolean {
  return status === 200 && word === 'success' && typeof id === 'string';
}

/** Judges a try without an answer: the request goes out only when there is a connection. */
export function judgeFailure(wasConnected: boolean): Verdict {
  return again(wasConnected ? 'unknown' : 'unavailable');
}

/** The outcome of several tries: what may have been sent once stays so until it is known. */
export function combineOutcomes(outcomes: readonly Outcome[]): Outcome {
  const last = outcomes.at(-1) ?? 'unavailable';
  const isSettled = last === 'confirmed' || last === 'bounced';
  return !isSettled && outcomes.includes('unknown') ? 'unknown' : last;
}

function final(outcome: Outcome): Verdict {
  return { outcome, mayRetry: false };
}

function again(outcome: Outcome): Verdict {
  return { outcome, mayRetry: true };
}
