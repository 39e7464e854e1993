import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseStanza } from '../support/clients/stanza.ts';
import { servers } from '../support/servers/servers.ts';
import { compareArrivals } from './arrivals.ts';
import { readCorpus } from './corpus.ts';
import { fuzz } from './fuzz.ts';
import { judge } from './judge.ts';
import { createRequests, type FuzzRequest } from './requests.ts';

const jsonType = 'Content-Type: application/json';
const formType = 'Content-Type: application/x-www-form-urlencoded';

function requestWith(fields: readonly string[] = [jsonType], query = ''): FuzzRequest {
  const head = `POST /api${query} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`;
  return { index: 0, bytes: Buffer.from(head), sender: 'alice@example.org' };
}

function judgeAnswer(
  status: number,
  value: object | string,
  request = requestWith(),
): ReturnType<typeof judge> {
  const isText = typeof value === 'string';
  const body = isText ? value : JSON.stringify(value);
  const headers = { 'content-type': isText ? 'application/xml' : 'application/json' };
  return judge(request, { status, headers, body, json: () => ({}) });
}

const receipt = { status: 200, id: '1', from: 'alice@example.org', to: 'bob@example.org' };
const toCarol = { ...receipt, to: 'carol@example.org' };
const problem = { status: 404, code: 'bounced', to: 'nobody@example.org' };

describe('the judge', () => {
  const one = { id: '1', from: 'alice@example.org', to: 'bob@example.org' };
  const success = { ...one, status: 'success' };

  test.each([
    ['one message', 200, success, [one]],
    ['a refusal', 404, problem, []],
    [
      'a list',
      200,
      { status: 'success', results: [receipt, toCarol] },
      [one, { ...one, to: toCarol.to }],
    ],
    [
      'a list of which a part is refused',
      207,
      { status: 'partial', results: [receipt, problem] },
      [one],
    ],
    ['a list that is refused', 207, { status: 'partial', results: [problem] }, []],
  ])('accepts %s', (_, status, body, accepted) => {
    expect(judgeAnswer(status, body)).toEqual({ accepted });
  });

  test.each([
    ['no result', 200, { status: 'success', results: [] }],
    [
      'a foreign sender',
      200,
      { status: 'success', results: [{ ...receipt, from: 'eve@example.org' }] },
    ],
    [
      'a bad code',
      207,
      { status: 'partial', results: [receipt, { ...problem, code: 'overloaded' }] },
    ],
    ['a bug', 207, { status: 'partial', results: [receipt, { ...problem, status: 500 }] }],
    ['a problem without a code', 207, { status: 'partial', results: [{ status: 404, to: 'a@b' }] }],
    [
      'a result without a recipient',
      200,
      { status: 'success', results: [{ ...receipt, to: undefined }] },
    ],
    ['one recipient twice', 200, { status: 'success', results: [receipt, receipt] }],
    ['200 though one is refused', 200, { status: 'success', results: [receipt, problem] }],
    ['207 though all are accepted', 207, { status: 'partial', results: [receipt, toCarol] }],
    ['success though one is refused', 207, { status: 'success', results: [receipt, problem] }],
    [
      'an id for two of three',
      200,
      {
        status: 'success',
        results: [receipt, toCarol, { ...receipt, id: '2', to: 'd@example.org' }],
      },
    ],
    ['207 without results', 207, success],
  ])('finds fault with a list with %s', (_, status, body) => {
    expect(judgeAnswer(status, body).fault).toEqual(expect.any(String));
  });

  test('lets only a dry run show a stanza', () => {
    const stanza = '<message to="bob@example.org"/>';
    expect(judgeAnswer(200, stanza, requestWith([jsonType], '?dry_run=true'))).toEqual({
      accepted: [],
    });
    for (const query of ['', '?dry_run=false', '?to=dry_run=true']) {
      expect(judgeAnswer(200, stanza, requestWith([jsonType], query)).fault).toBeDefined();
    }
  });

  test.each([
    ['Sec-Fetch-Site: cross-site', formType, true],
    ['Sec-Fetch-Site: same-site', 'Content-Type: text/plain; charset=utf-8', true],
    ['Origin: http://evil.example', formType, true],
    ['Origin: null', formType, true],
    ['Origin: http://127.0.0.1', formType, false],
    ['Sec-Fetch-Site: cross-site', jsonType, false],
  ])('with %s and %s finds fault with success: %s', (field, type, isFault) => {
    const { fault } = judgeAnswer(200, success, requestWith([type, field]));
    expect(fault !== undefined).toBe(isFault);
  });
});

describe('the comparison of what came with what was accepted', () => {
  const request = requestWith();
  const toBob = { id: '1', from: 'alice@example.org', to: 'bob@example.org', request };
  const xml = "<message id='1' from='alice@example.org' to='bob@example.org'/>";
  const stanza = { xml, root: parseStanza(xml) };

  test.each([
    ['one of one', [stanza], [toBob], 0],
    ['two of two with the same id', [stanza, stanza], [toBob, toBob], 0],
    ['none of one', [], [toBob], 1],
    ['one of two with the same id', [stanza], [toBob, toBob], 1],
    ['one of none', [stanza], [], 1],
    ['two of one', [stanza, stanza], [toBob], 1],
    ['one that was accepted for another', [stanza], [{ ...toBob, to: 'carol@example.org' }], 1],
    ['one that was accepted from another', [stanza], [{ ...toBob, from: 'eve@example.org' }], 2],
    ['none for a resource', [], [{ ...toBob, to: 'bob@example.org/r' }], 0],
    ['one for a resource', [stanza], [{ ...toBob, to: 'bob@example.org/r' }], 0],
    ['none of groupchat', [], [{ ...toBob, request: requestWith([], '?type=groupchat') }], 0],
    ['none for a key', [], [{ ...toBob, request: requestWith(['Idempotency-Key: k']) }], 0],
  ])('%s: %s', (_, arrived, accepted, faults) => {
    expect(compareArrivals(arrived, { accepted, faults: [] })).toHaveLength(faults);
  });
});

test('the same seed makes the same requests', () => {
  const corpus = readCorpus();
  const [one, same, other] = [1, 1, 2].map((seed) => createRequests(corpus, seed));
  const indices = Array.from({ length: 200 }, (_, index) => index);
  expect(indices.map((index) => one?.(index))).toEqual(indices.map((index) => same?.(index)));
  expect(indices.map((index) => one?.(index))).not.toEqual(indices.map((index) => other?.(index)));
});

test.each(servers)('mutated requests break nothing on $kind', async (program) => {
  const directory = join(tmpdir(), 'xmg-fuzz-failures');
  const report = await fuzz(program, { seed: 1, requests: 2000, seconds: 120, directory });
  expect(report.failures).toEqual([]);
  expect(report.requests).toBe(2000);
  expect(report.delivered).toBeGreaterThan(200);
  expect([...report.statuses.keys()]).toEqual(
    expect.arrayContaining([200, 207, 400, 401, 404, 422]),
  );
});
