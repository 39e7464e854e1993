import { expect, test } from 'vitest';
import { isRedisUrl } from '../../../src/config/redis-url.ts';

test.each([
  'redis://127.0.0.1:6379',
  'redis://127.0.0.1:6379/',
  'redis://127.0.0.1:6379/15',
  'redis://localhost',
  'redis://[::1]:6379/0',
  'redis://:pass%40word@redis.example:6379',
  'redis://gateway:password@redis.example:6379/1',
])('%s', (url) => {
  expect(isRedisUrl(url)).toBe(true);
});

test.each([
  '',
  'redis',
  'redis://',
  'rediss://127.0.0.1:6379',
  'http://127.0.0.1:6379',
  'redis://127.0.0.1:0',
  'redis://127.0.0.1:65536',
  'redis://127.0.0.1:6379/first',
  'redis://127.0.0.1:6379?db=1',
  'redis://127.0.0.1:6379/0 ',
  'redis://[::g]:6379',
  'redis://user@127.0.0.1:6379',
  'redis://:%zz@127.0.0.1:6379',
  'redis://:pass/word@127.0.0.1:6379',
])('not %j', (url) => {
  expect(isRedisUrl(url)).toBe(false);
});
