import { request } from '../support/clients/http.ts';
import { waitUntil } from '../support/system/wait.ts';
import type { Posts, Url } from './posts.ts';
import type { Recipient } from './recipient.ts';
import type { Stage } from './stage.ts';

/** What a scenario can do and observe while the clients post. */
export interface Drill extends Stage {
  readonly recipient: Recipient;
  /** Waits for `count` more answers with this status. */
  answers(status: number, count: number): Promise<void>;
  /** Call it when nothing is broken any more: waits until the gateway is ready again. */
  healthy(): Promise<void>;
  /** Kills the server's process. */
  crash(): Promise<void>;
  /** Stops the server gracefully and starts it again. */
  restart(): Promise<void>;
  /** When the server ended in a way that may lose accepted messages. */
  readonly crashes: readonly number[];
  /** The longest wait of `healthy`, in milliseconds; undefined before the first. */
  readonly readyMs: number | undefined;
}

/** Creates the drill of one scenario; `url` is the one that has to work again. */
export function createDrill(stage: Stage, posts: Posts, recipient: Recipient, url: Url): Drill {
  let readyMs: number | undefined;

  const answers = async (status: number, count: number): Promise<void> => {
    const wanted = countAnswers(posts, status) + count;
    await waitUntil(() => countAnswers(posts, status) >= wanted, {
      label: `${count} answers of ${status}`,
    });
  };
  /** Whether the gateway says that it is ready and then acknowledges a message. */
  const isReady = async (): Promise<boolean> => {
    const answer = await request(`${stage.gateway.url}/readyz`);
    return answer.status === 200 && (await posts.postOne(url)).status === 200;
  };
  const healthy = async (): Promise<void> => {
    const since = performance.now();
    await waitUntil(isReady, { label: 'the gateway to be ready' });
    readyMs = Math.max(readyMs ?? 0, performance.now() - since);
  };
  const crashes: number[] = [];
  const crash = async (): Promise<void> => {
    await stage.server.halt('SIGKILL');
    crashes.push(performance.now());
  };
  const restart = async (): Promise<void> => {
    await stage.server.halt('SIGTERM');
    if (stage.mayForgetWhenStopped) crashes.push(performance.now());
    await stage.server.resume();
  };
  return {
    ...stage,
    recipient,
    crash,
    restart,
    crashes,
    answers,
    healthy,
    get readyMs() {
      return readyMs;
    },
  };
}

function countAnswers({ messages }: Posts, status: number): number {
  let count = 0;
  for (const { answers } of messages) {
    count += answers.filter((answer) => answer.status === status).length;
  }
  return count;
}
