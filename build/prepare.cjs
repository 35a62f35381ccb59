'use strict'
// npm runs this after `npm ci` in a checkout, and before it packs. A build only makes starting faster, so an installation
// without sources or development tools (a container's layer of dependencies) does without, and so does one where it fails.

const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')

const root = join(__dirname, '..')
const needed = [join(root, 'src', 'cli', 'main.ts'), join(root, 'node_modules', 'esbuild', 'package.json')]
if (needed.every((file) => existsSync(file))) {
  const { status } = spawnSync(process.execPath, [join(__dirname, 'bundle.ts'), '--if-needed'], { stdio: 'inherit' })
  if (status !== 0) process.stderr.write('petals-node: not built; the sources will be run as they are\n')
}
