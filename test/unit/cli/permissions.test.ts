import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { grantCommand, permissionsCommand, revokeCommand } from '../../../src/cli/permissions.ts';
import { run } from './run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xmg-permissions-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes a configuration with these permissions; returns its name. */
function configure(...granted: string[]): string {
  const file = join(folder, 'gateway.yaml');
  writeFileSync(
    file,
    `component: {domain: gateway.example.org, secret: secret}
domains: [example.org]
permissions: {xmppgateway: ${JSON.stringify(granted)}, state_file: grants.json}
`,
    { mode: 0o600 },
  );
  return file;
}

const bob = 'bob@example.org';
const everybody = '*@example.org';
const revoked = `the grant for ${bob} has been revoked`;
const none = `there is no grant for ${bob}`;

test.each(['bob', 'bob@example.net', 'bob@example.org/phone'])(
  'a grant for %s is wrong usage',
  async (who) => {
    await expect(run(grantCommand, [who, '--config', configure()])).rejects.toThrow(
      expect.objectContaining({
        name: 'UsageError',
        message: `expected a bare JID or *@domain in one of the domains (example.org), got "${who}"`,
      }),
    );
  },
);

describe('revoke', () => {
  test.each([
    [[bob], revoked],
    [[], none],
  ])('with grants for %j: %s', async (granted, said) => {
    const file = configure();
    for (const who of granted) await run(grantCommand, [who, '--config', file]);
    const { code, out } = await run(revokeCommand, [bob, '--config', file]);
    expect([code, out]).toEqual([0, `${said}\n`]);
  });

  test.each([
    [[bob, everybody], revoked],
    [[everybody], none],
  ])('with grants for %j, it says that the user still may send', async (granted, said) => {
    const file = configure();
    for (const who of granted) await run(grantCommand, [who, '--config', file]);
    await expect(run(revokeCommand, [bob, '--config', file])).rejects.toThrow(
      `${said}, but ${bob} still may send through ${everybody}, which is granted in permissions.state_file`,
    );
    const { out } = await run(permissionsCommand, ['--config', file]);
    expect(out).toBe(`${everybody}\tstate file\n`);
  });

  test('so it does where the configuration grants that', async () => {
    const file = configure(everybody);
    await run(grantCommand, [bob, '--config', file]);
    await expect(run(revokeCommand, [bob, '--config', file])).rejects.toThrow(
      `${revoked}, but ${bob} still may send through ${everybody}, which is granted in ${file}`,
    );
  });

  test.each([bob, everybody])(
    'nor does the grant of %s outlive the one in the configuration',
    async (who) => {
      const file = configure(who);
      await run(grantCommand, [who, '--config', file]);
      const refusal = `${who} is granted in ${file}, under permissions.xmppgateway: revoke it there`;
      const revoke = () => run(revokeCommand, [who, '--config', file]);
      await expect(revoke()).rejects.toThrow(
        `the grant for ${who} has been revoked, but ${refusal}`,
      );
      const { out } = await run(permissionsCommand, ['--config', file]);
      expect(out).toBe(`${who}\tconfiguration\n`);
      await expect(revoke()).rejects.toThrow(new Error(refusal));
    },
  );

  test('a grant for everybody is revoked as any other', async () => {
    const file = configure();
    await run(grantCommand, [everybody, '--config', file]);
    expect(await run(revokeCommand, [everybody, '--config', file])).toMatchObject({ code: 0 });
  });
});
