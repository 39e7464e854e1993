import { describe, expect, it } from 'vitest';
import { GatewayError, type ProblemCode, problems } from '../../../../src/core/errors.ts';
import { buildProblem } from '../../../../src/http/response/problem.ts';

const requestId = '6fd1f4b0-8a2f-4a4e-9a0e-0c3d7f1b2a3c';
const codes = Object.keys(problems).filter((code): code is ProblemCode => code in problems);

describe('buildProblem', () => {
  it.each(codes)('%s is reported as in RFC 9457', (code) => {
    const answer = buildProblem(new GatewayError(code, 'The detail.'), requestId);
    expect(answer.status).toBe(problems[code].status);
    expect(answer.headers).toMatchObject({ 'Content-Type': 'application/problem+json' });
    expect(JSON.parse(answer.body)).toEqual({
      type: `/problems/${code}`,
      title: problems[code].title,
      status: answer.status,
      detail: 'The detail.',
      code,
      instance: `urn:uuid:${requestId}`,
    });
  });

  it.each(codes)('%s has Retry-After if it is 503 or 429', (code) => {
    const { headers, status } = buildProblem(new GatewayError(code, '.'), requestId);
    expect('Retry-After' in headers).toBe(status === 503 || status === 429);
  });

  it.each([
    [undefined, '5'],
    [0, '1'],
    [0.2, '1'],
    [41.3, '42'],
  ])('retryAfterSeconds %s → %s', (retryAfterSeconds, header) => {
    const options = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    const { headers } = buildProblem(new GatewayError('overloaded', '.', options), requestId);
    expect(headers['Retry-After']).toBe(header);
  });

  it.each([
    ['example.org', 'Basic realm="example.org", charset="UTF-8"'],
    ['bücher.example', 'Basic realm="xn--bcher-kva.example", charset="UTF-8"'],
    ['[::1]', 'Basic realm="[::1]", charset="UTF-8"'],
    ['a"\r\nb\\', 'Basic realm="ab", charset="UTF-8"'],
  ])('realm %j → %s', (realm, challenge) => {
    const { headers } = buildProblem(
      new GatewayError('unauthenticated', '.', { realm }),
      requestId,
    );
    expect(headers['WWW-Authenticate']).toBe(challenge);
  });

  it('names the methods of the URL', () => {
    const error = new GatewayError('method-not-allowed', '.', { allow: ['GET', 'HEAD'] });
    expect(buildProblem(error, requestId).headers['Allow']).toBe('GET, HEAD');
  });

  it('lists each fault with its place', () => {
    const errors = [{ pointer: '/to', detail: 'Expected a JID.' }];
    const { body } = buildProblem(new GatewayError('invalid-message', '.', { errors }), requestId);
    expect(JSON.parse(body)).toMatchObject({ errors });
  });

  it.each([
    ['item-not-found', 'cancel', 404, false],
    ['forbidden', 'auth', 403, false],
    ['jid-malformed', 'modify', 422, false],
    ['remote-server-not-found', 'cancel', 502, false],
    ['remote-server-timeout', 'wait', 504, false],
    ['resource-constraint', 'wait', 503, true],
    ['unheard-of', 'wait', 503, true],
    ['unheard-of', undefined, 502, false],
  ])('a bounce %s, %s → %s', (condition, type, status, hasRetryAfter) => {
    const stanzaError = { condition, type, text: type && 'Because.' };
    const answer = buildProblem(new GatewayError('bounced', '.', { stanzaError }), requestId);
    expect(answer.status).toBe(status);
    expect('Retry-After' in answer.headers).toBe(hasRetryAfter);
    expect(JSON.parse(answer.body)).toEqual({
      type: '/problems/bounced',
      title: problems.bounced.title,
      status,
      detail: '.',
      code: 'bounced',
      instance: `urn:uuid:${requestId}`,
      condition,
      ...(type && { error_type: type, text: 'Because.' }),
    });
  });

  it.each([
    new Error('secret-1'),
    new TypeError('secret-1'),
    'secret-1',
    undefined,
    { status: 404 },
  ])('anything else leaks nothing: %s', (error) => {
    const { status, body, headers } = buildProblem(error, requestId);
    expect(status).toBe(500);
    expect(body + JSON.stringify(headers)).not.toContain('secret-1');
    expect(JSON.parse(body)).toMatchObject({ code: 'internal' });
  });
});
