import { appendFileSync, chmodSync, chownSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkReadable } from '../../../../src/cli/check/readable.ts';
import { createDirectory, removeDirectory } from '../../../support/system/processes.ts';

const nobody = { name: 'nobody', group: 'nogroup', uid: 65_534, gid: 65_534, isOfUnit: false };
/** A group that is the primary one of a single user, as Debian has it; `nogroup` is that of several. */
const daemon = 1;

/** The folder of a service, with a configuration that names files. */
function createFolder(): { folder: string; path: string } {
  const folder = createDirectory('readable');
  onTestFinished(() => removeDirectory(folder));
  chmodSync(folder, 0o755);
  const path = join(folder, 'gateway.yaml');
  writeFileSync(
    path,
    `component: { domain: gateway.example.org, secret_file: component.secret }
domains: [example.org]
c2s: { ca_file: ca.pem }
http: { tls: { cert_file: cert.pem, key_file: "it's.key" } }
`,
    { mode: 0o644 },
  );
  for (const name of ['component.secret', 'ca.pem', 'cert.pem', "it's.key"]) {
    writeFileSync(join(folder, name), '', { mode: 0o644 });
  }
  return { folder, path };
}

test('nothing is said where no service is set up, and where it can read all', async () => {
  const { folder, path } = createFolder();
  expect(await checkReadable(path, undefined)).toEqual([]);
  // Passed on as a credential.
  chmodSync(join(folder, 'component.secret'), 0o600);
  expect(await checkReadable(path, nobody)).toEqual([]);
});

// Only root can ask for another user.
test.each(process.getuid?.() === 0 ? [0, daemon] : [])(
  'a file that only root can read is named, in a folder of group %d',
  async (group) => {
    const { folder, path } = createFolder();
    chownSync(folder, 0, group);
    const key = join(folder, "it's.key");
    for (const file of [path, key]) chmodSync(file, 0o600);
    // For the folder of root, nobody knows which user it is for.
    const found = await (group === 0 ? checkReadable(path, nobody) : checkReadable(path));
    chownSync(folder, 0, nobody.gid);
    expect(await checkReadable(path)).toEqual([]);
    expect(found.map(({ isGood }) => isGood)).toEqual([false, false]);
    expect(found.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^configuration: the user \S+ cannot read /),
      expect.stringMatching(/^http\.tls\.key_file: the user \S+ cannot read /),
    ]);
    expect(found[1]?.advice).toContain(`'${key.replace("'", "'\\''")}' && chmod 640 `);
  },
);

test.each(process.getuid?.() === 0 ? [nobody] : [])(
  'for a file of other programs, it advises a copy for $name',
  async (user) => {
    const { folder, path } = createFolder();
    const shared = createDirectory('shared');
    onTestFinished(() => removeDirectory(shared));
    const file = join(shared, 'example.org.key');
    writeFileSync(file, '', { mode: 0o600 });
    const key = join(folder, "it's.key");
    rmSync(key);
    symlinkSync(file, key);
    const [found, ...others] = await checkReadable(path, user);
    expect(found?.text).toBe(`http.tls.key_file: the user nobody cannot read ${key}`);
    expect(found?.advice).not.toContain('chgrp');
    expect(found?.advice).toContain('install -m 640 -g nogroup ');
    expect(others).toEqual([]);
  },
);

test.each(process.getuid?.() === 0 ? [true, false] : [])(
  'what the unit hides is no file for it, whatever the rights: %j',
  async (isOfUnit) => {
    const { path } = createFolder();
    const file = '/home/alice/invoice.liquid';
    appendFileSync(path, `templates: { invoice: ${file} }\n`);
    const found = (await checkReadable(path, { ...nobody, isOfUnit })).find(({ text }) =>
      text.startsWith('templates.invoice: '),
    );
    expect(found?.text).toBe(
      isOfUnit ? `templates.invoice: the unit hides ${file} from the gateway` : undefined,
    );
  },
);
