import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type HttpAnswer, post } from '../support/clients/http.ts';
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
}

/** Pause between a client's requests: the scenarios need continuous load, not the highest. */
const pauseMs = 20;

/** How long a client keeps trying to post one message, in milliseconds. */
const patienceMs = 120_000;

/** Creates the posts to `to`; `prefix` makes their names unique. */
export function createPosts(gateway: { readonly url: string }, to: string, prefix: string): Posts {
  const messages: PostedMessage[] = [];
  const running: Promise<void>[] = [];
  const stopping = new AbortController();

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
      for (let client = 0; client < options.clients; client += 1) running.push(run(options));
    },
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

function send(
  gateway: { readonly url: string },
  to: string,
  { name, url, hasKey }: PostedMessage,
  agent: Agent | undefined,
): Promise<HttpAnswer> {
  const path = '/api/1.0/xmppdomains/example.org/gateway/messages';
  const id = hasKey ? {} : { message_attributes: { id: name } };
  return post(`${gateway.url}${path}${url === 'api' ? '/alice' : ''}`, {
    auth: url === 'api' ? [apiAccount.username, apiAccount.password] : ['bot', 'bot-secret'],
    body: JSON.stringify({ to, body: name, ...id }),
    ...(hasKey ? { headers: { 'idempotency-key': name } } : {}),
    ...(agent === undefined ? {} : { agent }),
  });
}

function readAnswer(got: HttpAnswer | undefined): Pick<Answer, 'status' | 'code'> {
  if (got === undefined) return { status: undefined, code: 'connection lost' };
  return { status: got.status, code: got.status === 200 ? 'ok' : String(got.json()['code']) };
}
