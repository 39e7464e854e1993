import type { Element } from 'ltx';

/** The XMPP servers whose configuration we know. */
export type ServerKind = 'prosody' | 'ejabberd';

/** Which server answers. */
export interface ServerIdentity {
  readonly kind: ServerKind;
  /** As the server states it, such as `0.12.3` or `23.01-1`; undefined when it does not. */
  readonly version: string | undefined;
}

const names = { prosody: 'Prosody', ejabberd: 'ejabberd' } as const;

/** Longest version that is shown; those of nightly builds are some 50 characters. */
const maxVersionLength = 80;

/** The software version (XEP-0092 §2) in an answer; undefined for other servers' software. */
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

/** Name and version for people. */
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
