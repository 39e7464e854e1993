import { domainToASCII, domainToUnicode } from 'node:url';
import { createPartError, maxPartBytes, preparePart } from './jid-part.ts';

const part = 'domainpart';

/** Prepared as it stands, if no label is an A-label. */
const plainDomain =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Ends in what URL parsers and resolvers take for a number: an IPv4 address or nothing. */
const numericEnd = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;
const ipv4Address =
  /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;
const ipv6Literal = /^\[[0-9a-f:.]+\]$/i;

/**
 * Prepares a domainpart (RFC 7622 §3.2, as servers do by nameprep): lower case, A-labels turned
 * into U-labels, no trailing dot; or an IP literal in its own form. Throws JidError.
 */
export function parseDomain(text: string): string {
  if (text.length <= maxPartBytes && plainDomain.test(text) && !text.includes('xn--')) return text;
  return ipv6Literal.test(text) ? parseIpv6Literal(text) : parseDomainName(text);
}

function parseDomainName(text: string): string {
  // RFC 3490 §3.1: what IDNA takes for a dot; RFC 7622 §3.2: one at the end is stripped.
  const dotted = text.replace(/[\u3002\uff0e\uff61]/gu, '.').replace(/\.$/, '');
  const labels = preparePart(part, dotted).split('.');
  const domain = labels.map((label) => parseLabel(label, text)).join('.');
  // A-labels may hold what has another prepared form, or break RFC 3454 §6 beside their neighbours.
  if (preparePart(part, domain) !== domain) {
    throw createPartError(part, 'with A-labels that have a prepared form', text);
  }
  if (numericEnd.test(domain) && !ipv4Address.test(domain)) {
    throw createPartError(part, 'that is a host name or an address such as 192.0.2.1', text);
  }
  return domain;
}

/** RFC 7622 §3.2: an NR-LDH label or a U-label. */
function parseLabel(label: string, domain: string): string {
  const isALabel = label.startsWith('xn--');
  const unicode = isALabel ? domainToUnicode(label) : label;
  const ascii = isHostLabel(unicode) ? unicode : encodeLabel(unicode);
  // What is no A-label becomes '' with Node.js 20, and stays as it is since 24.
  if (ascii === undefined || (isALabel && (ascii !== label || unicode === label))) {
    const rule = 'with labels of letters, digits and inner hyphens, of 1 to 63 bytes in IDNA form';
    throw createPartError(part, rule, domain);
  }
  return unicode;
}

/** RFC 1123 §2.1; RFC 5891 §4.2.3.1 for the hyphens. */
function isHostLabel(label: string): boolean {
  return /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label);
}

/** The A-label of a U-label; undefined where there is none, or where it leads back elsewhere. */
function encodeLabel(label: string): string | undefined {
  // Other ASCII characters would have a meaning to the URL parser behind domainToASCII.
  if (!/^(?!-)(?:[a-z0-9-]|[^\0-\x7f])+(?<!-)$/u.test(label)) return undefined;
  const ascii = domainToASCII(label);
  return isHostLabel(ascii) && domainToUnicode(ascii) === label ? ascii : undefined;
}

/** RFC 5952: the one way to write an IPv6 address. */
function parseIpv6Literal(text: string): string {
  const literal = text.toLowerCase();
  const url = `http://${literal}`;
  if (!URL.canParse(url) || new URL(url).hostname !== literal) {
    throw createPartError(part, 'with an IPv6 address in the form [2001:db8::1]', text);
  }
  return literal;
}
