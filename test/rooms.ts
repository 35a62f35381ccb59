import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Files that have a process of their own: those that start many others, so that they would only hold up their room, and
 * those that look at the process itself, or change it: what loads lowers its thread's priority.
 */
const ALONE = [
  /^test\/(browser|chaos|docker|project)\//,
  /^test\/bench\/gpu-check/,
  /^test\/cli\/(demo|tune|tracing|api-tracing)\.test/,
  /webgpu/,
  /^test\/engine\/(engine|memory|loading\/load)\.test/,
]

/** Test files of one process, in which they run one after the other. */
export interface Room {
  readonly name: string
  readonly files: readonly string[]
}

/** Folders of what models are made of: their fast tests take as long as those of all other folders. */
const MODELS = new Set(['tensor', 'checkpoint', 'graph', 'families', 'runtime', 'engine', 'bench'])

/** The rooms of test files, named by their paths from the root; `isFast` says which of them wait for nothing. */
export function roomsOf(files: readonly string[], isFast: (file: string) => boolean): Room[] {
  const rooms = new Map<string, string[]>()
  for (const file of files) {
    const name = roomOf(file, isFast(file))
    rooms.set(name, [...(rooms.get(name) ?? []), file])
  }
  return [...rooms].map(([name, inRoom]) => ({ name, files: inRoom }))
}

/** Fast files share two rooms, so that two cores are busy; the others of a folder of `test/` have one. */
function roomOf(file: string, isFast: boolean): string {
  const folder = file.split('/')[1]!
  if (isFast) return MODELS.has(folder) ? 'fast-models' : 'fast'
  return ALONE.some((pattern) => pattern.test(file)) ? file : folder
}

/**
 * Writes the module of each room into a folder, and returns their paths. Each file is a suite of its room, so that its
 * hooks are its own, and what it imports was often loaded by those before it.
 */
export function writeRooms(root: string, folder: string, rooms: readonly Room[]): string[] {
  mkdirSync(folder, { recursive: true })
  return rooms.map(({ name, files }) => {
    if (files.length === 1) return join(root, files[0]!)
    const suites = files.map((file) => {
      const url = pathToFileURL(join(root, file)).href
      return `describe(${JSON.stringify(file)}, () => import(${JSON.stringify(url)}))`
    })
    const path = join(folder, `${name}.test.mjs`)
    writeFileSync(path, ["import { describe } from 'node:test'", ...suites, ''].join('\n'))
    return path
  })
}
