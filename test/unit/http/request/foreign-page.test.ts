import { describe, expect, it } from 'vitest';
import { refuseForeignPage } from '../../../../src/http/request/foreign-page.ts';

describe('refuseForeignPage', () => {
  const host = 'gateway.example.org:8080';
  it.each([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
    { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'http://gateway.example.org' },
    { origin: 'https://gateway.example.org:8081' },
    { origin: 'file://' },
    { origin: `http://${host}.evil.example` },
    { origin: `http://${host}`, host: '' },
  ])('refuses forms and text with %o', (headers) => {
    for (const notation of ['form', 'text'] as const) {
      expect(() => refuseForeignPage({ host, ...headers }, notation)).toThrow(
        expect.objectContaining({ code: 'cross-origin' }),
      );
    }
    for (const notation of ['json', 'xml'] as const) {
      refuseForeignPage({ host, ...headers }, notation);
    }
  });

  it.each([
    {},
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'same-origin' },
    { origin: `http://${host}` },
    { origin: `https://${host}` },
    { origin: 'https://gateway.example.org', host: 'GATEWAY.example.org' },
    { origin: 'https://gateway.example.org', host: 'gateway.example.org:443' },
    { origin: 'https://[::1]:8080', host: '[::1]:8080' },
  ])('passes %o', (headers) => {
    for (const notation of ['form', 'text'] as const) {
      refuseForeignPage({ host, ...headers }, notation);
    }
  });
});
