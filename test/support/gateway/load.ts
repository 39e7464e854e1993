import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type HttpAnswer, post } from '../clients/http.ts';
import type { Session } from '../clients/session.ts';
import { waitUntil } from '../system/wait.ts';
import { apiAccount } from './gateway.ts';

/** The outcome of one posted message. */
export interface Outcome {
  /** Id of the stanza; unique. */
  readonly id: string;
  /** Undefined when the connection ended without a complete answer. */
  readonly answer: HttpAnswer | undefined;
}

/** Clients that post one message after the other. */
export interface Load {
  readonly outcomes: readonly Outcome[];
  /** The ids of messages without an answer yet. */
  readonly pending: ReadonlySet<string>;
  /** Resolves once each client has its last answer. */
  stop(): Promise<void>;
}

/** Who posts what. */
export interface LoadOptions {
  /** The number of clients; each has its own connection. */
  readonly clients: number;
  readonly to: string;
  /** What a client waits for after a 200 before its next message. */
  readonly afterSuccess?: (id: string) => Promise<unknown>;
}

/** Pause in milliseconds after a refusal; a real client would obey Retry-After. */
const pauseMs = 20;

let loads = 0;

/** Starts clients that post to the API URL as alice@example.org, as fast as they are answered. */
export function startLoad(gateway: { readonly url: string }, options: LoadOptions): Load {
  const { clients, to, afterSuccess = async () => {} } = options;
  loads += 1;
  const name = `load-${loads}`;
  const outcomes: Outcome[] = [];
  const pending = new Set<string>();
  const stopping = new AbortController();

  const postOne = async (id: string, agent: Agent): Promise<HttpAnswer | undefined> => {
    const url = `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`;
    const body = JSON.stringify({ to, body: `text of ${id}`, message_attributes: { id } });
    const auth = [apiAccount.username, apiAccount.password] as const;
    return post(url, { auth, agent, body }).catch(() => undefined);
  };
  const run = async (client: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 1; !stopping.signal.aborted; count += 1) {
      const id = `${name}-${client}-${count}`;
      pending.add(id);
      const answer = await postOne(id, agent);
      pending.delete(id);
      outcomes.push({ id, answer });
      await (answer?.status === 200 ? afterSuccess(id) : delay(pauseMs));
    }
    agent.destroy();
  };
  const running = Array.from({ length: clients }, (_, client) => run(client));
  return {
    outcomes,
    pending,
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/** The ids of the outcomes with this status. */
export function idsWith(outcomes: readonly Outcome[], status: number): string[] {
  return outcomes.filter(({ answer }) => answer?.status === status).map(({ id }) => id);
}

/** Waits for `count` more answers with this status. */
export async function waitForMore(load: Load, status: number, count: number): Promise<void> {
  const before = load.outcomes.length;
  await waitUntil(() => idsWith(load.outcomes.slice(before), status).length >= count, {
    label: `${count} answers of ${status}`,
  });
}

/** The ids of the messages that a session got, in order. */
export function arrivedIds(session: Session): string[] {
  return session.received
    .filter(({ root }) => root.name === 'message')
    .map(({ root }) => root.attributes['id'] ?? '');
}
