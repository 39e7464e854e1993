// Runs the tests on other versions of the servers: node scripts/test-servers.mjs SUITE [ARGUMENTS]
import { delimiter, join } from 'node:path';
import {
  installDebianPackages,
  installNpmPackages,
  run,
  runMain,
  testPackages,
} from './install-missing.mjs';
import { obtainServers, suites } from './server-sets.mjs';

runMain(() => {
  const [suite, ...args] = process.argv.slice(2);
  if (!suites.includes(suite)) {
    throw new Error(
      `Usage: npm run test:servers -- ${suites.join(' | ')} [ARGUMENTS]\n` +
        'ARGUMENTS go to vitest, such as test files. Without any, all integration tests run, then npm run compare.',
    );
  }
  installNpmPackages();
  installDebianPackages(testPackages);
  const servers = obtainServers(suite);
  process.env.PATH = `${join(servers, 'bin')}${delimiter}${process.env.PATH}`;
  run('npm', 'run', '--silent', 'build');
  run('node_modules/.bin/vitest', 'run', ...(args.length === 0 ? ['test/integration'] : args));
  if (args.length === 0) run('node', 'scripts/test-tool.mjs', 'compare');
});
