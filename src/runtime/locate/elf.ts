import { closeSync, openSync, readSync } from 'node:fs'
import { RuntimeError } from '../errors.ts'

/** What is read from a 64-bit little-endian ELF shared library. */
export interface SharedObject {
  /** Names of the libraries that it needs (DT_NEEDED), in order. */
  readonly needed: readonly string[]
  /** Strings of its dynamic symbol table; among them symbol versions such as `VERS_1.29.0`. */
  readonly dynamicStrings: readonly string[]
  /** Strings of the form 1.2.3 in its read-only data. */
  versions(): readonly string[]
}

interface Section {
  readonly name: string
  readonly type: number
  readonly offset: number
  readonly size: number
  readonly link: number
}

const SHT_DYNAMIC = 6
const DT_NEEDED = 1n
const HEADER_BYTES = 64

/**
 * Reads a shared library's tables, a few kilobytes of the file. Throws `RUNTIME_LIBRARY` if the file is no such
 * library.
 */
export function readSharedObject(file: string): SharedObject {
  return withFile(file, (read) => {
    const sections = readSections(file, read)
    const dynamic = sections.find(({ type }) => type === SHT_DYNAMIC)
    const names = dynamic === undefined ? undefined : sections[dynamic.link]
    if (dynamic === undefined || names === undefined) throw notElf(file, 'it has no dynamic section')
    const strings = read(names.offset, names.size)
    return {
      needed: neededOffsets(read(dynamic.offset, dynamic.size)).map((offset) => cString(strings, offset)),
      dynamicStrings: strings.toString('latin1').split('\0'),
      versions: () =>
        loneVersions(
          file,
          sections.find(({ name }) => name === '.rodata'),
        ),
    }
  })
}

type Read = (offset: number, size: number) => Buffer

function withFile<T>(file: string, use: (read: Read) => T): T {
  const fd = openSync(file, 'r')
  try {
    return use((offset, size) => {
      const bytes = Buffer.alloc(size)
      if (readSync(fd, bytes, 0, size, offset) !== size) throw notElf(file, 'it is cut short')
      return bytes
    })
  } finally {
    closeSync(fd)
  }
}

function readSections(file: string, read: Read): Section[] {
  const header = read(0, HEADER_BYTES)
  // ELF's magic number, 64 bits, little-endian.
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1)
    throw notElf(file, 'it is not a 64-bit ELF file')
  const size = header.readUInt16LE(58),
    count = header.readUInt16LE(60)
  const table = read(Number(header.readBigUInt64LE(40)), size * count)
  const raw = Array.from({ length: count }, (_, i) => {
    const entry = table.subarray(i * size, (i + 1) * size)
    return {
      nameOffset: entry.readUInt32LE(0),
      type: entry.readUInt32LE(4),
      link: entry.readUInt32LE(40),
      offset: Number(entry.readBigUInt64LE(24)),
      size: Number(entry.readBigUInt64LE(32)),
    }
  })
  const nameTable = raw[header.readUInt16LE(62)]
  const names = nameTable === undefined ? Buffer.alloc(0) : read(nameTable.offset, nameTable.size)
  return raw.map(({ nameOffset, ...section }) => ({ ...section, name: cString(names, nameOffset) }))
}

function neededOffsets(dynamic: Buffer): number[] {
  const offsets: number[] = []
  for (let at = 0; at + 16 <= dynamic.length; at += 16) {
    if (dynamic.readBigInt64LE(at) === DT_NEEDED) offsets.push(Number(dynamic.readBigUInt64LE(at + 8)))
  }
  return offsets
}

function loneVersions(file: string, rodata: Section | undefined): string[] {
  if (rodata === undefined) return []
  const text = withFile(file, (read) => read(rodata.offset, rodata.size)).toString('latin1')
  return [...new Set([...text.matchAll(/\0(\d{1,3}\.\d{1,3}\.\d{1,3})(?=\0)/g)].map(([, version]) => version!))]
}

function cString(bytes: Buffer, offset: number): string {
  const end = bytes.indexOf(0, offset)
  return bytes.toString('latin1', offset, end === -1 ? undefined : end)
}

function notElf(file: string, problem: string): RuntimeError {
  return new RuntimeError('RUNTIME_LIBRARY', `${file} is no usable shared library: ${problem}; install it again`)
}
