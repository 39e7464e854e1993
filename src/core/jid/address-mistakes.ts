import { abbreviate, nameCharacter, quote } from '../text.ts';

/** Schemes of addresses in links; the last two are those of web addresses. */
const schemes = /^(xmpp|mailto|jabber|im|sip|https?):(?:\/\/)?/i;

/** What looks like one address in a list of several; the text has no blanks. */
const looksLikeAddress = /[^@]@[^@]/;

/** Returns how many addresses a text seems to hold, by the separators that people use. */
export function countAddresses(text: string): number {
  return text.split(/[\s,;|]+/).filter((part) => looksLikeAddress.test(part)).length;
}

/**
 * Explains what is wrong with a text that is not an address, in a sentence for the person who wrote it;
 * undefined if it is none of the usual mistakes.
 */
export function describeMistake(text: string): string | undefined {
  if (text.trim() === '') return 'The address is empty.';
  const count = countAddresses(text);
  if (count > 1) return `Expected one address, got ${count === 2 ? 'two' : count}.`;
  return describeEnds(text) ?? describeParts(text);
}

/** Explains what is too much at the start or end of an address: a scheme, a name, or a mark. */
function describeEnds(text: string): string | undefined {
  const scheme = schemes.exec(text);
  if (scheme !== null) {
    const [prefix, name = ''] = scheme;
    if (/^http/i.test(name))
      return 'Expected an address such as bob@example.org, got a web address.';
    const rest = text.slice(prefix.length).replace(/\?.*/s, '');
    return `Write the address without ${quote(`${name}:`)}: ${abbreviate(rest)}.`;
  }
  const inBrackets = /<([^<>]*)>/.exec(text)?.[1];
  if (inBrackets !== undefined && looksLikeAddress.test(inBrackets)) {
    return `Write only the address, without name and brackets: ${abbreviate(inBrackets)}.`;
  }
  const end = /[\s,;|"']$/u.exec(text)?.[0];
  if (end !== undefined) return `There is ${nameCharacter(end)} at the end: leave it out.`;
  const start = /^[\s,;|"']/u.exec(text)?.[0];
  if (start !== undefined) return `There is ${nameCharacter(start)} at the start: leave it out.`;
  return undefined;
}

/** Explains which part of an address is missing, empty or there twice. */
function describeParts(text: string): string | undefined {
  const [bare = '', ...resource] = text.split('/', 2);
  const [local, domain, ...more] = bare.split('@', 3);
  if (domain === undefined && bare.includes('%40')) {
    return `Write @ for %40: ${abbreviate(text.replace('%40', '@'))}.`;
  }
  if (domain !== undefined && local === '') {
    return more.length > 0
      ? 'There is "@" at the start: leave it out.'
      : 'There is no name before the @: expected an address such as bob@example.org.';
  }
  if (more.length > 0) return `Expected one @, got more: ${quote(bare)}.`;
  if (domain === '') {
    return 'There is no domain after the @: expected an address such as bob@example.org.';
  }
  return resource[0] === '' && text.endsWith('/')
    ? 'There is nothing after the slash: leave the slash out.'
    : undefined;
}
