import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { freePort } from '../system/ports.ts';
import { type Child, runChild, runToSuccess, startChild } from '../system/processes.ts';
import { waitUntil } from '../system/wait.ts';
import type { ErlangNode } from './xmpp-server.ts';

/** Compiler options like those of ejabberd's own installer: the header files of its libraries. */
const compile = `
  Applications = [ejabberd, xmpp, p1_xmpp, fast_xml, p1_xml],
  Headers = [{i, filename:join(D, "include")} || A <- Applications, D <- [code:lib_dir(A)], is_list(D)],
  [Source, Directory] = init:get_plain_arguments(),
  case compile:file(Source, [report, debug_info, {outdir, Directory} | Headers]) of
    {ok, _} -> halt(0);
    _ -> halt(1)
  end.`;

/** The object code of what this process has compiled, because the compiler takes a second. */
const compiled = new Map<string, Buffer>();

/** Compiles an Erlang module for ejabberd into a directory; `libraries` is `ERL_LIBS`. */
export function compileErlang(source: string, directory: string, libraries: string): void {
  const key = `${libraries}\n${readFileSync(source, 'utf8')}`;
  const beamFile = join(directory, `${basename(source, '.erl')}.beam`);
  const known = compiled.get(key);
  if (known !== undefined) {
    writeFileSync(beamFile, known);
    return;
  }
  const { status, stdout, stderr, error } = spawnSync(
    'erl',
    ['-noinput', '-eval', compile, '-extra', source, directory],
    { encoding: 'utf8', env: { ...process.env, ERL_LIBS: libraries, HOME: directory } },
  );
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${source} does not compile:\n${stdout}${stderr}`);
  compiled.set(key, readFileSync(beamFile));
}

/** Options of `erl`. A node without a name is not distributed and needs no port mapper or cookie. */
export function nodeArguments(node: ErlangNode | undefined): string[] {
  if (node === undefined) return [];
  const loopback = ['-kernel', 'inet_dist_use_interface', '{127,0,0,1}'];
  return ['-name', node.name, '-setcookie', node.cookie, '-start_epmd', 'false', ...loopback];
}

export function nodeEnvironment(node: ErlangNode | undefined): NodeJS.ProcessEnv {
  return node === undefined ? {} : { ERL_EPMD_PORT: String(node.epmdPort) };
}

/** Starts a port mapper of Erlang nodes on loopback. */
export async function startPortMapper(): Promise<{ readonly port: number; readonly child: Child }> {
  const port = await freePort();
  const address = ['-port', String(port), '-address', '127.0.0.1'];
  const child = await startChild({ file: 'epmd', args: [...address, '-relaxed_command_check'] });
  const names = { file: 'epmd', args: ['-port', String(port), '-names'] };
  await waitUntil(async () => (await runChild(names)).code === 0, { label: 'the port mapper' });
  return { port, child };
}

/** Evaluates an expression on a node; it must not return `{error, _}` or fail. */
export async function evaluateOn(node: ErlangNode, expression: string): Promise<void> {
  const evaluate = `
    {ok, Tokens, _} = erl_scan:string(${JSON.stringify(`${expression}.`)}),
    {ok, Parsed} = erl_parse:parse_exprs(Tokens),
    case rpc:call('${node.name}', erl_eval, exprs, [Parsed, []]) of
      {value, {error, _} = E, _} -> io:format(standard_error, "~p~n", [E]), halt(1);
      {value, _, _} -> halt(0);
      E -> io:format(standard_error, "~p~n", [E]), halt(1)
    end.`;
  const caller = { ...node, name: `caller-${process.pid}-${Date.now()}@127.0.0.1` };
  await runToSuccess({
    file: 'erl',
    args: ['-noinput', ...nodeArguments(caller), '-eval', evaluate],
    env: nodeEnvironment(caller),
  });
}
