import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { basic, type HttpAnswer, post } from '../support/clients/http.ts';
import { apiAccount } from '../support/gateway/gateway.ts';

/** Which of the gateway's two URLs: as alice with the API account, or as the bot itself. */
export type Url = 'api' | 'user';

/** The answer to one request; times on the clock of `performance.now()`. */
export interface Answer {
  /** Undefined when the connection ended without a complete answer. */
  readonly status: number | undefined;
  /** The code of the problem, or `ok`. */
  readonly code: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** One message, however often it was posted. */
export interface PostedMessage {
  /** Its body and, unless it has an Idempotency-Key, its id; unique. */
  readonly name: string;
  readonly url: Url;
  /** Posted with the same Idempotency-Key until it was acknowledged. */
  readonly hasKey: boolean;
  readonly answers: Answer[];
}

/** All that is posted to one recipient. */
export interface Posts {
  readonly messages: readonly PostedMessage[];
  /** Posts a new message once. */
  postOne(url: Url, agent?: Agent): Promise<Answer>;
  /** Starts clients that post one message after the other. */
  start(options: ClientOptions): void;
  /** Resolves once each client has its last answer. */
  stop(): Promise<void>;
}

/** What the clients of a scenario do. */
export interface ClientOptions {
  readonly url: Url;
  /** The number of clients; each has its own connection. */
  readonly clients: number;
  /** Posts a message again, with the same Idempotency-Key, until it is acknowledged; default false. */
  readonly retries?: boolean;
  /** Each client posts its messages as the lines of one request, and again until each is acknowledged. */
  readonly isBulk?: boolean;
}

/** Pause between a client's requests: the scenarios need continuous load, not the highest. */
const pauseMs = 20;

/** How many lines of a request may be without an answer. */
const maxLines = 16;

/** How long a client keeps trying to post one message, in milliseconds. */
const patienceMs = 120_000;

/** Creates the posts to `to`; `prefix` makes their names unique. */
export function createPosts(gateway: { readonly url: string }, to: string, prefix: string): Posts {
  const messages: PostedMessage[] = [];
  const running: Promise<void>[] = [];
  const stopping = new AbortController();
  let stoppedAt = 0;

  const create = (url: Url, hasKey: boolean): PostedMessage => {
    const name = `${prefix}-${messages.length + 1}`;
    const message = { name, url, hasKey, answers: [] };
    messages.push(message);
    return message;
  };
  const postAgain = async (message: PostedMessage, agent?: Agent): Promise<Answer> => {
    const startedAt = performance.now();
    const got = await send(gateway, to, message, agent).catch(() => undefined);
    const answer = { ...readAnswer(got), startedAt, endedAt: performance.now() };
    message.answers.push(answer);
    return answer;
  };
  const runBulk = async ({ url }: ClientOptions): Promise<void> => {
    const waiting: PostedMessage[] = [];
    const lines = openLines(gateway, to, url, (message, answer) => {
      message.answers.push(answer);
      if (answer.status !== 200) waiting.push(message);
    });
    const deadline = (): number => (stopping.signal.aborted ? stoppedAt + patienceMs : Infinity);
    while (!stopping.signal.aborted || waiting.length + lines.unanswered() > 0) {
      if (performance.now() > deadline() || lines.isClosed()) break;
      if (!stopping.signal.aborted && waiting.length + lines.unanswered() < maxLines) {
        lines.write(create(url, true));
      }
      await delay(pauseMs);
      if (waiting.length < maxLines && !stopping.signal.aborted) continue;
      // Not at once: while the server is away, refusals come as fast as lines are written.
      await delay(10 * pauseMs);
      for (const message of waiting.splice(0)) lines.write(message);
    }
    await lines.end();
  };
  const run = async ({ url, retries = false }: ClientOptions): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopping.signal.aborted) {
      const message = create(url, retries);
      const deadline = performance.now() + patienceMs;
      const isDone = ({ status, endedAt }: Answer): boolean =>
        !retries || status === 200 || endedAt > deadline;
      while (!isDone(await postAgain(message, agent))) await delay(pauseMs);
      await delay(pauseMs);
    }
    agent.destroy();
  };
  return {
    messages,
    postOne: (url, agent) => postAgain(create(url, false), agent),
    start: (options) => {
      const start = options.isBulk === true ? runBulk : run;
      for (let client = 0; client < options.clients; client += 1) running.push(start(options));
    },
    stop: async () => {
      stoppedAt = performance.now();
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/** A request of which each line is a message with a key. */
interface Lines {
  readonly unanswered: () => number;
  readonly isClosed: () => boolean;
  write(message: PostedMessage): void;
  /** Resolves when there is an answer to each line, or the connection has ended. */
  end(): Promise<void>;
}

/** Opens it; `onAnswer` also hears of the lines that get none, when the answer ends. */
function openLines(
  gateway: { readonly url: string },
  to: string,
  url: Url,
  onAnswer: (message: PostedMessage, answer: Answer) => void,
): Lines {
  const sent = new Map<number, { readonly message: PostedMessage; readonly startedAt: number }>();
  let lines = 0;
  const answer = (line: number, read: Pick<Answer, 'status' | 'code'>): void => {
    const found = sent.get(line);
    sent.delete(line);
    if (found === undefined) return;
    const { message, startedAt } = found;
    onAnswer(message, { ...read, startedAt, endedAt: performance.now() });
  };
  const outgoing = request(pathOf(gateway, url), {
    method: 'POST',
    agent: false,
    headers: { authorization: basic(...accountOf(url)), 'content-type': 'application/x-ndjson' },
  });
  const readLines = async (): Promise<void> => {
    const [response]: IncomingMessage[] = await once(outgoing, 'response');
    for await (const text of createInterface({ input: response as IncomingMessage })) {
      const { line, status, code = 'ok' } = JSON.parse(text);
      answer(line, { status, code });
    }
  };
  let isClosed = false;
  const close = async (): Promise<void> => {
    await readLines().catch(() => undefined);
    isClosed = true;
    for (const line of sent.keys()) answer(line, readAnswer(undefined));
  };
  const closed = close();
  return {
    unanswered: () => sent.size,
    isClosed: () => isClosed,
    write: (message) => {
      lines += 1;
      sent.set(lines, { message, startedAt: performance.now() });
      const { name } = message;
      outgoing.write(`${JSON.stringify({ to, body: name, idempotency_key: name })}\n`);
    },
    end: () => {
      outgoing.end();
      return closed;
    },
  };
}

function pathOf(gateway: { readonly url: string }, url: Url): string {
  const path = '/api/1.0/xmppdomains/example.org/gateway/messages';
  return `${gateway.url}${path}${url === 'api' ? '/alice' : ''}`;
}

function accountOf(url: Url): [username: string, password: string] {
  return url === 'api' ? [apiAccount.username, apiAccount.password] : ['bot', 'bot-secret'];
}

function send(
  gateway: { readonly url: string },
  to: string,
  { name, url, hasKey }: PostedMessage,
  agent: Agent | undefined,
): Promise<HttpAnswer> {
  const id = hasKey ? {} : { message_attributes: { id: name } };
  return post(pathOf(gateway, url), {
    auth: accountOf(url),
    body: JSON.stringify({ to, body: name, ...id }),
    ...(hasKey ? { headers: { 'idempotency-key': name } } : {}),
    ...(agent === undefined ? {} : { agent }),
  });
}

function readAnswer(got: HttpAnswer | undefined): Pick<Answer, 'status' | 'code'> {
  if (got === undefined) return { status: undefined, code: 'connection lost' };
  return { status: got.status, code: got.status === 200 ? 'ok' : String(got.json()['code']) };
}
