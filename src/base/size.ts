const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** A number of bytes for people, in decimal units as disks and networks are sold: 1.5e9 is "1.5 GB". */
export function sizeText(bytes: number): string {
  let power = 0
  let value = bytes
  while (value >= 999.5 && power < UNITS.length - 1) {
    value /= 1000
    power++
  }
  const digits = power === 0 || value >= 99.95 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[power]}`
}
