import type { Stanza } from '../support/clients/stanza.ts';
import type { Accepted } from './judge.ts';
import type { FuzzRequest } from './requests.ts';
import type { Fault, Round } from './round.ts';

const bob = 'bob@example.org';

/** What tells messages apart; different requests may have the same. */
function keyOf({ id, from }: Partial<Accepted>): string {
  return JSON.stringify([id, from]);
}

function isForBob({ to }: Accepted): boolean {
  return to === bob || to.startsWith(`${bob}/`);
}

/**
 * Servers may drop what goes to one resource, ejabberd drops groupchat messages to users without an
 * error, and an answer that is kept for an Idempotency-Key is given again.
 */
function mustArrive({ to, request }: Accepted & { readonly request: FuzzRequest }): boolean {
  return to === bob && !/groupchat|\r\nIdempotency-Key/i.test(request.bytes.toString('latin1'));
}

/**
 * Compares the messages that reached Bob with those that were accepted for him: each of those must have
 * come, and no other, and none twice. Skips rounds with faults.
 */
export function compareArrivals(
  arrived: readonly Stanza[],
  { accepted, faults }: Pick<Round, 'accepted' | 'faults'>,
): Fault[] {
  if (faults.length > 0) return [];
  const forBob = accepted.filter(isForBob);
  const open = new Map<string, number>();
  for (const message of forBob) open.set(keyOf(message), (open.get(keyOf(message)) ?? 0) + 1);
  const came = new Map<string, number>();
  const forged = arrived.filter(({ root: { attributes } }) => {
    const key = keyOf(attributes);
    const count = (came.get(key) ?? 0) + 1;
    came.set(key, count);
    return count > (open.get(key) ?? 0);
  });
  const lost = forBob.filter(mustArrive).filter((message) => {
    const count = came.get(keyOf(message)) ?? 0;
    came.set(keyOf(message), count - 1);
    return count < 1;
  });
  return [
    ...forged.map(({ xml, root }) => ({
      reason: `came to the recipient, but was not sent so: ${xml}`,
      request: accepted.find(({ id }) => id === root.attributes['id'])?.request,
    })),
    ...lost.map(({ id, from, request }) => ({
      reason: `was accepted, but did not come: ${id} from ${from}`,
      request,
    })),
  ];
}
