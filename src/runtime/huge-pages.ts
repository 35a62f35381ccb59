import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import koffi from 'koffi'

/** Linux's MADV_COLLAPSE (6.1 and newer). */
const COLLAPSE = 25

/**
 * What `/proc/self/pagemap` tells of a page is eight bytes, the last of which has these bits where the page is in
 * memory and nobody else's: the page of zeros, which stands for all that was only read, is everybody's.
 */
const PAGE_BYTES = 8
const IS_OWN = 0x81

/** What is gathered with one call, at most, in which other threads cannot get memory for moments. */
const CALL_BYTES = 64 << 20

const SETTINGS = '/sys/kernel/mm/transparent_hugepage'

interface Functions {
  madvise(address: bigint, length: number, advice: number): number
  getpagesize(): number
}

/**
 * Moves what this process holds in ordinary memory into huge pages, as far as it fills them; returns the bytes of
 * these. The runtime keeps packed weights in small pages, of which a decode step that reads gigabytes must look up
 * each; it takes a fifth less time afterwards. No more memory is taken: pages that nobody has written to stay as they
 * are. Takes longer than copying the memory, and does nothing where the system has no huge pages, or is told to give
 * none.
 */
export function gatherInHugePages(): number {
  const hugeBytes = hugePageBytes()
  if (hugeBytes === undefined) return 0
  const { madvise, getpagesize } = bind()
  // A system that does not know it refuses even to do nothing.
  if (madvise(0n, 0, COLLAPSE) !== 0) return 0
  const map = openPageMap()
  if (map === undefined) return 0
  try {
    const pageBytes = getpagesize()
    const isFull = (address: bigint): boolean => isOwn(map, Number(address) / pageBytes, hugeBytes / pageBytes)
    let gathered = 0
    for (const { address, byteLength } of joined(hugePlaces(BigInt(hugeBytes)).filter(isFull), hugeBytes)) {
      if (madvise(address, byteLength, COLLAPSE) === 0) gathered += byteLength
      // Who has no huge page to give has searched long for one. All else is about pages of this place.
      else if (HAS_NONE.has(koffi.errno())) break
    }
    return gathered
  } finally {
    closeSync(map)
  }
}

/** Why no place at all will get a huge page: there is none, or the process may have no more memory for the moment. */
const HAS_NONE: ReadonlySet<number> = new Set([constants.errno.ENOMEM, constants.errno.EBUSY])

function openPageMap(): number | undefined {
  try {
    return openSync('/proc/self/pagemap', 'r')
  } catch {
    return undefined
  }
}

/** Whether so many pages from the `first` on are in memory and this process's alone. */
function isOwn(map: number, first: number, count: number): boolean {
  const told = Buffer.alloc(count * PAGE_BYTES)
  if (readSync(map, told, 0, told.byteLength, first * PAGE_BYTES) !== told.byteLength) return false
  for (let i = PAGE_BYTES - 1; i < told.byteLength; i += PAGE_BYTES) if ((told[i]! & IS_OWN) !== IS_OWN) return false
  return true
}

/** Pieces of one length that lie side by side, as one. */
function* joined(addresses: Iterable<bigint>, pieceBytes: number): Generator<{ address: bigint; byteLength: number }> {
  let run: { address: bigint; byteLength: number } | undefined
  for (const address of addresses) {
    if (run !== undefined && address === run.address + BigInt(run.byteLength) && run.byteLength < CALL_BYTES) {
      run.byteLength += pieceBytes
      continue
    }
    if (run !== undefined) yield run
    run = { address, byteLength: pieceBytes }
  }
  if (run !== undefined) yield run
}

/** How large a huge page is; undefined where there are none. */
function hugePageBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    if (readFileSync(`${SETTINGS}/enabled`, 'utf8').includes('[never]')) return undefined
    return Number(readFileSync(`${SETTINGS}/hpage_pmd_size`, 'utf8'))
  } catch {
    return undefined
  }
}

/** Where huge pages could lie in this process's writable memory that belongs to no file. */
function* hugePlaces(hugeBytes: bigint): Generator<bigint> {
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(?:\[heap\])?$/.exec(line)
    if (range === null) continue
    const [from, to] = [BigInt(`0x${range[1]}`), BigInt(`0x${range[2]}`)]
    const first = ((from + hugeBytes - 1n) / hugeBytes) * hugeBytes
    for (let address = first; address + hugeBytes <= to; address += hugeBytes) yield address
  }
}

function bind(): Functions {
  const library = koffi.load(null)
  return {
    madvise: library.func('int madvise(void *, size_t, int)'),
    getpagesize: library.func('int getpagesize()'),
  }
}
