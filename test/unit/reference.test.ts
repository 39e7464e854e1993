import { describe, expect, it } from 'vitest';
import { buildOpenApi } from '../../scripts/openapi/document.ts';
import { parameters } from '../../scripts/openapi/parameters.ts';
import { buildReference } from '../../scripts/openapi/reference.ts';
import { schemas } from '../../scripts/openapi/schemas.ts';
import { problems } from '../../src/core/errors.ts';

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
    expect(html).toContain('/api/1.0/xmppdomains/<var>&lt;fqdn&gt;</var>/gateway/messages</code>');
    for (const path of ['/readyz', '/openapi.json']) expect(html).toContain(`<code>${path}</code>`);
    for (const [, target = ''] of html.matchAll(/href="([^"]*)"/g)) {
      expect(target).toMatch(/^problems\/[a-z-]+$/);
    }
  });

  it('is HTML without gaps', () => {
    expect(html).not.toMatch(/undefined(?!-condition)|\[object|`/);
    expect(html.match(/<dl>/g)?.length).toBe(html.match(/<\/dl>/g)?.length);
  });
});
