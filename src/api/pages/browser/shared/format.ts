/** A rate or an amount with as many digits as say something: 1234, 85.3 as 85, 8.27 as 8.3. */
export function amount(value: number): string {
  if (value >= 10_000)
    return new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
  const digits = value >= 20 || Number.isInteger(value) ? 0 : 1
  return new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value)
}

/** A duration: 340 ms, 2.4 s, 3 min. */
export function duration(seconds: number): string {
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  return `${Math.round(seconds / 3600)} h`
}

/** How long ago: now, 12 s ago, 5 min ago. */
export function ago(seconds: number): string {
  if (seconds < 3) return 'just now'
  return seconds < 10 ? `${Math.round(seconds)} s ago` : `${duration(seconds)} ago`
}

/** Bytes: 640 MB, 2.1 GB. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3))
  return `${amount(count / 1000 ** step)} ${units[step]}`
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

export function plural(count: number, what: string): string {
  return `${amount(count)} ${what}${count === 1 ? '' : 's'}`
}

/** What a server is called: by its owner, or by the end of its peer id. */
export function serverName(peerId: string, name?: string): string {
  return name === undefined || name === '' ? `…${peerId.slice(-6)}` : name
}

/** Blocks in ascending order, as spans: 0:4, 7:9. */
export function blocksText(blocks: readonly number[]): string {
  const spans: [number, number][] = []
  for (const block of blocks) {
    const last = spans.at(-1)
    if (last !== undefined && last[1] === block) last[1] = block + 1
    else spans.push([block, block + 1])
  }
  return spans.map(([start, end]) => `${start}:${end}`).join(', ')
}

/** The model that is served where none is named: the one that comes with the program. */
const BUNDLED = 'demo'

/**
 * What somebody runs to serve blocks of a model in this swarm: any of its nodes has an address to begin with. A name of
 * the hub is one anywhere; others are of folders, which lie elsewhere on each machine.
 */
export function serveCommand(model: string, blocks: string): string {
  const named = model === BUNDLED ? '' : ` --model ${model.includes('/') ? model : 'FOLDER'}`
  return `petals-node serve${named} --blocks ${blocks} --bootstrap ADDRESS`
}
