import { GatewayError } from '../../core/errors.ts';

/** What the query of a message URL asks for. */
export interface MessageParameters {
  /** Show the stanza instead of sending it. */
  readonly isDryRun: boolean;
}

/** Name and values of each query parameter. */
const parameters: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['format', new Set(['json'])],
  ['dry_run', new Set(['true', 'false'])],
]);

/** Reads the query: each parameter at most once, exactly as written; else `invalid-message`. */
export function parseParameters(query: string): MessageParameters {
  const found = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = '', ...rest] = pair.split('=');
    const isRight = rest.length === 0 && parameters.get(name)?.has(value) === true;
    if (!isRight || found.has(name)) throw refuse();
    found.set(name, value);
  }
  return { isDryRun: found.get('dry_run') === 'true' };
}

function refuse(): GatewayError {
  return new GatewayError(
    'invalid-message',
    'Expected no query parameters but dry_run=true or dry_run=false, and format=json, which means ' +
      'nothing; each at most once.',
  );
}
