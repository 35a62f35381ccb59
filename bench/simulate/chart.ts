import type { Sample } from './scenario.ts'

const WIDTH = 960
const HEIGHT = 400
const LEFT = 60
const TOP = 30
const BOTTOM = 40
const INNER_WIDTH = WIDTH - LEFT - 20
const INNER_HEIGHT = HEIGHT - TOP - BOTTOM

/** How far down a share, from 0 to 1, is in the picture. */
function y(share: number): number {
  return TOP + (1 - Math.min(share, 1)) * INNER_HEIGHT
}

/** A picture of a run as SVG: the bottleneck as a share of the even one, over time, with the number of servers. */
export function chartOf(title: string, samples: readonly Sample[]): string {
  const minutes = samples.at(-1)?.minute ?? 1
  const most = Math.max(...samples.map(({ numServers }) => numServers), 1)
  const x = (minute: number) => LEFT + (minute / minutes) * INNER_WIDTH
  const line = (of: (sample: Sample) => number) =>
    samples.map((sample) => `${x(sample.minute).toFixed(1)},${y(of(sample)).toFixed(1)}`).join(' ')
  const grid = [0, 0.25, 0.5, 0.75, 0.9, 1].map(
    (share) =>
      `<line x1="${LEFT}" x2="${LEFT + INNER_WIDTH}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>` +
      `<text x="${LEFT - 8}" y="${y(share) + 4}" text-anchor="end">${share}</text>`,
  )
  const ticks = Array.from({ length: 9 }, (_, i) => Math.round((minutes * i) / 8)).map(
    (minute) => `<text x="${x(minute)}" y="${HEIGHT - 16}" text-anchor="middle">${minute} min</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="18">${title} (blue: bottleneck as a share of the even one; grey: servers, of ${most})</text>`,
    ...grid,
    ...ticks,
    `<polyline fill="none" stroke="#aaa" points="${line(({ numServers }) => numServers / most)}"/>`,
    `<polyline fill="none" stroke="#2563eb" stroke-width="1.5" points="${line(({ share }) => share)}"/>`,
    '</svg>\n',
  ].join('\n')
}
