import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PageFiles } from '../src/api/pages/page-files.ts'
import { VENDOR_FILES, installedFile } from '../src/api/pages/vendor-files.ts'

/** The folder of the web pages in a build. */
export const PAGES = 'pages'

/** Files of the pages that are no modules, relative to `root`. */
export function pageAssets(root: string): string[] {
  return globSync('src/api/pages/browser/**/*.{css,svg}', { cwd: root }).toSorted()
}

/** Writes what pages load as browsers get it. Gives the files of others that are among it. */
export async function writePages(dist: string): Promise<string[]> {
  rmSync(join(dist, PAGES), { recursive: true, force: true })
  const files = new PageFiles()
  for (const path of files.paths.filter((each) => each.startsWith(`/${PAGES}/`))) {
    const target = join(dist, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, (await files.get(path))!.body)
  }
  return VENDOR_FILES.map(installedFile)
}
