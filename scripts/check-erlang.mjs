// Compiles the Erlang files against Debian's ejabberd, with warnings as errors, and keeps nothing.
// With --dialyzer it also checks the types, which takes some minutes.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectDirectory, runMain } from './install-missing.mjs';

const sources = [
  'ejabberd/mod_message_gateway/src',
  'test/support/servers/ejabberd-modules',
].flatMap((folder) =>
  readdirSync(join(projectDirectory, folder)).map((name) => join(folder, name)),
);

const compile = `
  [Directory | Sources] = init:get_plain_arguments(),
  Applications = [ejabberd, xmpp, p1_xmpp, fast_xml, p1_xml],
  Headers = [{i, filename:join(D, "include")} || A <- Applications, D <- [code:lib_dir(A)], is_list(D)],
  Warnings = [warn_export_all, warn_export_vars, warn_obsolete_guard, warn_shadow_vars,
              warn_unused_import, warn_untyped_record],
  Options = [report, warnings_as_errors, debug_info, {outdir, Directory}] ++ Warnings ++ Headers,
  Failed = [S || S <- Sources, compile:file(S, Options) == error],
  halt(length(Failed)).`;

/** The Erlang library directory in which Debian has ejabberd-VERSION. */
function findLibraries() {
  const found = readdirSync('/usr/lib', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join('/usr/lib', name))
    .find((path) => readdirSync(path).some((name) => /^ejabberd-\d/.test(name)));
  if (found === undefined)
    throw new Error('expected ejabberd below /usr/lib: apt-get install ejabberd');
  return found;
}

function run(directory, file, args) {
  const { status, error } = spawnSync(file, args, {
    cwd: projectDirectory,
    env: { ...process.env, ERL_LIBS: findLibraries(), HOME: directory },
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  return status;
}

/** The modules of ejabberd and its libraries that ours calls. */
const called =
  'acl econf ejabberd_auth ejabberd_c2s ejabberd_cluster ejabberd_hooks ejabberd_mnesia ejabberd_option ejabberd_router ejabberd_service ejabberd_sm gen_mod jid misc mod_muc p1_fsm xmpp';

function findBeam(name) {
  const program = `io:format("~ts", [code:which(${name})]), halt().`;
  const env = { ...process.env, ERL_LIBS: findLibraries() };
  const { stdout } = spawnSync('erl', ['-noinput', '-eval', program], { env, encoding: 'utf8' });
  return stdout;
}

// Building the table ends with 2 if there are warnings. There are some, in modules that are not ours.
function dialyze(directory) {
  const plt = join(directory, 'plt');
  const applications = ['erts', 'kernel', 'stdlib', 'mnesia'];
  const build = ['--build_plt', '--output_plt', plt, '--apps', ...applications];
  if (run(directory, 'dialyzer', [...build, '-c', ...called.split(' ').map(findBeam)]) === 1) {
    throw new Error('dialyzer failed');
  }
  const flags = ['-Wunmatched_returns', '-Werror_handling'];
  const beam = join(directory, 'mod_message_gateway.beam');
  return run(directory, 'dialyzer', ['--plt', plt, ...flags, beam]);
}

runMain(() => {
  const directory = mkdtempSync(join(tmpdir(), 'xmg-erlang-'));
  try {
    const program = ['-noinput', '-eval', compile, '-extra', directory, ...sources];
    const failed = run(directory, 'erl', program);
    if (failed !== 0) throw new Error('Erlang files do not compile without warnings');
    if (process.argv.includes('--dialyzer') && dialyze(directory) !== 0) {
      throw new Error('dialyzer has warnings');
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
