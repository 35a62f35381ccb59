import { availableParallelism, totalmem } from 'node:os'
import { type Finding, note, ok, problem } from '../finding.ts'
import { sizeText } from '../../../../base/size.ts'

/** The first major version of Node with `Promise.withResolvers`, which libp2p needs. */
const MIN_NODE_MAJOR = 22

/** Platforms on which tests run at every change, or on which people are known to use the program. */
const KNOWN_PLATFORMS = new Set(['linux x64', 'linux arm64', 'darwin arm64'])

/** Checks the version of Node and the platform. */
export function checkNode(): Finding {
  const found = `Node ${process.versions.node} on ${process.platform} ${process.arch}, ${availableParallelism()} cores`
  if (Number.parseInt(process.versions.node, 10) < MIN_NODE_MAJOR) {
    return problem('Node', found, `install Node ${MIN_NODE_MAJOR} or newer`)
  }
  if (process.platform === 'win32') return note('Node', found, 'serve from WSL2; natively only a client has been tried')
  return KNOWN_PLATFORMS.has(`${process.platform} ${process.arch}`)
    ? ok('Node', found)
    : note('Node', `${found}: not tried by us`)
}

/** Reports the memory that this process may still take, within a container's limit. */
export function checkMemory(): Finding {
  const free = process.availableMemory()
  const total = process.constrainedMemory() > 0 ? Math.min(process.constrainedMemory(), totalmem()) : totalmem()
  const found = `${sizeText(free)} free of ${sizeText(total)}`
  return free < 1e9
    ? problem('Memory', found, 'free at least 1 GB: a span, its cache and the runtime need room')
    : ok('Memory', found)
}
