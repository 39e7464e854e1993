import type { Element } from 'ltx';

/** The XMPP servers whose configuration we know. */
export type ServerKind = 'prosody' | 'ejabberd';

/** A server, as it identifies itself. */
export interface ServerIdentity {
  readonly kind: ServerKind;
  /** As the server states it, such as `0.12.3` or `23.01-1`; undefined when it states none. */
  readonly version: string | undefined;
}

const names = { prosody: 'Prosody', ejabberd: 'ejabberd' } as const;

/** The longest version that is shown, in characters; nightly builds have about 50. */
const maxVersionLength = 80;

/** Reads an answer with the software version (XEP-0092 §2); undefined for other software. */
export function readIdentity(answer: Element): ServerIdentity | undefined {
  const query = answer.getChild('query', 'jabber:iq:version');
  const name = query?.getChildText('name')?.toLowerCase();
  if (name !== 'prosody' && name !== 'ejabberd') return undefined;
  const version = query
    ?.getChildText('version')
    ?.replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return { kind: name, version: version?.slice(0, maxVersionLength) || undefined };
}

/** Name and version, for people. */
export function describeServer({ kind, version }: ServerIdentity): string {
  return version === undefined ? names[kind] : `${names[kind]} ${version}`;
}

/** Whether the version is `first` (such as 23.10) or newer; undefined for one that is not a number. */
export function isSince(version: string | undefined, first: string): boolean | undefined {
  const [have, want] = [readNumbers(version), readNumbers(first)];
  if (have === undefined || want === undefined) return undefined;
  return have.major === want.major ? have.minor >= want.minor : have.major > want.major;
}

function readNumbers(version = ''): { major: number; minor: number } | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}
