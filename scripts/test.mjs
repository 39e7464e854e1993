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
  run('node_modules/.bin/vitest', 'run', ...process.argv.slice(2));
});
