import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What makes a test wait for others: processes, threads, sockets, a libp2p node. */
const SLOW = [/^node:(child_process|worker_threads|net|http|https|tls)$/, /^libp2p$/]

/** Static imports and exports from elsewhere that are there when the program runs. */
const IMPORTS = /^(?:import|export)\s(?!type\b)[^'"]*?\bfrom '([^']+)'|^import '([^']+)'/gm

const imports = new Map<string, string[]>()

/** Whether a test file, with all that it imports and that is ours, needs nothing slow: no list to be kept up. */
export function isFast(file: string): boolean {
  const seen = new Set([file])
  for (const each of seen) {
    for (const name of importsOf(each)) {
      if (SLOW.some((pattern) => pattern.test(name))) return false
      const target = join(dirname(each), name)
      // What is not there is a text that a test writes into a file of its own.
      if (name.startsWith('.') && name.endsWith('.ts') && existsSync(target)) seen.add(target)
    }
  }
  return true
}

function importsOf(file: string): string[] {
  const known = imports.get(file)
  if (known !== undefined) return known
  const found = [...readFileSync(file, 'utf8').matchAll(IMPORTS)].map(([, from, alone]) => (from ?? alone)!)
  imports.set(file, found)
  return found
}
