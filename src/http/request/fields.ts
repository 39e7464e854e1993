import { GatewayError, invalidMessage } from '../../core/errors.ts';
import { createFaultList, escapePointer } from '../../core/fault-list.ts';
import { describeUnknownField, plainFields } from '../../core/message/from-json.ts';
import { copyText, guessNotation } from '../../core/text.ts';
import type { Notation } from './media-type.ts';

/** The pairs of a query or a form, not decoded. */
type Pairs = readonly (readonly [name: string, value: string])[];

/** The fields of a message by name; a field that is given several times is a list. */
type Fields = Readonly<Record<string, string | readonly string[]>>;

/** The query of a message URL. */
export interface MessageQuery {
  /** Whether to show the stanza instead of sending it. */
  readonly isDryRun: boolean;
  /** The name of the template that turns the body into the text. */
  readonly template: string | undefined;
  /** The fields of the message that are not in the body. */
  readonly fields: Fields;
}

const noQuery: MessageQuery = { isDryRun: false, template: undefined, fields: {} };

/** The values of the parameters that any request may have. */
const switches: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['format', new Set(['json'])],
  ['dry_run', new Set(['true', 'false'])],
]);

const fieldNames: readonly string[] = plainFields;
const queryFields = fieldNames.filter((name) => name !== 'body');

/**
 * Parses the query of a request with a body in this notation. Only where the body is not a message by
 * itself, the query has fields of the message. Throws GatewayError `invalid-message`.
 */
export function parseQuery(query: string, notation: Notation): MessageQuery {
  if (query === '') return noQuery;
  const pairs = split(query);
  if (notation !== 'json' && pairs.some(([name]) => name === 'template')) {
    const detail = 'A template needs Content-Type: application/json.';
    throw new GatewayError('invalid-message', detail);
  }
  const hasTemplate = pairs.some(([name]) => name === 'template');
  const hasFields = hasTemplate || notation === 'text';
  const found = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (hasFields && queryFields.includes(name)) continue;
    const isRight = name === 'template' || switches.get(name)?.has(value) === true;
    if (!isRight || found.has(name)) throw unexpectedParameter(name, hasFields);
    found.set(name, value);
  }
  return {
    isDryRun: found.get('dry_run') === 'true',
    template: found.get('template'),
    fields: readFields(
      pairs.filter(([name]) => queryFields.includes(name)),
      queryFields,
    ),
  };
}

function unexpectedParameter(name: string, hasFields: boolean): GatewayError {
  const own = fieldNames.includes(name)
    ? `The field ${name} belongs in the body; in the query it is for text/plain and templates (template=NAME) only. `
    : '';
  const fields = hasFields ? `, the fields ${queryFields.join(', ')}` : '';
  return new GatewayError(
    'invalid-message',
    `${own}Expected no query parameters but template, dry_run=true or dry_run=false${fields}, and format=json, which has no effect; each at most once.`,
  );
}

/** Parses a form (WHATWG URL §5.1); throws GatewayError `invalid-message`. */
export function parseForm(text: string): Fields {
  // curl -d says that everything is a form.
  const other = guessNotation(text);
  if (other !== undefined && other.name !== 'a form') {
    const orJson = other.name === 'JSON' ? ' (or use curl --json)' : '';
    const way = `add -H 'Content-Type: ${other.mediaType}'${orJson}`;
    throw invalidMessage('', `This looks like ${other.name}: ${way}.`);
  }
  const pairs = split(text);
  return readFields(
    pairs.filter(([name, value]) => name + value !== ''),
    fieldNames,
  );
}

function split(text: string): Pairs {
  if (text === '') return [];
  return text.split('&').map((pair) => {
    const end = pair.indexOf('=');
    return end === -1 ? [pair, ''] : [pair.slice(0, end), pair.slice(end + 1)];
  });
}

const textHint = ' If this is part of the text, it has an & or =: use --data-urlencode.';

/** Decodes the fields with these names. All others, and all but `to` given twice, are faults. */
function readFields(pairs: Pairs, names: readonly string[]): Fields {
  const faults = createFaultList();
  const found = new Map<string, string[]>();
  for (const [rawName, rawValue] of pairs) {
    const name = decode(rawName) ?? rawName;
    const pointer = (): string => `/${escapePointer(name)}`;
    const value = decode(rawValue);
    const values = found.get(name);
    if (!names.includes(name)) {
      faults.add(pointer, () => describeUnknownField(name, names, textHint));
    } else if (value === undefined) {
      faults.add(pointer, 'Expected percent-encoded UTF-8, got other bytes.');
    } else if (values === undefined) {
      found.set(name, [value]);
    } else if (name === 'to') {
      values.push(value);
    } else {
      faults.add(pointer, `Expected the field ${name} once, got it again.`);
    }
  }
  if (!faults.isEmpty()) throw faults.toError();
  return Object.fromEntries(
    Array.from(found, ([name, values]) => [name, values.length === 1 ? (values[0] ?? '') : values]),
  );
}

/** A percent sign that does not encode a byte stands for itself. Undefined: the bytes are not UTF-8. */
function decode(text: string): string | undefined {
  try {
    // Without anything to replace, this would be a slice of the body.
    return copyText(
      text.replaceAll('+', ' ').replaceAll(/(?:%[0-9a-f]{2})+/gi, decodeURIComponent),
    );
  } catch {
    return undefined;
  }
}
