#!/usr/bin/env node
// Nothing is imported before the version is known to suffice: what older versions of Node.js lack would
// end them with a stack trace.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `xmpp-message-gateway needs Node.js 20.19 or newer, and this is ${process.versions.node}: README.md says where to get it.\n`,
  );
  process.exitCode = 1;
} else {
  const { runProgram } = await import('./program.ts');
  process.exitCode = await runProgram(
    process.argv.slice(2),
    new URL('../package.json', import.meta.url),
  );
}
