import { readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'

/** What the system says about its memory. */
export interface MemoryReadings {
  /** Memory that the machine can provide without swapping; on Linux, MemAvailable. */
  readonly freeBytes: number
  readonly totalBytes: number
  /** The process's memory limit, e.g. a container's. 0, or more than the machine has: no limit. */
  readonly limitBytes: number
  /** What is left of the limit if files in the page cache count as used. */
  readonly leftBytes: number
  /** How much of the page cache is freed as soon as memory is needed. */
  readonly reclaimableBytes: number
}

/** Bytes that this process can still take, by the machine's free memory and its container's limit. */
export function freeMemoryBytes(): number {
  return withinLimit({
    freeBytes: freemem(),
    totalBytes: totalmem(),
    limitBytes: process.constrainedMemory(),
    leftBytes: process.availableMemory(),
    reclaimableBytes: reclaimableBytes(),
  })
}

/**
 * Free memory by these readings. A model that was just downloaded or read fills a container's limit with cached files,
 * which must not count as used.
 */
export function withinLimit({
  freeBytes,
  totalBytes,
  limitBytes,
  leftBytes,
  reclaimableBytes,
}: MemoryReadings): number {
  if (limitBytes <= 0 || limitBytes >= totalBytes) return freeBytes
  return Math.min(freeBytes, leftBytes + reclaimableBytes, limitBytes)
}

/**
 * Reads the reclaimable page cache from Linux's control groups, version 1 or 2: of the process's own group or, inside
 * of a container, of the root group. 0 if it cannot be read.
 */
function reclaimableBytes(): number {
  const groups = readText('/proc/self/cgroup')
    .split('\n')
    .map((line) => line.split(':'))
  const candidates = groups.flatMap(([, controllers = '', path = '']) => {
    if (controllers === '') return [`/sys/fs/cgroup${path}/memory.stat`, '/sys/fs/cgroup/memory.stat']
    return controllers.split(',').includes('memory')
      ? [`/sys/fs/cgroup/memory${path}/memory.stat`, '/sys/fs/cgroup/memory/memory.stat']
      : []
  })
  for (const file of candidates) {
    const match = /^(?:total_)?inactive_file (\d+)$/m.exec(readText(file))
    if (match !== null) return Number(match[1])
  }
  return 0
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
