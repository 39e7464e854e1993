import type { Receipt, Stanza, Submission } from '../../core/message/message.ts';
import type { Answer } from './answer.ts';

/** What became of one message of a list: its receipt, or a problem. */
export interface Result {
  readonly to: string;
  readonly answer: Answer;
}

/** Builds the answer to a message that was accepted. */
export function buildAccepted(
  { id, from, to, mode, confirmed }: Receipt,
  waitSeconds?: number,
): Answer {
  const receipt = {
    status: 'success',
    message: 'The XMPP server accepted the message.',
    id,
    from: from.toString(),
    to: to.toString(),
    mode,
    confirmed,
  };
  return buildJson(200, 'ok', receipt, { waitSeconds });
}

/** Builds the answer to a list of messages: 200 if all were accepted, else 207 (RFC 4918 §11.1). */
export function buildResults(results: readonly Result[]): Answer {
  const accepted = results.filter(({ answer }) => answer.status === 200).length;
  const isSuccess = accepted === results.length;
  const message = isSuccess
    ? `The XMPP server accepted all ${accepted} messages.`
    : `The XMPP server accepted ${accepted} of ${results.length} messages.`;
  const answer = {
    status: isSuccess ? 'success' : 'partial',
    message,
    results: results.map(({ to, answer: own }) => buildResult(to, own)),
  };
  const waited = results.find((result) => result.answer.waitSeconds !== undefined);
  const counts = { accepted, refused: results.length - accepted };
  return buildJson(isSuccess ? 200 : 207, isSuccess ? 'ok' : 'partial', answer, {
    counts,
    waitSeconds: waited?.answer.waitSeconds,
  });
}

function buildResult(to: string, { status, body }: Answer): object {
  const members: object = JSON.parse(body);
  return { ...members, status, to };
}

/**
 * Shows the stanzas of a dry run. The bytes are those of the wire, where the stream declares the default
 * namespace. A list of them is not an XML document (RFC 7303 §9.1 and §9.3).
 */
export function buildPreview(stanzas: readonly Stanza[], { isList }: Submission): Answer {
  return {
    status: 200,
    code: 'ok',
    contentType: isList ? 'application/xml-external-parsed-entity' : 'application/xml',
    body: stanzas.map(({ xml }) => xml).join('\n'),
  };
}

function buildJson(
  status: number,
  code: string,
  value: object,
  { counts, waitSeconds }: Pick<Answer, 'counts' | 'waitSeconds'>,
): Answer {
  const body = `${JSON.stringify(value)}\n`;
  return { status, code, contentType: 'application/json', body, counts, waitSeconds };
}
