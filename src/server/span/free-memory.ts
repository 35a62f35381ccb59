import { readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'

export interface MemoryReadings {
  /** What the machine can give without swapping: on Linux its MemAvailable. */
  readonly freeBytes: number
  readonly totalBytes: number
  /** The process's limit, as of a container; 0 or more than the machine has where there is none. */
  readonly limitBytes: number
  /** What the limit leaves, files in the page cache counted as used. */
  readonly leftBytes: number
  /** Of these files, what goes at once when memory is needed. */
  readonly reclaimableBytes: number
}

/** Bytes that this process can still take, within the machine's free memory and its container's limit. */
export function freeMemoryBytes(): number {
  return withinLimit({
    freeBytes: freemem(),
    totalBytes: totalmem(),
    limitBytes: process.constrainedMemory(),
    leftBytes: process.availableMemory(),
    reclaimableBytes: reclaimableBytes(),
  })
}

/** A model that was just downloaded or read fills a container's limit with files; that is no reason to call it full. */
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

/** Both versions of Linux's control groups, in the process's own group or, within a container, the root. */
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
