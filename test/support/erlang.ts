import { spawnSync } from 'node:child_process';

/** As ejabberd's own installer of modules does: with the header files of what they are built on. */
const compile = `
  Applications = [ejabberd, xmpp, p1_xmpp, fast_xml, p1_xml],
  Headers = [{i, filename:join(D, "include")} || A <- Applications, D <- [code:lib_dir(A)], is_list(D)],
  [Source, Directory] = init:get_plain_arguments(),
  case compile:file(Source, [report, debug_info, {outdir, Directory} | Headers]) of
    {ok, _} -> halt(0);
    _ -> halt(1)
  end.`;

/** Compiles an Erlang module for ejabberd into a directory; `libraries` is `ERL_LIBS`. */
export function compileErlang(source: string, directory: string, libraries: string): void {
  const { status, stdout, stderr, error } = spawnSync(
    'erl',
    ['-noinput', '-eval', compile, '-extra', source, directory],
    { encoding: 'utf8', env: { ...process.env, ERL_LIBS: libraries, HOME: directory } },
  );
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${source} does not compile:\n${stdout}${stderr}`);
}
