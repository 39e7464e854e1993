import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { buildOpenApi } from '../../scripts/openapi/document.ts';
import { parameters } from '../../scripts/openapi/parameters.ts';
import { buildReference } from '../../scripts/openapi/reference.ts';
import { schemas } from '../../scripts/openapi/schemas.ts';
import { problems } from '../../src/core/errors.ts';
import { explainConditions } from '../../src/core/message/stanza-error.ts';

const html = buildReference(JSON.parse(JSON.stringify(buildOpenApi())));

function propertiesOf(name: string): string[] {
  const { properties = {} }: { properties?: object } = schemas[name] ?? {};
  return Object.keys(properties);
}

describe('the reference of the page', () => {
  it('has every field, parameter and problem', () => {
    const query = Object.values(parameters).filter((one) => one.in !== 'path');
    const names = [
      ...['Message', 'Receipt', 'Problem'].flatMap(propertiesOf),
      ...query.map(({ name }) => name),
      ...Object.keys(problems),
    ];
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) expect(html).toContain(`<code>${name}</code>`);
  });

  it('has every URL, and no link that is not relative', () => {
    const text = html.replaceAll('<wbr>', '');
    expect(text).toContain('/api/1.0/xmppdomains/<var>&lt;fqdn&gt;</var>/gateway/messages</code>');
    for (const path of ['/readyz', '/openapi.json']) expect(html).toContain(`<code>${path}</code>`);
    for (const [, target = ''] of html.matchAll(/href="([^"]*)"/g)) {
      expect(target).toMatch(/^(?:#|openapi\.json$)/);
    }
  });

  it('leads to places that the page has once', () => {
    const template = fileURLToPath(new URL('../../docs-page/page.html', import.meta.url));
    const page = readFileSync(template, 'utf8') + html;
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) expect(ids).toContain(target);
    for (const code of Object.keys(problems)) expect(ids).toContain(code);
  });

  it('explains each problem, and every condition of a bounce', () => {
    const escape = (text: string): string =>
      text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    for (const { causes } of Object.values(problems)) {
      expect(html.replaceAll(/<\/?code>/g, '')).toContain(escape(causes).replaceAll('`', ''));
    }
    for (const line of explainConditions().split('\n')) {
      expect(html).toContain(`<li><code>${escape(line).replace(' (', '</code> (')}</li>`);
    }
    expect(html).toMatch(/id="bounced".*Send it again: it depends<.*id="internal"/s);
    for (const badge of ['no', 'safe', 'later', 'may duplicate']) {
      expect(html).toContain(`Send it again: ${badge}<`);
    }
  });

  it('is HTML without gaps', () => {
    expect(html).not.toMatch(/undefined(?!-condition)|\[object|`/);
    expect(html.match(/<dl>/g)?.length).toBe(html.match(/<\/dl>/g)?.length);
  });
});
