// What the gateway costs, beside the server's own ceiling and other ways to send: bench/run.mjs
import {
  installDebianPackages,
  installNpmPackages,
  run,
  runMain,
  testPackages,
} from './install-missing.mjs';

runMain(() => {
  installNpmPackages();
  installDebianPackages(testPackages);
  run('npm', 'run', '--silent', 'build');
  run('node_modules/.bin/tsc', '-p', 'tsconfig.tools.json');
  run('node', 'bench/run.mjs', ...process.argv.slice(2));
});
