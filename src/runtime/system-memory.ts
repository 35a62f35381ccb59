import { readFileSync } from 'node:fs'
import koffi from 'koffi'
import type { Pointer } from './library.ts'

/** Memory that belongs to no heap of the C library or of JavaScript. */
export interface MappedMemory {
  readonly bytes: Uint8Array
  /** Its address, for other threads; absent for an ordinary buffer. */
  readonly address?: Pointer
  /** Returns the memory to the system at once. Any access to `bytes` afterwards crashes the process. */
  unmap(): void
}

interface Functions {
  mmap(address: null, length: number, protection: number, flags: number, fd: number, offset: number): Pointer
  madvise(address: Pointer, length: number, advice: number): number
  munmap(address: Pointer, length: number): number
  getpagesize(): number
}

/**
 * Linux's numbers for PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, MADV_DONTNEED, MADV_HUGEPAGE and MAP_FAILED.
 */
const READ_WRITE = 3
const PRIVATE_ANONYMOUS = 0x22
const DONT_NEED = 4
const HUGE_PAGES = 14
const FAILED = 2n ** 64n - 1n

/** The value of vm.overcommit_memory with which Linux counts all memory that is asked for, written or not. */
const COUNTS_ALL = '2'

/** glibc's M_ARENA_MAX, a parameter of mallopt. */
const ARENA_MAX = -8

/** Memory that is taken from the system, and given back to it, in whole pages; bound for one thread. */
export class SystemMemory {
  #functions: Functions | undefined

  /**
   * Maps `byteLength` bytes of zeros, in huge pages if the system has them: their first touch costs a third of that of
   * small pages. On anything but Linux, an ordinary buffer.
   */
  map(byteLength: number): MappedMemory {
    const address = this.take(byteLength)
    if (address === undefined) return ordinary(byteLength)
    // Only a hint: if it is refused, the pages are small.
    this.#bound().madvise(address, byteLength, HUGE_PAGES)
    return {
      bytes: new Uint8Array(koffi.view(address, byteLength)),
      address,
      unmap: () => this.giveBack(address, byteLength),
    }
  }

  /**
   * Takes `byteLength` bytes of zeros of which JavaScript has no view, so that they mean nothing to its garbage
   * collector. Undefined where the system has none, and on anything but Linux.
   */
  take(byteLength: number): Pointer | undefined {
    if (process.platform !== 'linux' || byteLength === 0) return undefined
    const { mmap } = this.#bound()
    const address = BigInt.asUintN(64, BigInt(mmap(null, byteLength, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0) ?? FAILED))
    return address === FAILED ? undefined : address
  }

  /** Gives back at once what `take` gave. Any access to it afterwards crashes the process. */
  giveBack(address: Pointer, byteLength: number): void {
    this.#bound().munmap(address, byteLength)
  }

  /**
   * Returns the whole pages within a piece of memory to the system; they read as zeros afterwards. Only for systems
   * where `memoryIsSparse`.
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
 * Whether address space takes memory only once it is written, and can give it back: true on Linux, unless the system is
 * configured to count all memory that is asked for.
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
 * Makes the C library return free memory of its heap to the system; it would keep tens of megabytes that ended threads
 * used. Takes a few milliseconds at most. Does nothing without glibc.
 */
export function trimHeap(): void {
  glibc('int malloc_trim(size_t)')?.(0)
}

/**
 * Makes threads that start from now on share one heap of the C library; each heap keeps the memory that its threads
 * once used. Does nothing without glibc.
 */
export function shareHeaps(): void {
  glibc('int mallopt(int, int)')?.(ARENA_MAX, 1)
}

/** A function that only glibc has; undefined with another C library. */
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

/** A JavaScript buffer in the place of mapped memory. */
function ordinary(byteLength: number): MappedMemory {
  const bytes = new Uint8Array(byteLength)
  return {
    bytes,
    unmap: () => {
      bytes.buffer.transfer(0)
    },
  }
}
