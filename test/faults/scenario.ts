import type { ServerKind } from '../support/servers/xmpp-server.ts';
import { createDrill, type Drill } from './drill.ts';
import { type ClientOptions, createPosts, type Posts } from './posts.ts';
import { createRecipient, type Recipient } from './recipient.ts';
import { deadlines, type Stage } from './stage.ts';
import { judge, type Verdict } from './verdict.ts';

/** A fault, and how to cause it while clients post. */
export interface Scenario {
  readonly name: string;
  /** Default: eight clients that post as alice. */
  readonly clients?: readonly ClientOptions[];
  /** Statuses that a caller may get; default 200, 503 and 504. */
  readonly statuses?: readonly number[];
  /** The recipient is logged in meanwhile; default: it logs in afterwards. */
  readonly isRecipientOnline?: boolean;
  /** Why this kind of server may lose accepted messages in this scenario. */
  readonly forgets?: Partial<Readonly<Record<ServerKind, string>>>;
  readonly run: (drill: Drill) => Promise<void>;
}

const allClients: readonly ClientOptions[] = [{ url: 'api', clients: 8 }];

/** How much later than its deadline an answer may come: deadlines are checked twice a second. */
const toleranceMs = 1000;

/** The longest time from a healthy server to a ready gateway, in milliseconds. */
const readyWithinMs = 5000;

/**
 * Plays a scenario and judges it by what the recipient has in the end, and also, unless `isTimed` is
 * false, by how long answers and the recovery took.
 */
export async function play(stage: Stage, scenario: Scenario, isTimed = true): Promise<Verdict> {
  const localpart = stage.takeRecipient();
  const recipient = createRecipient(stage, localpart);
  if (scenario.isRecipientOnline === true) await recipient.logIn();
  const clients = scenario.clients ?? allClients;
  const posts = createPosts(stage.gateway, `${localpart}@example.org`, localpart);
  const drill = createDrill(stage, posts, recipient, clients[0]?.url ?? 'api');
  for (const options of clients) posts.start(options);
  const failures: string[] = [];
  try {
    await scenario.run(drill);
  } catch (error) {
    // Judge what callers and the recipient got as well: that explains more than a missed wait.
    failures.push(error instanceof Error ? error.message : String(error));
  }
  await posts.stop();
  await collect(recipient, posts);
  const { messages } = posts;
  const written = new Set(stage.wire().match(/(?<=<body>)bob\d+-\d+(?=<\/body>)/g));
  const authMs = clients.some(({ url }) => url === 'user') ? deadlines.authMs : 0;
  const answerMs = deadlines.confirmMs + authMs + toleranceMs;
  const verdict = judge(
    {
      messages,
      arrivals: recipient.arrivals(),
      written,
      readyMs: drill.readyMs,
      crashes: drill.crashes,
    },
    {
      answerMs: isTimed ? answerMs : Number.POSITIVE_INFINITY,
      readyMs: isTimed ? readyWithinMs : Number.POSITIVE_INFINITY,
      mayForgetInCrash: whyForgotten(stage, scenario) !== undefined,
      mayRefuse: stage.refusesWhenStopped,
      statuses: scenario.statuses ?? [200, 503, 504],
    },
  );
  return { ...verdict, violations: [...failures, ...verdict.violations] };
}

/** Why the server may lose accepted messages; undefined: it may not. */
export function whyForgotten(stage: Stage, scenario: Scenario): string | undefined {
  return scenario.forgets?.[stage.kind] ?? stage.forgets;
}

/** Fetches what was stored for the recipient, up to a last message after all others. */
async function collect(recipient: Recipient, posts: Posts): Promise<void> {
  await recipient.logOut();
  await posts.postOne('api');
  const last = posts.messages.at(-1)?.name ?? '';
  const session = await recipient.logIn();
  await session.waitForMessage(last);
  await session.settle();
  session.destroy();
}
