import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { describeForm, type Mode, type ModeReport, type WireForm } from '../core/mode.ts';
import {
  type ComponentAddress,
  type ComponentConnection,
  openComponentConnection,
} from './component-connection.ts';
import { chooseForm, createFeatureProbe, type FeatureProbe } from './domain-features.ts';
import { buildPing } from './iq.ts';
import type { StreamFailure } from './stream-failure.ts';

/** What a stream tells its owner; `onStanza` and `onDrain` only after `onReady`. */
export interface StreamEvents {
  readonly onReady: (connection: ComponentConnection, modes: DomainModes) => void;
  readonly onStanza: (stanza: Element) => void;
  /** The answer to a request; what it does not answer is refused. */
  readonly answerRequest?: (stanza: Element) => string | undefined;
  readonly onDrain: () => void;
  readonly onClose: (failure: StreamFailure) => void;
}

/** How the messages of each served domain are sent on this stream, and what that means. */
export type DomainModes = ReadonlyMap<
  string,
  { readonly form: WireForm; readonly report: ModeReport }
>;

/** What the stream serves. */
export interface Served {
  readonly domains: readonly string[];
  /** The mode that the operator wants; `auto` is the best one that the server offers. */
  readonly mode: Mode | 'auto';
}

/** Deadline for a server to answer all probes and pings. */
const proofTimeoutMs = 3000;

/**
 * Opens a component stream and lets the server prove, for each served domain, that the component
 * may speak for it: a message from a random name there to the component itself must loop back, and
 * the domain must answer a ping with a result, which only a hosted domain does. On the way it finds
 * out in which mode messages can be sent.
 */
export function openTrustedStream(
  address: ComponentAddress,
  { domains, mode }: Served,
  events: StreamEvents,
): ComponentConnection {
  const missing = new Map<string, Expected>();
  const probes = new Map(
    domains.map((domain) => [domain, createFeatureProbe(domain, address.domain)]),
  );
  let isAsked = false;
  let isProven = false;
  let isRefused = false;
  let deadline: NodeJS.Timeout | undefined;

  const refuse = (failure: StreamFailure): void => {
    isRefused = true;
    connection.destroy(failure);
  };
  const connection = openComponentConnection(address, {
    onOnline: () => {
      isAsked = true;
      deadline = setTimeout(() => refuse(describeMissing(missing)), proofTimeoutMs);
      connection.write(
        domains
          .map(
            (domain) =>
              (probes.get(domain)?.xml ?? '') + buildProof(domain, address.domain, missing),
          )
          .join(''),
      );
    },
    onStanza: (stanza) => {
      if (isProven) {
        events.onStanza(stanza);
        return;
      }
      // What was read together with the stanza that decided.
      if (isRefused) return;
      for (const probe of probes.values()) probe.handleStanza(stanza);
      const failure = readProof(stanza, missing);
      if (failure !== undefined) {
        refuse(failure);
        // Privileges are announced right behind the handshake: nothing has been asked by then.
      } else if (isAsked && missing.size === 0) {
        const modes = chooseModes(address.domain, mode, probes);
        if ('kind' in modes) {
          refuse(modes);
          return;
        }
        isProven = true;
        clearTimeout(deadline);
        events.onReady(connection, modes);
      }
    },
    answerRequest: (stanza) => events.answerRequest?.(stanza),
    onDrain: () => {
      if (isProven) {
        events.onDrain();
      }
    },
    onClose: (failure) => {
      clearTimeout(deadline);
      events.onClose(failure.kind === 'untrusted' ? untrusted(address.domain, domains) : failure);
    },
  });
  return connection;
}

function chooseModes(
  component: string,
  wanted: Served['mode'],
  probes: ReadonlyMap<string, FeatureProbe>,
): DomainModes | StreamFailure {
  const modes = new Map<string, { form: WireForm; report: ModeReport }>();
  // Unguessable: what comes to it is an answer to a message of ours.
  const resource = `http-${randomBytes(9).toString('base64url')}`;
  for (const [domain, probe] of probes) {
    const features = probe.features();
    const form = chooseForm(wanted, features, { component, domain, resource });
    if (form === undefined) {
      const reason = `delivery.mode is ${wanted}, which the XMPP server does not offer for ${domain}`;
      return { kind: 'mode-unavailable', domain, reason };
    }
    modes.set(domain, { form, report: describeForm(form, features.returnsBounces) });
  }
  return modes;
}

interface Expected {
  readonly kind: 'probe' | 'ping';
  readonly domain: string;
  readonly from: string;
}

function buildProof(domain: string, component: string, missing: Map<string, Expected>): string {
  const probeId = `probe-${randomBytes(12).toString('hex')}`;
  const pingId = `ping-${randomBytes(12).toString('hex')}`;
  const from = `gwprobe-${randomBytes(8).toString('hex')}@${domain}`;
  missing.set(probeId, { kind: 'probe', domain, from });
  missing.set(pingId, { kind: 'ping', domain, from: domain });
  const probe = `<message id='${probeId}' from='${from}' to='${component}'><x xmlns='urn:xmpp-message-gateway:probe'/></message>`;
  return probe + buildPing(pingId, component, domain);
}

/** Takes what a stanza proves out of `missing`; a failure when it proves the contrary. */
function readProof(stanza: Element, missing: Map<string, Expected>): StreamFailure | undefined {
  const { id, from, type } = stanza.attrs;
  const expected = missing.get(String(id));
  if (expected === undefined || from !== expected.from) {
    return undefined;
  }
  if (expected.kind === 'ping' && (!stanza.is('iq') || type !== 'result')) {
    return notHosted(expected.domain);
  }
  missing.delete(String(id));
  return undefined;
}

/** Of the proofs that did not come, a probe says more than a ping. */
function describeMissing(missing: ReadonlyMap<string, Expected>): StreamFailure {
  const all = [...missing.values()];
  const { kind, domain } = all.find((expected) => expected.kind === 'probe') ??
    all[0] ?? { kind: 'ping', domain: '' };
  if (kind === 'probe') {
    return {
      kind: 'probe-lost',
      domain,
      reason: `a probe from ${domain} to the component did not come back within ${proofTimeoutMs} ms: another connection gets the component's stanzas, or the XMPP server is slow`,
    };
  }
  return {
    kind: 'unanswered',
    domain,
    reason: `the domain ${domain} did not answer a ping within ${proofTimeoutMs} ms: the XMPP server does not host it or is slow, or another connection gets the component's stanzas`,
  };
}

function notHosted(domain: string): StreamFailure {
  return {
    kind: 'not-hosted',
    domain,
    reason: `the domain ${domain} answered a ping with an error: the XMPP server does not host it`,
  };
}

function untrusted(component: string, domains: readonly string[]): StreamFailure {
  return {
    kind: 'untrusted',
    reason: `the XMPP server does not let ${component} send from addresses of ${domains.join(', ')}`,
  };
}
