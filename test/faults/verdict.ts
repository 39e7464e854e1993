import type { Answer, PostedMessage } from './posts.ts';

/** A message that reached its recipient. */
export interface Arrival {
  /** Its body. */
  readonly name: string;
  readonly id: string;
  readonly originId: string | undefined;
}

/** What was observed in one scenario. */
export interface Observation {
  readonly messages: readonly PostedMessage[];
  readonly arrivals: readonly Arrival[];
  /** Names of the messages that the gateway wrote to the XMPP server. */
  readonly written: ReadonlySet<string>;
  /** The longest time in milliseconds from a healthy server to a ready gateway; undefined: never. */
  readonly readyMs: number | undefined;
  /** When the server ended in a way that may lose messages, on the clock of the answers. */
  readonly crashes: readonly number[];
}

/** What a scenario must satisfy. */
export interface Limits {
  /** Longest that a caller may wait for an answer, in milliseconds. */
  readonly answerMs: number;
  readonly readyMs: number;
  /** Whether the server may lose accepted messages in a crash. */
  readonly mayForgetInCrash: boolean;
  /** Whether the server may answer a message that reached it with an error of type wait. */
  readonly mayRefuse: boolean;
  /** Statuses that callers may get. */
  readonly statuses: readonly number[];
}

/** A scenario in figures, and each invariant that it broke. */
export interface Verdict {
  readonly posted: number;
  readonly acknowledged: number;
  readonly delivered: number;
  readonly lost: number;
  /** The lost messages that the server was allowed to lose. */
  readonly forgotten: number;
  readonly twice: number;
  readonly unavailable: number;
  readonly unknown: number;
  readonly throttled: number;
  readonly longestAnswerMs: number;
  readonly readyMs: number | undefined;
  readonly violations: readonly string[];
}

/**
 * The only codes that each status may have. A bounce would be one of another message, unless the server
 * refuses messages while it stops.
 */
const codes: Readonly<Record<number, readonly string[]>> = {
  200: ['ok'],
  503: ['xmpp-unavailable', 'authentication-unavailable', 'overloaded'],
  504: ['delivery-unknown'],
};

/** Judges one scenario. */
export function judge(observation: Observation, limits: Limits): Verdict {
  const { messages, written, readyMs } = observation;
  const arrived = idsByName(observation.arrivals);
  const has = (status: number) => (message: PostedMessage) =>
    message.answers.some((answer) => answer.status === status);
  const answers = messages.flatMap((message) => message.answers);
  const count = (status: number): number =>
    answers.filter((answer) => answer.status === status).length;

  const acknowledged = messages.filter(has(200));
  const lost = acknowledged.filter(({ name }) => !arrived.has(name));
  const twice = messages.filter((message) => copies(message, arrived) > 1);
  const refused = messages.filter(isOnlyRefused);
  const longestAnswerMs = Math.max(0, ...answers.map((it) => it.endedAt - it.startedAt));
  const isExcused = (message: PostedMessage): boolean =>
    limits.mayForgetInCrash && precedesCrash(message, observation.crashes);
  const violations = [
    ...describe(
      'acknowledged and lost',
      lost.filter((message) => !isExcused(message)),
    ),
    ...describe('delivered twice', twice),
    ...describe(
      '503, but written',
      refused.filter((message) => !isBounced(message) && written.has(message.name)),
    ),
    ...describe(
      '503, but delivered',
      refused.filter(({ name }) => arrived.has(name)),
    ),
    ...describe('delivered, but under another id', messages.filter(isRenamed(observation))),
    ...unexpectedAnswers(answers, limits),
  ];
  if (longestAnswerMs > limits.answerMs) {
    violations.push(`an answer took ${seconds(longestAnswerMs)}, over ${seconds(limits.answerMs)}`);
  }
  if (readyMs === undefined) {
    violations.push('the gateway did not become ready again');
  } else if (readyMs > limits.readyMs) {
    violations.push(`ready again after ${seconds(readyMs)}, over ${seconds(limits.readyMs)}`);
  }
  return {
    posted: messages.length,
    acknowledged: acknowledged.length,
    delivered: messages.filter(({ name }) => arrived.has(name)).length,
    lost: lost.length,
    forgotten: lost.filter(isExcused).length,
    twice: twice.length,
    unavailable: count(503),
    unknown: count(504),
    throttled: count(429),
    longestAnswerMs,
    readyMs,
    violations,
  };
}

function idsByName(arrivals: readonly Arrival[]): Map<string, string[]> {
  const ids = new Map<string, string[]>();
  for (const { name, id } of arrivals) {
    const same = ids.get(name);
    if (same === undefined) ids.set(name, [id]);
    else same.push(id);
  }
  return ids;
}

/** How often the recipient sees the message; with a key, copies with the same id count once. */
function copies({ name, hasKey }: PostedMessage, arrived: ReadonlyMap<string, string[]>): number {
  const ids = arrived.get(name) ?? [];
  return hasKey ? new Set(ids).size : ids.length;
}

function precedesCrash({ answers }: PostedMessage, crashes: readonly number[]): boolean {
  const acknowledgedAt = answers.find(({ status }) => status === 200)?.endedAt ?? 0;
  return crashes.some((at) => at >= acknowledgedAt);
}

/** Every answer was a 503, so nothing may have been delivered, or even written unless it bounced. */
function isOnlyRefused({ answers }: PostedMessage): boolean {
  return answers.length > 0 && answers.every(({ status }) => status === 503);
}

function isBounced({ answers }: PostedMessage): boolean {
  return answers.some(isBounce);
}

function isBounce({ status, code }: Answer): boolean {
  return status === 503 && code === 'bounced';
}

/** Clients can drop a duplicate only by the ids. */
function isRenamed({ arrivals }: Observation): (message: PostedMessage) => boolean {
  const byName = new Map(arrivals.map((arrival) => [arrival.name, arrival]));
  return ({ name, hasKey }) => {
    const arrival = byName.get(name);
    if (arrival === undefined) return false;
    return arrival.id !== (hasKey ? arrival.originId : name);
  };
}

function unexpectedAnswers(answers: readonly Answer[], { statuses, mayRefuse }: Limits): string[] {
  const unexpected = new Map<string, number>();
  for (const answer of answers) {
    const { status, code } = answer;
    const isRight =
      status !== undefined &&
      statuses.includes(status) &&
      (codes[status]?.includes(code) === true || (mayRefuse && isBounce(answer)));
    if (isRight) continue;
    const got = `${status ?? 'no'} ${code}`;
    unexpected.set(got, (unexpected.get(got) ?? 0) + 1);
  }
  return [...unexpected].map(([got, count]) => `${count} × the answer ${got}`);
}

function describe(what: string, messages: readonly PostedMessage[]): string[] {
  if (messages.length === 0) return [];
  const names = messages.slice(0, 5).map(({ name }) => name);
  return [`${messages.length} ${what}: ${names.join(' ')}${messages.length > 5 ? ' …' : ''}`];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
