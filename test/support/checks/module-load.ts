import { type Component, openComponent } from '../clients/component.ts';
import type { XmppServer } from '../servers/xmpp-server.ts';
import { openAs } from './as-a-client.ts';

const from = 'alice@example.org/http-load';

/** The fate of messages that a component sent while something was done to the module. */
export interface LoadReport {
  readonly sent: number;
  readonly delivered: number;
  readonly refused: number;
  /** Neither delivered nor refused. */
  readonly lost: number;
  /** Delivered twice, or delivered and refused. */
  readonly doubled: number;
  /** Messages to nobody that had not been refused when the question after them was answered. */
  readonly lies: number;
}

function write(run: string, at: number, domain: string): string {
  // Not archived, because archiving in Mnesia takes longer the more the archive holds.
  const content = `type='chat'><body>b</body><no-store xmlns='urn:xmpp:hints'/></message>`;
  const good = `<message from='${from}' to='bob@example.org' id='${run}-good-${at}' ${content}`;
  const nobody = `<message from='${from}' to='nobody@example.org' id='${run}-nobody-${at}' ${content}`;
  const question = `<iq type='get' from='${domain}' to='example.org' id='${run}-answer-${at}'><gateway xmlns='urn:xmpp-message-gateway:0'/></iq>`;
  return good + nobody + question;
}

/** What is done to the module meanwhile; `sent` returns the number of messages sent so far. */
type Work = (sent: () => number) => Promise<void>;

/**
 * Keeps `inFlight` batches in flight until `work` is done. A batch is a message, one to nobody, and
 * the question.
 */
async function send(
  component: Component,
  domain: string,
  run: string,
  work: Work,
): Promise<number> {
  const inFlight = 50;
  const progress = { sent: 0, isDone: false };
  const answered = (at: number) =>
    component.waitFor(({ root }) => root.attributes['id'] === `${run}-answer-${at}`, 'it', 60_000);
  // Like the gateway: an answer confirms what was sent since the previous question.
  component.send(write(run, -1, domain));
  await answered(-1);
  const working = work(() => progress.sent).finally(() => {
    progress.isDone = true;
  });
  while (!progress.isDone) {
    let stanzas = '';
    for (let at = 0; at < inFlight; at++) stanzas += write(run, progress.sent + at, domain);
    progress.sent += inFlight;
    component.send(stanzas);
    await answered(progress.sent - 1);
  }
  await working;
  return progress.sent;
}

function countById(ids: readonly (string | undefined)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** Sends messages from alice to bob while `work` goes on, and counts their fates. */
export async function sendMeanwhile(server: XmppServer, work: Work): Promise<LoadReport> {
  const { componentDomain: domain, componentPort: port, componentSecret: secret } = server;
  const component = await openComponent({ port, domain, secret });
  const bob = await openAs(server, 'bob@example.org/load');
  const run = crypto.randomUUID();
  const sent = await send(component, domain, run, work);
  await bob.settle();
  const arrived = countById(bob.received.map(({ root }) => root.attributes['id']));
  const returned = countById(component.received.map(({ root }) => root.attributes['id']));
  const answers = new Map(
    component.received.map(({ root }) => [root.attributes['id'], root.attributes['type']]),
  );
  const report = { sent, delivered: 0, refused: 0, lost: 0, doubled: 0, lies: 0 };
  for (let at = 0; at < sent; at++) {
    const [delivered, refused] = [arrived, returned].map(
      (counts) => counts.get(`${run}-good-${at}`) ?? 0,
    ) as [number, number];
    if (delivered > 0) report.delivered += 1;
    if (refused > 0) report.refused += 1;
    if (delivered + refused === 0) report.lost += 1;
    if (delivered + refused > 1) report.doubled += 1;
    const isPromised = answers.get(`${run}-answer-${at}`) === 'result';
    if (isPromised && !returned.has(`${run}-nobody-${at}`)) report.lies += 1;
  }
  await component.close();
  await bob.close();
  return report;
}
