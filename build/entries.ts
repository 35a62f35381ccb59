import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** What others import or run: the path of each under `src/`, by its name in a build. */
const ENTRIES = { index: 'index.ts', client: 'client/index.ts', main: 'cli/main.ts' }

/** A module that code starts as a thread or a process of its own: see `src/base/module-url.ts`. */
const STARTED = /(?:startWorker|moduleUrl)\(\s*import\.meta\.url,\s*'([^']+)'/g

/** All TypeScript files under `root`'s sources, relative to them. */
export function sourceFiles(root: string): string[] {
  return globSync('**/*.ts', { cwd: join(root, 'src') }).toSorted()
}

/**
 * The files that are loaded by a name and so keep theirs in a build, which is one folder: paths under `src/` by their
 * name there. Throws if two would have the same name.
 */
export function entriesOf(root: string): Record<string, string> {
  const entries: Record<string, string> = { ...ENTRIES }
  for (const file of sourceFiles(root)) {
    for (const [, started] of readFileSync(join(root, 'src', file), 'utf8').matchAll(STARTED)) {
      const path = join(dirname(file), `${started}.ts`)
      const name = basename(started!)
      if ((entries[name] ??= path) !== path) throw new Error(`${entries[name]} and ${path} would both be ${name}.js`)
    }
  }
  return entries
}
