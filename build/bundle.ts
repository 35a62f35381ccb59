import { build } from 'esbuild'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { entriesOf, sourceFiles } from './entries.ts'
import { licensesOf, packagesOf } from './licenses.ts'
import { PAGES, pageAssets, writePages } from './pages.ts'

/**
 * Writes `dist/`: the program and the packages that it uses as a hundred files in place of a thousand, which is most of
 * what a process costs at its start. Each entry loads only chunks of modules that it needs. With
 * `--if-needed`, only where the build that is there is not current.
 */
const { INPUTS, isCurrent, stampOf } = createRequire(import.meta.url)('./current.cjs') as {
  INPUTS: string
  isCurrent(root: string): boolean
  stampOf(root: string, file: string): [bytes: number, changedMs: number]
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(ROOT, 'dist')
const LICENSES = 'third-party-licenses.txt'

/** Declarations, which the compiler writes. */
const TYPES = 'types'

/** Native code, found beside its package. */
const NATIVE = ['koffi', 'onnxruntime-node']

/** CommonJS packages ask for Node's own modules by `require`, which a module does not have. */
const REQUIRE =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);"

/** What a build depends on besides sources; the last one changes with each installation. */
const OTHER_INPUTS = ['package.json', 'package-lock.json', 'node_modules/.package-lock.json']

/** What is read, as it is now, so that a file that changes while a build is made makes it outdated. */
function inputsNow(): Record<string, [bytes: number, changedMs: number]> {
  const own = readdirSync(import.meta.dirname).map((file) => join('build', file))
  const files = [...sourceFiles(ROOT).map((file) => join('src', file)), ...pageAssets(ROOT), ...own, ...OTHER_INPUTS]
  const present = files.filter((file) => existsSync(join(ROOT, file)))
  return Object.fromEntries(present.map((file) => [file, stampOf(ROOT, file)]))
}

/**
 * Files of chunks are named by their content, and those of the build before go last: a process that runs it may still
 * load some. The list of inputs is away meanwhile, so that nothing new starts with half a build.
 */
async function bundle(): Promise<void> {
  const inputs = inputsNow()
  rmSync(join(ROOT, INPUTS), { force: true })
  mkdirSync(DIST, { recursive: true })
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(Object.entries(entriesOf(ROOT)).map(([name, path]) => [name, join('src', path)])),
    outdir: DIST,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    // As Node itself resolves.
    conditions: [],
    mainFields: ['main'],
    external: NATIVE,
    banner: { js: REQUIRE },
    // Errors are told apart by their classes' names.
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  })
  const vendor = (await writePages(DIST)).map((file) => relative(ROOT, file))
  const packages = packagesOf([...Object.keys(metafile.inputs), ...vendor])
  writeFileSync(join(DIST, LICENSES), licensesOf(ROOT, packages))
  const written = Object.keys(metafile.outputs).map((file) => basename(file))
  const kept = new Set([...written, LICENSES, TYPES, PAGES])
  for (const name of readdirSync(DIST)) if (!kept.has(name)) rmSync(join(DIST, name), { recursive: true })
  writeFileSync(join(ROOT, INPUTS), JSON.stringify(inputs))
}

if (!process.argv.includes('--if-needed') || !isCurrent(ROOT)) await bundle()
