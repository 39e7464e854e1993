import { expect } from 'vitest';
import type { HttpAnswer } from '../clients/http.ts';
import type { DescribedOperation } from './openapi.ts';

const perHop = new Set(['connection', 'content-length', 'content-type', 'date', 'keep-alive']);

/** Fails unless status, headers, media type and body are those of the example. */
export function expectAsDescribed(
  answer: HttpAnswer,
  operation: DescribedOperation,
  name: string,
): void {
  const response = operation.responses.find(({ status }) => status === answer.status);
  const { headers = {}, content = {} } = response ?? {};
  const type = answer.headers['content-type']?.replace(/;.*/, '') ?? '';
  const { examples = {}, example } = content[type] ?? {};
  const expected = name === '' ? example : examples[name]?.value;
  expect(expected, `${answer.status} ${type}: ${answer.body}`).toBeDefined();
  expect(mask(answer.body)).toEqual(mask(expected));
  const sent = Object.keys(answer.headers).filter((header) => !perHop.has(header));
  expect(sent.filter((header) => !(header in headers))).toEqual([]);
  const required = Object.keys(headers).filter((header) => headers[header]?.required);
  expect(required.filter((header) => !sent.includes(header))).toEqual([]);
}

/** The value without what differs between requests or machines. */
export function mask(value: unknown): unknown {
  const text = (typeof value === 'string' ? value : JSON.stringify(value))
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/\b\d+ (m?s)\b/g, '<time> $1')
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>');
  return text.startsWith('{') ? JSON.parse(text) : text;
}
