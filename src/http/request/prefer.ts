import { invalidMessage } from '../../core/errors.ts';
import { describeJsonValue } from '../../core/json.ts';

/** The longest wait for a receipt, in seconds: proxies end requests that take longer. */
const maxWaitSeconds = 60;

const token = "[!#$%&'*+.^_`|~\\w-]+";
const word = `(?:${token}|"(?:[^"\\\\]|\\\\.)*")`;

/**
 * RFC 7240 §2: preference = token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] ). With the blanks before
 * the next one, so that no two runs of blanks meet, which would take quadratic time.
 */
const preference = new RegExp(
  `(?:(${token})(?:[ \\t]*=[ \\t]*(${word}))?(?:[ \\t]*;(?:[ \\t]*${token}(?:[ \\t]*=[ \\t]*${word})?)?)*)?[ \\t]*(?:,[ \\t]*|$)`,
  'y',
);

/**
 * Parses `wait` of a `Prefer` header (RFC 7240 §4.3): the seconds to wait, at most 60. Returns
 * undefined if there is none, if it is 0, and if it is malformed, which means that it is to be ignored
 * (§2). The first of several counts.
 */
export function parseWait(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  let wait: string | undefined;
  for (preference.lastIndex = 0; preference.lastIndex < header.length; ) {
    const found = preference.exec(header);
    if (found === null) return undefined;
    const [, name, value = ''] = found;
    if (name?.toLowerCase() === 'wait') wait ??= value;
  }
  const [, digits] = /^("?)(\d{1,10})\1$/.exec(wait ?? '')?.slice(1) ?? [];
  return readSeconds(Number(digits));
}

/** Reads the field `wait` of a line; throws GatewayError `invalid-message`. */
export function readWait(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= maxWaitSeconds) {
    return readSeconds(Number(value));
  }
  const got = typeof value === 'number' ? value : describeJsonValue(value);
  const detail = `Expected whole seconds from 0 to ${maxWaitSeconds}, got ${got}.`;
  throw invalidMessage('/wait', detail);
}

function readSeconds(seconds: number): number | undefined {
  return seconds > 0 ? Math.min(seconds, maxWaitSeconds) : undefined;
}
