import { authenticationUnavailable } from '../wire/gateway-errors.ts';
import {
  type ChannelBinding,
  findChannelBinding,
  supportedBindingTypes,
} from './channel-binding.ts';
import type { ClientStream } from './client-stream.ts';
import type { ScramHash } from './scram.ts';
import { findChild, type StreamElement } from './stream-reader.ts';

/** A mechanism of the SCRAM family (RFC 5802). */
export interface ScramMechanism {
  readonly name: string;
  readonly hash: ScramHash;
  /** For the `-PLUS` variants. */
  readonly binding: ChannelBinding | undefined;
}

/** A way to log in that the server offers and the gateway supports. */
export type Mechanism = ScramMechanism | { readonly name: 'PLAIN' };

/** The namespace of SASL elements (RFC 6120 §6). */
export const saslNamespace = 'urn:ietf:params:xml:ns:xmpp-sasl';

const bindingNamespace = 'urn:xmpp:sasl-cb:0';

/** Strongest first. */
const scramMechanisms: readonly (readonly [string, ScramHash])[] = [
  ['SCRAM-SHA-512', 'sha512'],
  ['SCRAM-SHA-256', 'sha256'],
  ['SCRAM-SHA-1', 'sha1'],
];

/**
 * The usable mechanisms that the server offers, strongest first; throws GatewayError
 * `authentication-unavailable` when there is none.
 */
export function chooseMechanisms(stream: ClientStream): readonly Mechanism[] {
  const offered = readMechanisms(stream.features);
  const binding = readBinding(stream);
  const scram = scramMechanisms.flatMap(([name, hash]): Mechanism[] => {
    if (offered.includes(name)) {
      return [{ name, hash, binding: undefined }];
    }
    // Channel binding is only for servers that insist on it: a proxy that terminates TLS breaks it,
    // and then the server's answer looks like the one to a wrong password.
    const bound = `${name}-PLUS`;
    return binding !== undefined && offered.includes(bound) ? [{ name: bound, hash, binding }] : [];
  });
  // RFC 4616 §4: the password itself only goes over TLS.
  const plain: Mechanism[] =
    offered.includes('PLAIN') && stream.tls !== undefined ? [{ name: 'PLAIN' }] : [];
  const usable = [...scram, ...plain];
  if (usable.length === 0) {
    throw authenticationUnavailable(describeOffer(stream, offered));
  }
  return usable;
}

/**
 * Whether `other` may still succeed after the proof of `refused` was wrong. A wrong proof is wrong
 * under every hash, unless it was the channel binding that did not match. PLAIN is compared in another
 * way, on ejabberd with the password as typed.
 */
export function mayStillAccept(other: Mechanism, refused: Mechanism): boolean {
  return !('hash' in other) || (isBound(refused) && !isBound(other));
}

function isBound(mechanism: Mechanism): boolean {
  return 'hash' in mechanism && mechanism.binding !== undefined;
}

function readMechanisms(features: StreamElement): string[] {
  const list = findChild(features, 'mechanisms', saslNamespace)?.children ?? [];
  return list
    .filter(({ name, namespace }) => name === 'mechanism' && namespace === saslNamespace)
    .map(({ text }) => text);
}

function readBinding({ tls, features }: ClientStream): ChannelBinding | undefined {
  return tls === undefined ? undefined : findChannelBinding(tls, readBindingTypes(features));
}

/** XEP-0440 §2 */
function readBindingTypes(features: StreamElement): string[] | undefined {
  return findChild(features, 'sasl-channel-binding', bindingNamespace)
    ?.children.filter(
      ({ name, namespace }) => name === 'channel-binding' && namespace === bindingNamespace,
    )
    .map(({ attributes }) => attributes.get('type') ?? '');
}

function describeOffer({ tls, features }: ClientStream, offered: readonly string[]): string {
  const list = offered.join(', ').slice(0, 200) || 'none';
  const expected = scramMechanisms.map(([name]) => name).join(', ');
  const what = `The XMPP server offers no usable SASL mechanism: expected ${expected}${tls === undefined ? '' : ' or PLAIN'}, got ${list}.`;
  if (!offered.some((name) => name.endsWith('-PLUS'))) {
    return what;
  }
  if (tls === undefined) {
    return `${what} Mechanisms with -PLUS are bound to TLS: set c2s.security to starttls or tls.`;
  }
  const types = readBindingTypes(features)?.join(', ').slice(0, 100) ?? 'not announced';
  return `${what} Mechanisms with -PLUS need a channel binding that both sides support: under ${tls.getProtocol() ?? 'TLS'} expected ${supportedBindingTypes(tls).join(' or ')}, got ${types}.`;
}
