import { readFileSync } from 'node:fs'
import { PACKAGE_ROOT } from './package-root.ts'

/** The package's version, as its package.json says. */
export const VERSION: string = readVersion()

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', PACKAGE_ROOT), 'utf8')) as {
    version: string
  }
  return version
}
