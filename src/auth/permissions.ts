import { type Jid, JidError, parseDomain, parseJid } from '../core/jid.ts';

const everybody = '*@';

/**
 * Parses whom a permission is for: a bare JID, or `*@domain` for everybody there. Throws JidError;
 * returns it normalised, with the domain that it speaks of.
 */
export function parsePermission(text: string): {
  readonly pattern: string;
  readonly domain: string;
} {
  if (text.startsWith(everybody)) {
    const domain = parseDomain(text.slice(everybody.length));
    return { pattern: everybody + domain, domain };
  }
  const jid = parseJid(text);
  // A wildcard elsewhere is legal in a localpart, but whoever writes one here means a pattern.
  if (jid.local === undefined || jid.resource !== undefined || jid.local.includes('*')) {
    throw new JidError('expected a bare JID or *@domain');
  }
  return { pattern: jid.toString(), domain: jid.domain };
}

/** Is the bare JID among the normalised patterns, by itself or as one of its domain? */
export function isPermitted(user: Jid, patterns: ReadonlySet<string>): boolean {
  return patterns.has(user.toString()) || patterns.has(everybody + user.domain);
}
