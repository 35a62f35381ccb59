'use strict'
// Whether a checkout's build is what its sources would give now. Plain CommonJS: the launcher asks before it has chosen
// what to run.

const { readFileSync, statSync } = require('node:fs')
const { join } = require('node:path')

/** What a build was made of, by path relative to the root: [bytes, time of change in ms]. Written last. */
const INPUTS = join('dist', 'inputs.json')

/** A file as it is now, in the form of `inputs.json`. Throws if it is not there. */
function stampOf(root, file) {
  const { size, mtimeMs } = statSync(join(root, file))
  return [size, mtimeMs]
}

/** True if there is a build, and none of its inputs has changed since, in whichever direction. */
function isCurrent(root) {
  try {
    const inputs = Object.entries(JSON.parse(readFileSync(join(root, INPUTS), 'utf8')))
    return inputs.every(([file, [bytes, changedMs]]) => {
      const [bytesNow, changedMsNow] = stampOf(root, file)
      return bytesNow === bytes && changedMsNow === changedMs
    })
  } catch {
    return false
  }
}

module.exports = { INPUTS, isCurrent, stampOf }
