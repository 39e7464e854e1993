import { domainToASCII } from 'node:url';
import { GatewayError, type ProblemCode, problems } from '../../core/errors.ts';
import { bounceStatus } from '../../core/message/stanza-error.ts';
import type { Answer, HttpAnswer } from './answer.ts';

/** The answer that reports a problem. */
export interface ProblemAnswer extends HttpAnswer {
  readonly code: ProblemCode;
  readonly body: string;
}

const defaultRetryAfterSeconds = 5;

/** Builds the `application/problem+json` (RFC 9457) of an error; any but a GatewayError is `internal`. */
export function buildProblem(error: unknown, requestId: string): ProblemAnswer {
  const refusal = error instanceof GatewayError ? error : internal();
  const { code } = refusal;
  const status = statusOf(refusal);
  return {
    status,
    code,
    headers: headersOf(refusal, status),
    body: bodyOf(refusal, status, requestId),
  };
}

/** Builds the problem as the answer of a message URL. */
export function buildRefusal(error: unknown, requestId: string): Answer {
  const { status, code, headers, body } = buildProblem(error, requestId);
  return { status, code, contentType: headers['Content-Type'] ?? '', body };
}

function internal(): GatewayError {
  return new GatewayError(
    'internal',
    'A fault of the gateway; its log has the details under this instance.',
  );
}

function statusOf({ code, options }: GatewayError): number {
  return code === 'bounced' && options.stanzaError
    ? bounceStatus(options.stanzaError)
    : problems[code].status;
}

function headersOf({ code, options }: GatewayError, status: number): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
  };
  if (status === 503 || status === 429) {
    const seconds = options.retryAfterSeconds ?? defaultRetryAfterSeconds;
    headers['Retry-After'] = String(Math.max(1, Math.ceil(seconds)));
  }
  if (options.allow) headers['Allow'] = options.allow.join(', ');
  if (code === 'unauthenticated') headers['WWW-Authenticate'] = buildChallenge(options.realm ?? '');
  return headers;
}

/** RFC 7617 §2.1; header fields are ASCII, so an internationalised domain is written as A-labels. */
function buildChallenge(realm: string): string {
  const ascii = domainToASCII(realm).replaceAll(/["\\]/g, '');
  return `Basic realm="${ascii}", charset="UTF-8"`;
}

function bodyOf(
  { code, message, options }: GatewayError,
  status: number,
  requestId: string,
): string {
  const problem = {
    type: `/problems/${code}`,
    title: problems[code].title,
    status,
    detail: message,
    code,
    instance: `urn:uuid:${requestId}`,
    errors: options.errors,
    condition: options.stanzaError?.condition,
    error_type: options.stanzaError?.type,
    text: options.stanzaError?.text,
  };
  return `${JSON.stringify(problem)}\n`;
}
