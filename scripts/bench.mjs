// Measures the gateway, the server alone and other ways to send (bench/run.mjs); with --scale several
// gateways (bench/scale.mjs), with --cluster a cluster of ejabberd (bench/cluster.mjs).
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
  const args = process.argv.slice(2);
  const named = ['scale', 'cluster'].find((name) => args.includes(`--${name}`)) ?? 'run';
  run('node', `bench/${named}.mjs`, ...args.filter((arg) => arg !== `--${named}`));
});
