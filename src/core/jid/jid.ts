import { parseDomain } from './domainpart.ts';
import { checkLength, createPartError, JidError, maxPartBytes, preparePart } from './jid-part.ts';
import { normalizeResource } from './stringprep.ts';

export { JidError, parseDomain };

/** Lower-case ASCII without what RFC 7622 §3.3.1 excludes: prepared as it stands. */
const plainLocalpart = /^[a-z0-9!#$%()*+,\-.;=?[\\\]^_`{|}~]{1,1023}$/;

/** Control characters and what XML 1.0 §2.2 cannot carry. */
const refusedInResource = /[\p{Cc}\p{Cs}\ufffe\uffff]/u;

/** An XMPP address (RFC 7622), prepared: what it prints is what stands on the wire. */
export class Jid {
  readonly local: string | undefined;
  readonly domain: string;
  readonly resource: string | undefined;
  readonly #text: string;

  /** Prepares the parts; throws JidError. */
  constructor(local: string | undefined, domain: string, resource: string | undefined) {
    this.local = local === undefined ? undefined : parseLocalpart(local);
    this.domain = parseDomain(domain);
    this.resource = resource === undefined ? undefined : parseResource(resource);
    const bare = this.local === undefined ? this.domain : `${this.local}@${this.domain}`;
    this.#text = this.resource === undefined ? bare : `${bare}/${this.resource}`;
    Object.freeze(this);
  }

  toString(): string {
    return this.#text;
  }

  /** The address without its resource. */
  bare(): Jid {
    return this.resource === undefined ? this : new Jid(this.local, this.domain, undefined);
  }

  /** The address with this resource in place of its own; throws JidError. */
  withResource(resource: string): Jid {
    return new Jid(this.local, this.domain, resource);
  }
}

/** Reads an address, bare or full (RFC 7622 §3.1), and prepares it; throws JidError. */
export function parseJid(text: string): Jid {
  const { local, domain, resource } = splitAddress(text);
  return new Jid(local, domain, resource);
}

/** The bare JID of a localpart and a domainpart, both prepared; throws JidError. */
export function createJid(local: string, domain: string): Jid {
  return new Jid(local, domain, undefined);
}

/** Prepares a localpart (RFC 7622 §3.3, as servers do by nodeprep); throws JidError. */
export function parseLocalpart(text: string): string {
  return plainLocalpart.test(text) ? text : preparePart('localpart', text);
}

/**
 * Whether an address as a server wrote it is `a`: localpart and domainpart prepared, resources equal
 * in the form that servers prepare (Prosody does so before it swaps the addresses of a bounce). A
 * malformed text is the address only when it is equal.
 */
export function isSameAddress(a: Jid, text: string): boolean {
  if (text === a.toString()) return true;
  const { local, domain, resource } = splitAddress(text);
  return (
    isPreparedAs(a.domain, domain, parseDomain) &&
    isPreparedAs(a.local, local, parseLocalpart) &&
    isSameResource(a.resource, resource)
  );
}

interface AddressParts {
  readonly local: string | undefined;
  readonly domain: string;
  readonly resource: string | undefined;
}

/** RFC 7622 §3.1: the first slash begins the resource, the first at-sign before it the domain. */
function splitAddress(text: string): AddressParts {
  const bare = bareOf(text);
  const at = bare.indexOf('@');
  return {
    local: at === -1 ? undefined : bare.slice(0, at),
    domain: bare.slice(at + 1),
    resource: resourceOf(text),
  };
}

/** What stands before the first slash of an address (RFC 7622 §3.1), as it is. */
export function bareOf(address: string): string {
  const slash = address.indexOf('/');
  return slash === -1 ? address : address.slice(0, slash);
}

/** What stands after the first slash of an address, as it is; undefined for a bare one. */
export function resourceOf(address: string): string | undefined {
  const slash = address.indexOf('/');
  return slash === -1 ? undefined : address.slice(slash + 1);
}

function parseResource(text: string): string {
  checkLength('resourcepart', text);
  if (refusedInResource.test(text)) {
    throw createPartError(
      'resourcepart',
      'without control characters, one that XML can carry',
      text,
    );
  }
  return text;
}

function isPreparedAs(
  expected: string | undefined,
  text: string | undefined,
  parse: (text: string) => string,
): boolean {
  if (expected === undefined || text === undefined) return expected === text;
  try {
    return parse(text) === expected;
  } catch (error) {
    if (error instanceof JidError) return false;
    throw error;
  }
}

function isSameResource(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || b.length > maxPartBytes) return a === b;
  return normalizeResource(a) === normalizeResource(b);
}
