import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

const readJson = async <T>(name: string): Promise<T> =>
  JSON.parse(await readFile(new URL(`../../${name}`, import.meta.url), 'utf8')) as T

/** Its postinstall downloads a CUDA provider from outside the npm registry, and fails where that is not reached. */
const DOWNLOADER = 'onnxruntime-node'

test("installing runs all packages' scripts but the one that downloads, in every version of npm", async () => {
  const { packages } = await readJson<{ packages: Record<string, { hasInstallScript?: boolean }> }>('package-lock.json')
  const { allowScripts } = await readJson<{ allowScripts: Record<string, boolean> }>('package.json')
  const withScripts = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.replace(/^.*node_modules\//, ''))
  // npm before 11 knows no allowScripts: it looks for scripts where the lock file says that there are any. npm writes
  // the line again with each new version of the package; it has to be deleted again.
  assert.ok(packages[`node_modules/${DOWNLOADER}`] !== undefined)
  assert.ok(!withScripts.includes(DOWNLOADER), `package-lock.json: delete "hasInstallScript" of ${DOWNLOADER}`)
  // npm 11 asks for a word on each, and later ones run none without.
  const expected = { ...Object.fromEntries(withScripts.map((name) => [name, true])), [DOWNLOADER]: false }
  assert.deepEqual(allowScripts, expected)
})
