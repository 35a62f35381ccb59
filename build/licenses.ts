import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** The packages that files belong to, as folders relative to the root: `node_modules/libp2p`, each once, in order. */
export function packagesOf(files: readonly string[]): string[] {
  const folders = files.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  return [...new Set(folders.filter((folder) => folder !== undefined))].toSorted()
}

/** The licences of the packages whose code a build holds, as they ask for with each copy. */
export function licensesOf(root: string, packages: readonly string[]): string {
  return packages.map((folder) => licenseOf(join(root, folder))).join(`\n${'-'.repeat(80)}\n\n`)
}

function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
  }
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
  return [`${name} ${version} (${license ?? 'licence in its text'})\n`, ...texts].join('\n')
}
