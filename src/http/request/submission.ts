import { invalidMessage } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { readSubmission } from '../../core/message/from-json.ts';
import { parseMessageFromXml } from '../../core/message/from-xml.ts';
import type { Submission } from '../../core/message/message.ts';
import type { MessageContext } from '../../core/message/rules.ts';
import { type MessageQuery, parseForm, parseQuery } from './fields.ts';
import type { Notation } from './media-type.ts';

/**
 * Renders the text of a message from a JSON value; throws GatewayError `invalid-message` if there is no
 * such template, or no text.
 */
export type RenderTemplate = (name: string, data: unknown) => string;

/** What a request asks for: what to send, and how. */
export interface ParsedRequest extends Submission, Pick<MessageQuery, 'isDryRun'> {
  /** The part of the message that is not in the body; undefined if all of it is. */
  readonly rest: string | undefined;
}

/**
 * Reads the body and the query of a request to a message URL; throws GatewayError: `malformed-body`,
 * `invalid-message`.
 */
export function parseRequest(
  notation: Exclude<Notation, 'lines'>,
  text: string,
  queryText: string,
  context: MessageContext,
  render: RenderTemplate,
): ParsedRequest {
  if (notation === 'xml') {
    const message = parseMessageFromXml(text, context);
    const { isDryRun } = parseQuery(queryText, notation);
    return { messages: [message], isList: false, isTypeOpen: false, isDryRun, rest: undefined };
  }
  const body = notation === 'json' ? parseJson(text) : withoutByteOrderMark(text);
  const query = parseQuery(queryText, notation);
  const fields = readFields(notation, body, query, render);
  const isOutside = notation === 'text' || query.template !== undefined;
  const rest = isOutside ? JSON.stringify([query.template, query.fields]) : undefined;
  return { ...readSubmission(fields, context), isDryRun: query.isDryRun, rest };
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

function readFields(
  notation: Exclude<Notation, 'xml' | 'lines'>,
  body: unknown,
  { template, fields }: MessageQuery,
  render: RenderTemplate,
): unknown {
  if (notation === 'json' && template === undefined) return body;
  if (notation === 'form') return refuseEmptyText(parseForm(String(body)));
  const text = template === undefined ? body : render(template, body);
  if (fields['to'] === undefined) throw invalidMessage('/to', recipientExpected);
  const found = { ...fields, body: text };
  return fields['subject'] === undefined ? refuseEmptyText(found) : found;
}

const recipientExpected =
  'Expected the recipient in the URL: ?to=user@example.org (in a shell, quote the URL).';

/** A program that writes JSON may mean an empty text; in a shell a variable is empty, or a command failed. */
function refuseEmptyText<T extends { readonly body?: unknown }>(fields: T): T {
  if (fields.body !== '') return fields;
  const detail =
    'Expected a text, got an empty one: is the variable set, and did the command work?';
  throw invalidMessage('/body', detail);
}
