import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { describe, expect, it } from 'vitest';
import { buildOpenApi } from '../../scripts/openapi/document.ts';
import { defaultLimits } from '../../src/config/config.ts';
import { problems } from '../../src/core/errors.ts';
import { bounceStatuses } from '../../src/core/message/stanza-error.ts';
import { createOpenApi, docsFiles } from '../../src/http/routes/docs.ts';
import { send } from '../support/clients/http.ts';
import { codesOf, examplesOf, openApiFile, readOperations } from '../support/gateway/openapi.ts';

import { apiPath, goodHeaders, limits, startTestGateway, userPath } from './http/test-gateway.ts';

function build(own: Readonly<Record<string, number>>, hasDocs: boolean): unknown {
  const { bytes } = createOpenApi(JSON.stringify(buildOpenApi()), own, hasDocs);
  return JSON.parse(bytes.toString());
}

const file = readFileSync(openApiFile, 'utf8');
const operations = readOperations();
const docs = new Map(
  Object.entries(docsFiles).map(([name, contentType]) => [
    name,
    { contentType, bytes: Buffer.from(name), etag: `"${name}"` },
  ]),
);

describe('openapi.json', () => {
  it('is what a gateway with the default limits serves; else: npm run openapi', () => {
    expect(file).toBe(`${JSON.stringify(build(defaultLimits, true), null, 2)}\n`);
  });

  it('is a valid document, its examples fitting its schemas', async () => {
    const config = await createConfig({ extends: ['recommended-strict'] });
    const found = await lintFromString({ source: file, absoluteRef: openApiFile, config });
    expect(found.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
  });

  it('would not be with an example that does not fit', async () => {
    const config = await createConfig({ extends: ['recommended-strict'] });
    const source = file.replace('"body": "Disk 93 % full"', '"text": "Disk 93 % full"');
    const found = await lintFromString({ source, absoluteRef: openApiFile, config });
    expect(found.map(({ ruleId }) => ruleId)).toEqual(['no-invalid-media-type-examples']);
  });
});

describe('a gateway', () => {
  it('serves it with its own limits', async () => {
    const openApi = createOpenApi(JSON.stringify(buildOpenApi()), limits, false);
    const { port } = await startTestGateway({ openApi });
    const { body, headers } = await send(port, { path: '/openapi.json' });
    expect(headers['content-type']).toBe('application/json');
    expect(body).toContain('at most 10000 bytes');
    expect(body).toContain('may have 5000 bytes');
    expect(body).toContain('nested to 8 levels');
    expect(body).toContain('"maxProperties":8');
    expect(body).not.toMatch(/\{\{|undefined(?!-condition)/);
  });

  it('without the page serves a document that is valid without it', async () => {
    const config = await createConfig({ extends: ['recommended-strict'] });
    const source = JSON.stringify(build(limits, false));
    const found = await lintFromString({ source, absoluteRef: openApiFile, config });
    expect(found.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
    expect(source).not.toContain('"/docs');
  });
});

describe('the problems', () => {
  const described = operations.flatMap(({ responses }) =>
    responses.flatMap((response) => codesOf(response).map((code) => `${code} ${response.status}`)),
  );
  const real = Object.entries(problems).flatMap(([code, { status }]) =>
    (code === 'bounced' ? bounceStatuses : [status]).map((each) => `${code} ${each}`),
  );

  it('are all there, with their statuses, and no others', () => {
    expect([...new Set(described)].toSorted()).toEqual(real.toSorted());
  });

  it('have an example each', () => {
    const shown = operations.flatMap(({ responses }) =>
      responses.flatMap(examplesOf).map(([, name]) => name),
    );
    expect(Object.keys(problems).filter((code) => !shown.includes(code))).toEqual([]);
  });

  it('look like their examples, even that of a bug', async () => {
    const { port } = await startTestGateway({ deliver: () => Promise.reject(new Error('a bug')) });
    const body = '{"to": "nurse@host.example"}';
    const answer = await send(port, { method: 'POST', path: apiPath, headers: goodHeaders, body });
    const response = operations[0]?.responses.find(({ status }) => status === 500);
    const [[, , example] = []] = response === undefined ? [] : examplesOf(response);
    expect({ ...JSON.parse(answer.body), instance: '' }).toEqual({
      ...(example as object),
      instance: '',
    });
  });
});

/** The paths that the router has. */
async function readRoutes(hasDocs: boolean): Promise<RegExp[]> {
  const { middleware } = await startTestGateway(hasDocs ? { docs } : {});
  return middleware.flatMap((handler) => {
    if (!('router' in handler)) return [];
    const { stack } = handler.router as { stack: readonly { readonly path: RegExp }[] };
    return stack.map(({ path }) => path);
  });
}

describe('the routes', () => {
  it.each([true, false])('are those of the router (docs: %s)', async (hasDocs) => {
    const routes = await readRoutes(hasDocs);
    const described = readOperations(build(limits, hasDocs)).map(({ path }) => path);
    expect(described).toContain(userPath);
    expect(described.filter((path) => !routes.some((route) => route.test(path)))).toEqual([]);
    expect(routes.filter((route) => !described.some((path) => route.test(path)))).toEqual([]);
    expect(described.includes('/docs')).toBe(hasDocs);
  });

  it('have the methods that are described, and no others', async () => {
    const { port } = await startTestGateway({ docs });
    const paths = new Set(operations.map(({ path }) => path));
    expect(paths.size).toBe(9);
    for (const path of paths) {
      const described = operations.filter((one) => one.path === path).map(({ method }) => method);
      for (const method of http.METHODS.filter((name) => name !== 'CONNECT')) {
        const { status, headers } = await send(port, { method, path });
        if (described.includes(method)) expect([200, 401]).toContain(status);
        else expect([path, status, headers['allow']]).toEqual([path, 405, described.join(', ')]);
      }
    }
  });
});
