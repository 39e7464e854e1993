// Installs what is missing, builds, and runs test/NAME/run.ts: node scripts/test-tool.mjs NAME ARGUMENTS
import {
  installDebianPackages,
  installNpmPackages,
  run,
  runMain,
  testPackages,
} from './install-missing.mjs';

runMain(() => {
  const [name, ...args] = process.argv.slice(2);
  installNpmPackages();
  installDebianPackages(testPackages);
  run('npm', 'run', '--silent', 'build');
  run('node_modules/.bin/tsc', '-p', 'tsconfig.tools.json');
  run('node', `build/${name}/run.js`, ...args);
});
