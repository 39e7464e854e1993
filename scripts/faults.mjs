// Breaks the network and the servers around the gateway, and counts lost messages: test/faults/run.ts
import { installDebianPackages, run, runMain, testPackages } from './install-missing.mjs';

runMain(() => {
  // For ejabberd with a storage that survives crashes, besides its default one.
  installDebianPackages([...testPackages, 'erlang-p1-sqlite3', 'sqlite3']);
  run('node', 'scripts/test-tool.mjs', 'faults', ...process.argv.slice(2));
});
