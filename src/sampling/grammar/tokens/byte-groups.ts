/** Bytes that grammars mostly treat alike; each one that they often tell apart is a group of its own. At most 32. */
const GROUPS: readonly (readonly (readonly [first: number, last: number])[])[] = [
  [
    [0x00, 0x08],
    [0x0b, 0x0c],
    [0x0e, 0x1f],
    [0x7f, 0x7f],
  ],
  [
    [0x0a, 0x0a],
    [0x0d, 0x0d],
  ],
  [[0x09, 0x09]],
  ...[...'"\\ {}[]:,.-+eE/@<>_'].map((character) => {
    const byte = character.charCodeAt(0)
    return [[byte, byte]] as const
  }),
  [[0x30, 0x39]],
  [
    [0x41, 0x44],
    [0x46, 0x46],
  ],
  [[0x47, 0x5a]],
  [
    [0x61, 0x64],
    [0x66, 0x66],
  ],
  [[0x67, 0x7a]],
  [[0x80, 0xbf]],
  [[0xc2, 0xdf]],
  [
    [0xe1, 0xec],
    [0xee, 0xef],
  ],
  [[0xff, 0xff]],
]

/** All other bytes. */
const REST = GROUPS.length

/** The group of each byte. */
export const GROUP_OF: Uint8Array = groupOf()

function groupOf(): Uint8Array {
  const groups = new Uint8Array(256).fill(REST)
  for (const [group, ranges] of GROUPS.entries())
    for (const [first, last] of ranges) groups.fill(group, first, last + 1)
  return groups
}

/** The groups whose bytes all lead from `state` back to it, in its row of what follows after each byte. */
export function loopGroups(row: Int32Array, state: number): number {
  let broken = 0
  for (let byte = 0; byte < 256; byte++) if (row[byte] !== state) broken |= 1 << GROUP_OF[byte]!
  return ~broken
}
