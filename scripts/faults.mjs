// Breaks the network and the servers around the gateway, and counts what is lost: test/faults/run.ts
import { installDebianPackages, run, runMain, testPackages } from './install-missing.mjs';

runMain(() => {
  // ejabberd is tried with its default storage and with one that survives crashes.
  installDebianPackages([...testPackages, 'erlang-p1-sqlite3', 'sqlite3']);
  run('node', 'scripts/test-tool.mjs', 'faults', ...process.argv.slice(2));
});
