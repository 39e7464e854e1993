import { domainToASCII, domainToUnicode } from 'node:url';
import { nameCharacter, quote } from '../text.ts';
import { countAddresses, describeMistake } from './address-mistakes.ts';
import { normalizeResource, prepareIdentifier, StringprepError } from './stringprep.ts';

/** Lower-case ASCII without the characters that RFC 7622 §3.3.1 excludes needs no preparation. */
const plainLocalpart = /^[a-z0-9!#$%()*+,\-.;=?[\\\]^_`{|}~]{1,1023}$/;

/** Control characters, and characters that XML 1.0 §2.2 cannot carry. */
const refusedInResource = /[\p{Cc}\p{Cs}\ufffe\uffff]/u;

/** An XMPP address (RFC 7622), prepared: its string is exactly what goes on the wire. */
export class Jid {
  readonly local: string | undefined;
  readonly domain: string;
  readonly resource: string | undefined;
  readonly #text: string;
  #comparableResource: string | undefined;

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

  /** Returns the resource after normalisation, for comparisons with what servers write. */
  comparableResource(): string | undefined {
    this.#comparableResource ??= this.resource && normalizeResource(this.resource);
    return this.#comparableResource;
  }

  /** Returns the address without its resource. */
  bare(): Jid {
    return this.resource === undefined ? this : new Jid(this.local, this.domain, undefined);
  }

  /** Returns the address with another resource; throws JidError. */
  withResource(resource: string): Jid {
    return new Jid(this.local, this.domain, resource);
  }
}

/** Parses and prepares an address, bare or full (RFC 7622 §3.1); throws JidError. */
export function parseJid(text: string): Jid {
  const { local, domain, resource } = splitAddress(text);
  try {
    return new Jid(local, domain, resource);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
    throw new JidError(describeMistake(text) ?? error.message, countAddresses(text));
  }
}

/** Builds a bare JID from a localpart and a domainpart and prepares both; throws JidError. */
export function createJid(local: string, domain: string): Jid {
  return new Jid(local, domain, undefined);
}

/** Prepares a localpart (RFC 7622 §3.3) with nodeprep, as servers do; throws JidError. */
export function parseLocalpart(text: string): string {
  return plainLocalpart.test(text) ? text : preparePart(localpart, text);
}

/**
 * An address as a server has written it. It is prepared only once, and only if it is not identical: the
 * preparation takes up to a millisecond, and there may be thousands of addresses to compare it with.
 */
export class WrittenAddress {
  readonly #text: string;
  #prepared: PreparedParts | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Whether it denotes this address. Localparts and domainparts are compared after preparation,
   * resources after normalisation, because Prosody normalises the resource before it swaps the
   * addresses of a bounce. A malformed text denotes only an address that is identical.
   */
  denotes(address: Jid): boolean {
    if (this.#text === address.toString()) return true;
    this.#prepared ??= prepareParts(this.#text);
    const { local, domain, resource } = this.#prepared;
    return (
      domain === address.domain &&
      local === address.local &&
      resource === address.comparableResource()
    );
  }
}

/** Parts to compare; null for one that no address has. */
interface PreparedParts {
  readonly local: string | undefined | null;
  readonly domain: string | null;
  readonly resource: string | undefined | null;
}

function prepareParts(text: string): PreparedParts {
  const { local, domain, resource } = splitAddress(text);
  const isLong = resource !== undefined && resource.length > maxPartBytes;
  return {
    local: local === undefined ? undefined : prepareOrNull(local, parseLocalpart),
    domain: prepareOrNull(domain, parseDomain),
    resource: isLong ? null : resource && normalizeResource(resource),
  };
}

function prepareOrNull(text: string, parse: (text: string) => string): string | null {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof JidError) return null;
    throw error;
  }
}

interface AddressParts {
  readonly local: string | undefined;
  readonly domain: string;
  readonly resource: string | undefined;
}

/** RFC 7622 §3.1: the resource follows the first slash, the domain the first at-sign before it. */
function splitAddress(text: string): AddressParts {
  const bare = bareOf(text);
  const at = bare.indexOf('@');
  return {
    local: at === -1 ? undefined : bare.slice(0, at),
    domain: bare.slice(at + 1),
    resource: resourceOf(text),
  };
}

/** Returns the part of an address before its first slash (RFC 7622 §3.1), unprepared. */
export function bareOf(address: string): string {
  const slash = address.indexOf('/');
  return slash === -1 ? address : address.slice(0, slash);
}

/** Returns the part of an address after its first slash, unprepared; undefined for a bare address. */
export function resourceOf(address: string): string | undefined {
  const slash = address.indexOf('/');
  return slash === -1 ? undefined : address.slice(slash + 1);
}

function parseResource(text: string): string {
  checkLength(resourcepart, text);
  const refused = refusedInResource.exec(text)?.[0];
  if (refused === undefined) return text;
  throw createPartError(resourcepart, `must not contain ${nameCharacter(refused)}`, text);
}

// The parts of an address in messages, for people who have not read RFC 7622.
const localpart = 'name before the @';
const domainpart = 'domain';
const resourcepart = 'resource after the slash';

/** Such a domain needs no preparation unless one of its labels is an A-label. */
const plainDomain =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** URL parsers and resolvers take a domain that ends like this for an IPv4 address. */
const numericEnd = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;
const ipv4Address =
  /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;
const ipv6Literal = /^\[[0-9a-f:.]+\]$/i;

/**
 * Prepares a domainpart (RFC 7622 §3.2) with nameprep, as servers do: lower case, U-labels in place of
 * A-labels, no trailing dot. IP literals must be in their canonical form. Throws JidError.
 */
export function parseDomain(text: string): string {
  if (text.length <= maxPartBytes && plainDomain.test(text) && !text.includes('xn--')) return text;
  return ipv6Literal.test(text) ? parseIpv6Literal(text) : parseDomainName(text);
}

function parseDomainName(text: string): string {
  // RFC 3490 §3.1: IDNA treats these characters as dots. RFC 7622 §3.2: a trailing dot is stripped.
  const dotted = text.replace(/[\u3002\uff0e\uff61]/gu, '.').replace(/\.$/, '');
  const labels = preparePart(domainpart, dotted).split('.');
  const domain = labels.map((label) => parseLabel(label, text)).join('.');
  // A decoded A-label may not be in prepared form, or may violate RFC 3454 §6 together with its
  // neighbours.
  if (preparePart(domainpart, domain) !== domain) {
    throw createPartError(
      domainpart,
      'must not have a part with xn-- that servers would write differently',
      text,
    );
  }
  if (numericEnd.test(domain) && !ipv4Address.test(domain)) {
    throw createPartError(domainpart, 'must be a host name or an address such as 192.0.2.1', text);
  }
  return domain;
}

/** RFC 7622 §3.2: an NR-LDH label or a U-label. */
function parseLabel(label: string, domain: string): string {
  const isALabel = label.startsWith('xn--');
  const unicode = isALabel ? domainToUnicode(label) : label;
  const ascii = isHostLabel(unicode) ? unicode : encodeLabel(unicode);
  // For an invalid A-label, domainToUnicode returns '' in Node.js 20 and the label itself since 24.
  if (ascii === undefined || (isALabel && (ascii !== label || unicode === label))) {
    throw createPartError(domainpart, describeLabel(label), domain);
  }
  return unicode;
}

/** What a domain must be that has this label, which it must not have. */
function describeLabel(label: string): string {
  if (label === '') return 'must not begin with a dot, or have two in a row';
  const refused = /(?![a-z0-9-])[\0-\x7f]/.exec(label)?.[0];
  if (refused !== undefined) return `must not contain ${nameCharacter(refused)}`;
  if (/^-|-$/.test(label)) return 'must not have a hyphen at the start or end of a part';
  if (label.startsWith('xn--')) {
    return `must not have the part ${quote(label)}, which does not decode to a name in other letters`;
  }
  return 'must have letters, digits and inner hyphens between its dots, at most 63 of them';
}

/** RFC 1123 §2.1; RFC 5891 §4.2.3.1 for the hyphens. */
function isHostLabel(label: string): boolean {
  return /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label);
}

/** Returns the A-label of a U-label; undefined if there is none, or if it decodes to something else. */
function encodeLabel(label: string): string | undefined {
  // domainToASCII uses a URL parser, to which other ASCII characters have a special meaning.
  if (!/^(?!-)(?:[a-z0-9-]|[^\0-\x7f])+(?<!-)$/u.test(label)) return undefined;
  const ascii = domainToASCII(label);
  return isHostLabel(ascii) && domainToUnicode(ascii) === label ? ascii : undefined;
}

/** Accepts only the canonical text form of an IPv6 address (RFC 5952). */
function parseIpv6Literal(text: string): string {
  const literal = text.toLowerCase();
  const url = `http://${literal}`;
  if (!URL.canParse(url) || new URL(url).hostname !== literal) {
    throw createPartError(domainpart, 'must have an IPv6 address in the form [2001:db8::1]', text);
  }
  return literal;
}

/** RFC 7622 §3.1: the maximum length of one part of an address, in bytes of UTF-8. */
const maxPartBytes = 1023;

/** The text is not a valid address, or part of one; the message is a sentence for the caller. */
export class JidError extends Error {
  override readonly name = 'JidError';
  /** How many addresses the text seems to hold. */
  readonly addresses: number;

  constructor(message: string, addresses = 1) {
    super(message);
    this.addresses = addresses;
  }
}

/** `rule` continues the sentence after the name of the part. */
function createPartError(part: string, rule: string, got: string): JidError {
  return new JidError(`The ${part} ${rule}, got ${quote(got)}.`);
}

/** Prepares a localpart or domainpart as servers do; throws JidError. */
function preparePart(part: string, text: string): string {
  checkLength(part, text);
  try {
    const prepared = prepareIdentifier(text);
    checkLength(part, prepared);
    return prepared;
  } catch (error) {
    if (error instanceof StringprepError) throw createPartError(part, error.message, text);
    throw error;
  }
}

/** Throws JidError for a part that is empty or too long (RFC 7622 §3.1). */
function checkLength(part: string, text: string): void {
  if (text === '') throw new JidError(`The ${part} is empty.`);
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxPartBytes) return;
  throw new JidError(`The ${part} is too long: at most ${maxPartBytes} bytes, got ${bytes}.`);
}
