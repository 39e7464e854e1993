import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Element } from 'ltx';
import {
  describeForm,
  type Mode,
  type ModeReport,
  type WireForm,
} from '../../core/message/mode.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import {
  createFeatureProbe,
  type DomainFeatures,
  type FeatureProbe,
} from '../wire/domain-features.ts';
import { moduleGone, notHosted, type StreamFailure } from '../wire/stream-failure.ts';

/** For each served domain: the form of its messages on this stream, and what follows from it. */
export type DomainModes = ReadonlyMap<
  string,
  { readonly form: WireForm; readonly report: ModeReport }
>;

/** The domains to serve. */
export interface Served {
  readonly domains: readonly string[];
  /** The mode that the operator wants; `auto` means the best one that the server offers. */
  readonly mode: Mode | 'auto';
}

/** How far the proof of one served domain has come. */
interface DomainProof {
  readonly probe: FeatureProbe;
  readonly pingId: string;
  readonly loopId: string;
  readonly loopFrom: string;
  /** Whether the domain has answered the ping. */
  isAnswered: boolean;
  /** Prosody answers with a result, and announces privileges at once; an error means another server. */
  isAnsweredWithError: boolean;
  hasLoopedBack: boolean;
}

/**
 * What a server has to prove for each served domain before it gets any message: that it hosts the
 * domain (it answers a ping itself), and that the component may speak for the domain (a message from a
 * random name there to the component loops back). The proof also finds out what the domain offers.
 */
export class TrustProof {
  /** The questions, to be written after the handshake. */
  readonly xml: string;
  readonly #component: string;
  readonly #served: Served;
  readonly #proofs: ReadonlyMap<string, DomainProof>;
  /** Unguessable, so that only answers to our own messages can be addressed to it. */
  readonly #resource = `http-${randomBytes(9).toString('base64url')}`;

  constructor(component: string, served: Served) {
    this.#component = component;
    this.#served = served;
    this.#proofs = new Map(
      served.domains.map((domain) => [domain, createDomainProof(domain, component)]),
    );
    this.xml = [...this.#proofs]
      .map(([domain, proof]) => buildQuestions(domain, component, proof))
      .join('');
  }

  /** Notes what a stanza proves; returns a failure when it proves the contrary. */
  handleStanza(stanza: Element): StreamFailure | undefined {
    const id = String(stanza.attrs.id);
    for (const [domain, proof] of this.#proofs) {
      proof.probe.handleStanza(stanza);
      if (id === proof.pingId) {
        const answer = readBarrierAnswer('ping', stanza, this.#component, domain);
        if (answer === undefined) continue;
        // Our own server answers in order, so an answer after the loop is a foreign server's.
        if (answer === 'not-hosted' || proof.hasLoopedBack) return notHosted(domain);
        proof.isAnswered = true;
        proof.isAnsweredWithError = stanza.attrs.type === 'error';
      } else if (id === proof.loopId && stanza.attrs.from === proof.loopFrom) {
        proof.hasLoopedBack = true;
      }
    }
    return undefined;
  }

  /** Whether the proof of every domain is complete. */
  isComplete(): boolean {
    return this.#findMissing() === undefined;
  }

  /** Whether the server may still announce a privilege that changes the mode. */
  mayBeAnnounced(): boolean {
    const { mode } = this.#served;
    return [...this.#proofs.values()].some(({ probe, isAnsweredWithError }) => {
      const { module, privilege } = probe.features();
      if (privilege !== undefined) return false;
      if (mode === 'privileged') return true;
      return mode === 'auto' && module === undefined && isAnsweredWithError;
    });
  }

  /** The failure when something is still missing after `timeoutMs`; undefined when nothing is. */
  describeMissing(timeoutMs: number): StreamFailure | undefined {
    const missing = this.#findMissing();
    if (missing === undefined) return undefined;
    const [domain, { hasLoopedBack }] = missing;
    return hasLoopedBack ? unanswered(domain, timeoutMs) : probeLost(domain, timeoutMs);
  }

  /** The mode of each domain; a failure when a domain does not offer the mode that is wanted. */
  chooseModes(): DomainModes | StreamFailure {
    const modes = new Map<string, { form: WireForm; report: ModeReport }>();
    const { mode } = this.#served;
    for (const [domain, { probe }] of this.#proofs) {
      const features = probe.features();
      const component = this.#component;
      const form = chooseForm(mode, features, { component, domain, resource: this.#resource });
      if (form === undefined) {
        const reason = `delivery.mode is ${mode}, which the XMPP server does not offer for ${domain}`;
        return { kind: 'mode-unavailable', domain, reason };
      }
      modes.set(domain, { form, report: describeForm(form, features.returnsBounces) });
    }
    return modes;
  }

  /**
   * The question for the module, once more, to every domain: it may have been loaded, or set up anew.
   * Empty where the mode does not depend on it. What comes back is for `hearLate`.
   */
  askForModules(): string {
    const { mode } = this.#served;
    if (mode === 'plain' || mode === 'privileged') return '';
    return [...this.#proofs.values()].map(({ probe }) => probe.moduleQuery).join('');
  }

  /**
   * Reads what a domain offers only after the proof, a privilege or the module; returns the modes if that
   * may change them. The trust that was proved holds for every mode. A module that is gone is a failure:
   * if it comes back before the next barrier, that would pass in its name what went past it.
   */
  hearLate(stanza: Element): DomainModes | StreamFailure | undefined {
    const domain = String(stanza.attrs.from);
    const probe = this.#proofs.get(domain)?.probe;
    if (probe === undefined) return undefined;
    const before = probe.features();
    if (before.module !== undefined && probe.deniesModule(stanza)) return moduleGone(domain);
    probe.handleStanza(stanza);
    return isDeepStrictEqual(before, probe.features()) ? undefined : this.chooseModes();
  }

  #findMissing(): readonly [string, DomainProof] | undefined {
    return [...this.#proofs].find(([, proof]) => !proof.isAnswered || !proof.hasLoopedBack);
  }
}

function createDomainProof(domain: string, component: string): DomainProof {
  return {
    probe: createFeatureProbe(domain, component),
    pingId: `ping-${randomBytes(12).toString('hex')}`,
    loopId: `probe-${randomBytes(12).toString('hex')}`,
    loopFrom: `gwprobe-${randomBytes(8).toString('hex')}@${domain}`,
    isAnswered: false,
    isAnsweredWithError: false,
    hasLoopedBack: false,
  };
}

function buildQuestions(domain: string, component: string, proof: DomainProof): string {
  const { probe, pingId, loopId, loopFrom } = proof;
  const loop = `<message id='${loopId}' from='${loopFrom}' to='${component}'><x xmlns='urn:xmpp-message-gateway:probe'/></message>`;
  return probe.xml + buildBarrier('ping', pingId, component, domain) + loop;
}

/** The form of a domain's messages; undefined when the domain does not offer the wanted mode. */
function chooseForm(
  wanted: Mode | 'auto',
  { module, privilege }: DomainFeatures,
  { component, domain, resource }: Readonly<Record<'component' | 'domain' | 'resource', string>>,
): WireForm | undefined {
  if (module !== undefined && (wanted === 'client' || wanted === 'auto')) {
    return { mode: 'client', resource, ...module };
  }
  if (privilege !== undefined && (wanted === 'privileged' || wanted === 'auto')) {
    return { mode: 'privileged', namespace: privilege, component, domain };
  }
  return wanted === 'plain' || wanted === 'auto' ? { mode: 'plain' } : undefined;
}

function probeLost(domain: string, timeoutMs: number): StreamFailure {
  return {
    kind: 'probe-lost',
    domain,
    reason: `a probe from ${domain} to the component did not come back within ${timeoutMs} ms: another connection gets the component's stanzas, or the XMPP server is slow`,
  };
}

function unanswered(domain: string, timeoutMs: number): StreamFailure {
  return {
    kind: 'unanswered',
    domain,
    reason: `the domain ${domain} did not answer a ping within ${timeoutMs} ms: the XMPP server does not host it or is slow, or another connection gets the component's stanzas`,
  };
}
