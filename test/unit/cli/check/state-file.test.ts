import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkStateFile } from '../../../../src/cli/check/state-file.ts';
import { createDirectory, removeDirectory } from '../../../support/system/processes.ts';

const isRoot = process.getuid?.() === 0;
const nobody = { name: 'nobody', group: 'nogroup', uid: 65_534, gid: 65_534, isOfUnit: false };

/** A folder for the configuration and the grants. */
function createFolder(mode: number): string {
  const folder = createDirectory('state-file');
  onTestFinished(() => removeDirectory(folder));
  chmodSync(folder, mode);
  return folder;
}

function check(folder: string, stateFile: string | undefined) {
  return checkStateFile(stateFile, join(folder, 'gateway.yaml'), isRoot ? nobody : undefined);
}

test('nothing is said without a state file, and where the folder can be written', async () => {
  const folder = createFolder(0o777);
  expect(await check(folder, undefined)).toEqual([]);
  expect(await check(folder, join(folder, 'grants.json'))).toEqual([]);
});

test('a folder that does not exist is named, with the command that creates it', async () => {
  const folder = createFolder(0o777);
  expect(await check(folder, join(folder, 'none/grants.json'))).toEqual([
    {
      isGood: false,
      text: `permissions.state_file: its folder ${folder}/none does not exist`,
      advice: `Create it: mkdir -p ${folder}/none`,
    },
  ]);
});

test('a folder that the gateway cannot write is named, with the user', async () => {
  const folder = createFolder(0o555);
  const [found] = await check(folder, join(folder, 'grants.json'));
  const user = isRoot ? 'nobody' : process.getuid?.();
  expect(found).toMatchObject({
    isGood: false,
    text: `permissions.state_file: its folder ${folder} cannot be written by the user ${user}`,
  });
});
