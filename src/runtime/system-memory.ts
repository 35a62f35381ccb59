import { readFileSync } from 'node:fs'
import koffi from 'koffi'
import type { Pointer } from './library.ts'

/** Memory of this process outside of every heap. */
export interface MappedMemory {
  readonly bytes: Uint8Array
  /** Where it lies, for other threads; not known of ordinary memory. */
  readonly address?: Pointer
  /** Gives it back to the system at once. A read or write of `bytes` from then on ends the process. */
  unmap(): void
}

interface Functions {
  mmap(address: null, length: number, protection: number, flags: number, fd: number, offset: number): Pointer
  madvise(address: Pointer, length: number, advice: number): number
  munmap(address: Pointer, length: number): number
  getpagesize(): number
}

/**
 * PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, MADV_DONTNEED, MADV_HUGEPAGE and MAP_FAILED, as Linux numbers
 * them.
 */
const READ_WRITE = 3
const PRIVATE_ANONYMOUS = 0x22
const DONT_NEED = 4
const HUGE_PAGES = 14
const FAILED = 2n ** 64n - 1n

/** What vm.overcommit_memory says then. */
const COUNTS_ALL = '2'

/** glibc's M_ARENA_MAX. */
const ARENA_MAX = -8

/** Memory that the system gives and takes back by whole pages, as one thread asks for it. */
export class SystemMemory {
  #functions: Functions | undefined

  /**
   * `byteLength` bytes of zeros in huge pages, whose first touch costs a third of that of small ones. Where the system
   * has none, small ones; an ordinary buffer on anything but Linux.
   */
  map(byteLength: number): MappedMemory {
    if (process.platform !== 'linux' || byteLength === 0) return ordinary(byteLength)
    const { mmap, madvise, munmap } = this.#bound()
    const address = BigInt.asUintN(64, BigInt(mmap(null, byteLength, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0) ?? FAILED))
    if (address === FAILED) return ordinary(byteLength)
    // A hint: a refusal leaves small pages.
    madvise(address, byteLength, HUGE_PAGES)
    return {
      bytes: new Uint8Array(koffi.view(address, byteLength)),
      address,
      unmap: () => {
        munmap(address, byteLength)
      },
    }
  }

  /**
   * Gives the whole pages of a piece of memory back to the system; they read as zeros then. Only where memory is
   * sparse.
   */
  discard(address: Pointer, byteLength: number): void {
    const { getpagesize, madvise } = this.#bound()
    const page = BigInt(getpagesize())
    const first = ((address + page - 1n) / page) * page,
      end = ((address + BigInt(byteLength)) / page) * page
    if (end > first) madvise(first, Number(end - first), DONT_NEED)
  }

  #bound(): Functions {
    this.#functions ??= bind()
    return this.#functions
  }
}

/**
 * Whether address space takes memory only where it is written, and can give that back: on Linux, unless it is told to
 * count all that is ever asked for.
 */
export function memoryIsSparse(): boolean {
  if (process.platform !== 'linux') return false
  try {
    return readFileSync('/proc/sys/vm/overcommit_memory', 'utf8').trim() !== COUNTS_ALL
  } catch {
    return false
  }
}

/**
 * Asks the C library to give what its heap holds free back to the system: it keeps tens of megabytes of what a finished
 * thread has used. A few milliseconds at most; nothing where the C library is another than glibc.
 */
export function trimHeap(): void {
  glibc('int malloc_trim(size_t)')?.(0)
}

/** Threads that are made from now on share one heap of the C library's: each keeps what its threads once used. */
export function shareHeaps(): void {
  glibc('int mallopt(int, int)')?.(ARENA_MAX, 1)
}

/** A function that other C libraries than glibc lack. */
function glibc(prototype: string): ((...parameters: number[]) => number) | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return koffi.load(null).func(prototype)
  } catch {
    return undefined
  }
}

function bind(): Functions {
  const process = koffi.load(null)
  return {
    mmap: process.func('void *mmap(void *, size_t, int, int, int, int64_t)'),
    madvise: process.func('int madvise(void *, size_t, int)'),
    munmap: process.func('int munmap(void *, size_t)'),
    getpagesize: process.func('int getpagesize()'),
  }
}

function ordinary(byteLength: number): MappedMemory {
  const bytes = new Uint8Array(byteLength)
  return {
    bytes,
    unmap: () => {
      bytes.buffer.transfer(0)
    },
  }
}
