import type { Config } from '../../config/config.ts';
import { probeSize } from '../../xmpp/probes/stanza-size.ts';
import { sizeAdvice } from '../../xmpp/server/advice.ts';
import type { ServerIdentity } from '../../xmpp/server/identity.ts';
import type { Finding } from './finding.ts';

/** How closely the server's limit is looked for: it counts a little differently itself. */
const accuracy = 1024;

/** Smaller limits than this no server may have (RFC 6120 §13.12). */
const smallestLimit = 10_000;

/** Whether the server takes stanzas of `limits.stanza_bytes`, and if not, how large they may be. */
export async function checkStanzaSize(
  config: Config,
  server: ServerIdentity | undefined,
): Promise<readonly Finding[]> {
  const { stanzaBytes } = config.limits;
  const what = `stanzas of limits.stanza_bytes (${stanzaBytes})`;
  const first = await probe(config, stanzaBytes);
  if (first === 'taken') return [{ isGood: true, text: `${what}: taken by the XMPP server` }];
  if (first.condition === undefined) return [{ isGood: false, text: `${what}: ${first.reason}` }];
  const limit = await findLimit(config, stanzaBytes);
  const text = `${what}: the XMPP server closes the stream (${first.reason}); it takes about ${limit} bytes`;
  return [{ isGood: false, text, advice: sizeAdvice(stanzaBytes, server) }];
}

/** The largest size that is known to be taken, or the smallest that any server has to take. */
async function findLimit(config: Config, refused: number): Promise<number> {
  let [taken, tooLarge] = [Math.min(smallestLimit, refused), refused];
  while (tooLarge - taken > accuracy) {
    const middle = Math.floor((taken + tooLarge) / 2);
    if ((await probe(config, middle)) === 'taken') taken = middle;
    else tooLarge = middle;
  }
  return taken;
}

function probe({ component, domains, delivery }: Config, bytes: number) {
  return probeSize(component, { domains, mode: delivery.mode }, bytes);
}
