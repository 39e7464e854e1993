import { type Component, openComponent } from '../clients/component.ts';
import type { Session } from '../clients/session.ts';
import { find } from '../clients/stanza.ts';
import type { XmppServer } from '../servers/xmpp-server.ts';
import { openAs } from './as-a-client.ts';

const from = 'alice@example.org/http-order';
const noStore = `<no-store xmlns='urn:xmpp:hints'/>`;

/** One kind of stanza that is refused. */
interface RefusedKind {
  readonly name: string;
  readonly to: string;
  /** Default alice with a resource of the gateway's. */
  readonly from?: string;
  /** Default a chat with a body. */
  readonly rest?: string;
}

/** Refused because of their recipient or sender. */
export const refusedByUsers: readonly RefusedKind[] = [
  { name: 'nobody', to: 'nobody@example.org' },
  { name: 'blocked', to: 'dave@example.org' },
  { name: 'blocked, full JID', to: 'dave@example.org/desk' },
  { name: 'no account', to: 'bob@example.org', from: 'nobody@example.org/http-order' },
];

const room = 'order@rooms.example.org';

/** Refused by rooms, each of which is a separate process on ejabberd, or by the service that starts them. */
export const refusedByRooms: readonly RefusedKind[] = [
  { name: 'groupchat as no occupant', to: room, rest: `type='groupchat'><body>b</body>` },
  {
    name: 'groupchat to no room',
    to: 'none@rooms.example.org',
    rest: `type='groupchat'><body>b</body>`,
  },
  { name: 'private as no occupant', to: `${room}/bob` },
  { name: 'private to no room', to: 'none@rooms.example.org/bob' },
  {
    name: 'invitation as no occupant',
    to: room,
    rest: `><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@example.org'/></x>`,
  },
];

/** How often each kind was refused in time, late or never. */
export interface OrderReport {
  readonly inTime: number;
  readonly late: number;
  readonly missing: number;
  /** Messages that were not to be refused and arrived, once each and in order. */
  readonly delivered: number;
}

/** The component, and users whose clients may be on another node of a cluster. */
export interface OrderScene {
  readonly component: Component;
  readonly componentDomain: string;
  readonly bob: Session;
  readonly close: () => Promise<void>;
}

/** Opens the component on one server and the users' clients on another, or the same. */
export async function openOrderScene(
  { componentDomain, componentPort: port, componentSecret: secret }: XmppServer,
  usersAt: XmppServer,
): Promise<OrderScene> {
  const component = await openComponent({ port, domain: componentDomain, secret });
  const bob = await openAs(usersAt, 'bob@example.org/order');
  const dave = await openAs(usersAt, 'dave@example.org/desk');
  await dave.query(
    `<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='alice@example.org'/></block></iq>`,
  );
  bob.send(`<presence to='${room}/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await bob.waitFor(({ xml }) => xml.includes(`from='${room}/bob'`), 'bob in the room');
  return {
    component,
    componentDomain,
    bob,
    close: async () => {
      for (const { close } of [component, bob, dave]) await close();
    },
  };
}

/**
 * Writes all batches at once: a message that arrives, one of each kind, and the module's question.
 * What is refused must come back before the answer.
 */
export async function checkOrder(
  { component, componentDomain, bob }: OrderScene,
  batches: number,
  kinds: readonly RefusedKind[],
): Promise<OrderReport> {
  const run = crypto.randomUUID();
  let stanzas = '';
  for (let batch = 0; batch < batches; batch++) {
    stanzas += `<message from='${from}' to='bob@example.org' id='${run}-good-${batch}' type='chat'><body>b</body>${noStore}</message>`;
    for (const [at, kind] of kinds.entries()) {
      const { to, from: sender = from, rest = `type='chat'><body>b</body>${noStore}` } = kind;
      stanzas += `<message from='${sender}' to='${to}' id='${run}-${at}-${batch}' ${rest}</message>`;
    }
    stanzas += `<iq type='get' from='${componentDomain}' to='example.org' id='${run}-answer-${batch}'><gateway xmlns='urn:xmpp-message-gateway:0'/></iq>`;
  }
  const first = component.received.length;
  component.send(stanzas);
  const last = `${run}-answer-${batches - 1}`;
  await component.waitFor(({ root }) => root.attributes['id'] === last, 'the last answer', 600_000);
  await bob.settle();
  // Whatever is late has arrived before the answer to this ping.
  const [late] = [`${run}-late`];
  component.send(
    `<iq type='get' from='${componentDomain}' to='example.org' id='${late}'><ping xmlns='urn:xmpp:ping'/></iq>`,
  );
  await component.waitFor(({ root }) => root.attributes['id'] === late, 'the end', 600_000);
  const places = new Map(
    component.received.slice(first).map(({ root }, place) => [root.attributes['id'], place]),
  );
  return {
    ...count(places, run, batches, kinds.length),
    delivered: countInOrder(bob, `${run}-good-`),
  };
}

function count(
  places: ReadonlyMap<string | undefined, number>,
  run: string,
  batches: number,
  kinds: number,
): Omit<OrderReport, 'delivered'> {
  const report = { inTime: 0, late: 0, missing: 0 };
  for (let batch = 0; batch < batches; batch++) {
    const answered = places.get(`${run}-answer-${batch}`) ?? -1;
    for (let kind = 0; kind < kinds; kind++) {
      const refused = places.get(`${run}-${kind}-${batch}`);
      if (refused === undefined) report.missing += 1;
      else if (refused > answered) report.late += 1;
      else report.inTime += 1;
    }
  }
  return report;
}

function countInOrder({ received }: Session, prefix: string): number {
  let next = 0;
  for (const { root } of received) {
    if (find(root, 'body') !== undefined && root.attributes['id'] === `${prefix}${next}`) next += 1;
  }
  return next;
}
