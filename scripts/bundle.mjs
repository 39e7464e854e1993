// Bundles src, its templates and the packages that it needs into dist/: a few files load faster than 600 small ones.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'rolldown';

const { packages: installed } = JSON.parse(readFileSync('package-lock.json', 'utf8'));

/** The key in package-lock.json of the package that a module belongs to; undefined for our own. */
function packageOf(module) {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(relative('.', module))?.[0];
}

/** `debug@4.4.3` */
function nameOf(key) {
  return `${key.replace(/^.*node_modules\//, '')}@${installed[key].version}`;
}

/** npm installs some packages in several places in the same version; the bundle has each once. */
const placeOf = new Map(
  Object.keys(installed)
    .filter((key) => key !== '')
    .toReversed()
    .map((key) => [nameOf(key), key]),
);

const resolvePackages = {
  name: 'resolve-packages',
  resolveId: {
    filter: { id: /^[^./]/ },
    async handler(id, importer, options) {
      const found = await this.resolve(id, importer, { ...options, skipSelf: true });
      const key = found && packageOf(found.id);
      if (!key) return found;
      return { ...found, id: found.id.replace(key, placeOf.get(nameOf(key))) };
    },
  },
};

function describeLicence(key) {
  const { license } = installed[key];
  const files = readdirSync(key).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  const texts = files.toSorted().map((file) => readFileSync(join(key, file), 'utf8').trim());
  const { author, repository } = JSON.parse(readFileSync(join(key, 'package.json'), 'utf8'));
  const origin = [author?.name ?? author, repository?.url ?? repository].filter(Boolean);
  const body = texts.length > 0 ? texts : [`There is no licence text in it. ${origin.join(', ')}`];
  return [`${nameOf(key)}: ${license}`, ...body].join('\n\n');
}

const listLicences = {
  name: 'list-licences',
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap(({ moduleIds }) => moduleIds ?? []);
    const keys = [...new Set(modules.map(packageOf))].filter((key) => key !== undefined);
    const source = `Packages that are part of these files, and their licences.\n\n${keys
      .toSorted()
      .map(describeLicence)
      .join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source });
  },
};

const copyTemplates = {
  name: 'copy-templates',
  generateBundle() {
    const folder = 'src/templates/built-in';
    for (const name of readdirSync(folder)) {
      const source = readFileSync(join(folder, name), 'utf8');
      this.emitFile({ type: 'asset', fileName: `templates/${name}`, source });
    }
  },
};

/** A chunk that consists of one package (because it is loaded on demand) is named after it. */
function nameChunk({ moduleIds }) {
  const keys = new Set(moduleIds.map(packageOf));
  const [key] = keys;
  if (keys.size !== 1 || key === undefined) return '[name].js';
  return `${key.replace(/^node_modules\/@?/, '').replace('/', '-')}.js`;
}

await build({
  input: 'src/main.ts',
  platform: 'node',
  transform: { target: 'node20.19' },
  resolve: { symlinks: false },
  // `debug` does without it; it is only there as a part of development tools.
  external: ['supports-color'],
  plugins: [resolvePackages, listLicences, copyTemplates],
  // `depd`, which http-assert uses, calls eval.
  checks: { eval: false },
  onLog: (_, { message }) => {
    throw new Error(message);
  },
  output: {
    dir: 'dist',
    format: 'esm',
    cleanDir: true,
    keepNames: true,
    entryFileNames: '[name].js',
    chunkFileNames: nameChunk,
  },
});
