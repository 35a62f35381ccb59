import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

/** For each file, the files that it imports: statically, on demand, or only their types. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>

/** The graph of all TypeScript files below `folder`, by their paths relative to it. */
export async function readImports(folder: string): Promise<ImportGraph> {
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.ts'))
  return new Map(await Promise.all(files.map(async (file) => [file, await importsOf(folder, file)] as const)))
}

async function importsOf(folder: string, file: string): Promise<string[]> {
  const text = await readFile(join(folder, file), 'utf8')
  const found = text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'(\.[^']+)'/g)
  return [...found].map(([, target]) => relative(folder, join(folder, dirname(file), target!)))
}

/**
 * The circles of a graph: each largest set of files all of which reach one another, in alphabetic order (Tarjan,
 * "Depth-first search and linear graph algorithms"). A file that imports itself is one, too.
 */
export function circlesOf(graph: ImportGraph): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: string[] = []
  const circles: string[][] = []
  const visit = (file: string): void => {
    order.set(file, order.size)
    lowest.set(file, order.get(file)!)
    open.push(file)
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) visit(target)
      if (open.includes(target)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!))
    }
    if (lowest.get(file) !== order.get(file)) return
    const circle = open.splice(open.indexOf(file))
    if (circle.length > 1 || graph.get(file)?.includes(file)) circles.push(circle.sort())
  }
  for (const file of graph.keys()) if (!order.has(file)) visit(file)
  return circles.sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
}
