/** A shared library as far as its tables go: enough to be read, not to be loaded. */
export function writeElf({
  needed = [],
  dynamicStrings = [],
  versions = [],
}: {
  readonly needed?: readonly string[]
  readonly dynamicStrings?: readonly string[]
  readonly versions?: readonly string[]
}): Buffer {
  const strings = Buffer.from(['', ...needed, ...dynamicStrings, ''].join('\0'), 'latin1')
  const entries = [...needed.map((name) => [1, strings.indexOf(`\0${name}\0`, 0, 'latin1') + 1]), [0, 0]]
  const dynamic = Buffer.concat(
    entries.map(([tag, value]) => Buffer.from(BigUint64Array.of(BigInt(tag!), BigInt(value!)).buffer)),
  )
  const rodata = Buffer.from(['padding', ...versions, 'x1.2.3', ''].join('\0'), 'latin1')
  const names = Buffer.from('\0.dynstr\0.dynamic\0.rodata\0.shstrtab\0', 'latin1')
  const nameAt = (name: string) => names.indexOf(`${name}\0`)
  const bodies: [name: string, type: number, link: number, body: Buffer][] = [
    ['.dynstr', 3, 0, strings],
    ['.dynamic', 6, 1, dynamic],
    ['.rodata', 1, 0, rodata],
    ['.shstrtab', 3, 0, names],
  ]
  let offset = 64
  const sections = [
    Buffer.alloc(64),
    ...bodies.map(([name, type, link, body]) => {
      const header = Buffer.alloc(64)
      header.writeUInt32LE(nameAt(name), 0)
      header.writeUInt32LE(type, 4)
      header.writeBigUInt64LE(BigInt(offset), 24)
      header.writeBigUInt64LE(BigInt(body.length), 32)
      header.writeUInt32LE(link, 40)
      offset += body.length
      return header
    }),
  ]
  const header = Buffer.alloc(64)
  header.write('\x7fELF\x02\x01\x01', 0, 'latin1')
  header.writeBigUInt64LE(BigInt(offset), 40)
  header.writeUInt16LE(64, 58)
  header.writeUInt16LE(sections.length, 60)
  header.writeUInt16LE(sections.length - 1, 62)
  return Buffer.concat([header, ...bodies.map(([, , , body]) => body), ...sections])
}
